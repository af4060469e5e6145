"""The places of cases in the orders a model would ask for them."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from csr_core.annotation.names import StoreError, check_name
from csr_core.annotation.tables import cases, projects

__all__ = ["place_cases"]

MAX_MODEL = 200


def place_cases(
    connection: Connection,
    project_id: int,
    model: str,
    undecided: Mapping[int, float],
    diversity: Mapping[int, int],
) -> None:
    """Give the cases of a project their places; see `Store.rank`."""
    wanted = (
        select(cases.c.id, cases.c.undecided_place, cases.c.diverse_place)
        .where(cases.c.project_id == project_id)
        .order_by(cases.c.position)
    )
    before = {
        row.id: (row.undecided_place, row.diverse_place) for row in connection.execute(wanted)
    }
    strangers = (undecided.keys() | diversity.keys()) - before.keys()
    if strangers:
        raise StoreError(f"There is no case {min(strangers)} in the project.")
    if not all(isfinite(value) for value in (*undecided.values(), *diversity.values())):
        raise StoreError("How undecided a model is, and how diverse cases are, are finite numbers.")
    by_undecided = _places(before, {case: -value for case, value in undecided.items()})
    by_diversity = _places(before, diversity)
    moved: list[dict[str, Any]] = [
        {"moved": case, "undecided": by_undecided[case], "diverse": by_diversity[case]}
        for case, places in before.items()
        if places != (by_undecided[case], by_diversity[case])
    ]
    if moved:
        connection.execute(
            update(cases)
            .where(cases.c.id == bindparam("moved"))
            .values(undecided_place=bindparam("undecided"), diverse_place=bindparam("diverse")),
            moved,
        )
    connection.execute(
        update(projects)
        .where(projects.c.id == project_id)
        .values(ranked_by=check_name(model, "model", longest=MAX_MODEL))
    )


def _places(listed: Mapping[int, object], values: Mapping[int, float]) -> dict[int, int]:
    """Place by case: lowest value first, then those without one; where equal, as listed."""
    ranked = sorted((case for case in listed if case in values), key=lambda case: values[case])
    rest = [case for case in listed if case not in values]
    return {case: place for place, case in enumerate([*ranked, *rest])}
