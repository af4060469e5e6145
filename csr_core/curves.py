"""A picture of intervention curves: macro-F1 against the edits it took."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from csr_core.interventions import Curve, Plan

__all__ = ["intervention_figure", "intervention_picture"]

PANEL = (4.6, 3.5)
"""Width and height in inches."""
DOTS_PER_INCH = 110
LEAST_SPAN = 2.0
"""Percentage points shown at least, so that chance doesn't look like a slope."""
UNEDITED = "no edits"
NAMES = {
    "combined": "uncertainty × influence",
    "influence": "influence",
    "uncertainty": "uncertainty",
    "random": "random",
}
# Okabe and Ito's colours keep apart for every kind of colour vision; markers say the same again.
STYLES = {
    "combined": ("#0072B2", "o", "-"),
    "influence": ("#D55E00", "s", "--"),
    "uncertainty": ("#009E73", "^", "-."),
    "random": ("#000000", "x", ":"),
}
READS = {"both": "rejected or confirmed", "reject": "only rejected", "confirm": "only confirmed"}


def intervention_figure(curves: Sequence[Curve]) -> Figure:
    """Draw macro-F1 in percent against edits an image.

    There is a panel for each way to review: semantics, images reviewed and answers heard. In it
    every policy has a line, and every number of questions a mark; a dashed line is the unedited
    model. All panels have one scale of macro-F1, so that they can be compared.

    Args:
        curves: at least one.
    """
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault(_titles(curve.plan), []).append(curve)
    levels = [100 * point.macro_f1 for curve in curves for point in curve.points]
    middle = (min(levels) + max(levels)) / 2
    half = 0.55 * max(max(levels) - min(levels), LEAST_SPAN)
    columns = min(len(groups), 2)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    for place, ((title, below), members) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        for curve in members:
            colour, marker, line = STYLES[curve.plan.policy]
            axes.plot(
                [point.edits for point in curve.points],
                [100 * point.macro_f1 for point in curve.points],
                color=colour,
                marker=marker,
                linestyle=line,
                markersize=5,
                label=NAMES[curve.plan.policy],
            )
        axes.axhline(
            100 * members[0].points[0].macro_f1,
            color="#666666",
            linestyle=(0, (6, 4)),
            linewidth=1,
            label=UNEDITED,
            zorder=1,
        )
        axes.set_title(f"{title}\n{below}", fontsize=10)
        axes.set_xlabel("edits per image")
        axes.set_ylabel("macro-F1 (%)")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(middle - half, middle + half)
    labelled = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    names = [name for name in (*NAMES.values(), UNEDITED) if name in labelled]
    figure.legend(
        [labelled[name] for name in names],
        names,
        loc="outside lower center",
        ncols=len(names) if columns > 1 else 2,
        fontsize=9,
        frameon=False,
    )
    return figure


def intervention_picture(curves: Sequence[Curve]) -> bytes:
    """The figure of `intervention_figure` as a PNG file."""
    file = io.BytesIO()
    intervention_figure(curves).savefig(
        file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None}
    )
    return file.getvalue()


def _titles(plan: Plan) -> tuple[str, str]:
    semantics = {"calibrated": "Calibrated edits", "paper": "Edits as in the paper"}[plan.semantics]
    reviewed = (
        "every image" if plan.threshold is None else f"images with a margin < {plan.threshold:g}"
    )
    return f"{semantics}, {reviewed}", f"concepts {READS[plan.reader]}"
