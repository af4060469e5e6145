"""Hover what-if: the browser foretells what the server would answer."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from visit import ROOT, Studio

from csr_core.cases import CaseStore
from csr_core.models import Models
from csr_core.service import ReviewService

REASON = """([opened, edits, edit, semantics]) => {
  const model = readReasoning(opened);
  const step = (evidence, one) => withEdit(evidence, one, opened.concepts, opened.grid[1]);
  const evidence = edits.reduce(step, unedited(model.concepts, model.cells));
  const now = reasonHere(model, evidence, semantics);
  return reasonHere(model, step(evidence, edit), semantics, now).probabilities;
}"""

SHORTEST = """([opened, edits]) => {
  const step = (evidence, one) => withEdit(evidence, one, opened.concepts, opened.grid[1]);
  const before = unedited(opened.concepts.length, opened.grid[0] * opened.grid[1]);
  return editsOf(edits.reduce(step, before), opened.concepts, opened.grid[1]);
}"""

DRAWN = """([opened, edits, semantics]) => {
  const model = readReasoning(opened);
  const step = (evidence, one) => withEdit(evidence, one, opened.concepts, opened.grid[1]);
  const { marks, focus } = edits.reduce(step, unedited(model.concepts, model.cells));
  return [...onMap(marks[0], focus, model, semantics)];
}"""

READING = "[data-ref=reading]"


BothSides = tuple[ReviewService, dict, Page]


@pytest.fixture(scope="module")
def three_checkpoints(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first model takes answers about whole concepts as marks, the second weighs them and lets
    them move evidence in part, the third weighs them and leaves the evidence alone.
    """
    folder = tmp_path_factory.mktemp("three") / "checkpoints"
    shutil.copytree(tiny_checkpoints, folder)
    shutil.copytree(folder / "second", folder / "third")
    record = folder / "third" / "calibration.json"
    values = json.loads(record.read_text(encoding="utf-8"))
    del values["answers"]["share"]
    record.write_text(json.dumps(values), encoding="utf-8")
    return folder


@pytest.fixture(params=["first", "second", "third"])
def both_sides(
    request: pytest.FixtureRequest, browser: Browser, three_checkpoints: Path
) -> Iterator[BothSides]:
    """A service, a case that it opened, and a page with the scripts that reason by themselves."""
    service = ReviewService(Models(three_checkpoints), ROOT / "assets" / "cases", CaseStore())
    opened = service.open_bundled(request.param, service.start()["cases"][0]["name"])
    page = browser.new_page()
    for script in ("evidence.js", "wire.js"):
        page.add_script_tag(path=ROOT / "assets" / script)
    yield service, opened, page
    page.close()


def random_edit(rng: np.random.Generator, kinds: list[str], concepts: list[str]) -> dict:
    kind = str(rng.choice(kinds))
    edit: dict = {"kind": kind}
    if kind not in ("ignore", "focus"):
        edit["concept"] = str(rng.choice(concepts))
    if kind == "erase" and rng.random() < 0.5:
        edit["concept"] = None
    if kind not in ("reject", "confirm"):
        top, left = rng.integers(0, 14, 2)
        rows, columns = rng.integers(1, 15, 2)
        edit["cells"] = [
            [int(row), int(column)]
            for row in range(top, min(top + rows, 14))
            for column in range(left, min(left + columns, 14))
        ]
    return edit


@pytest.mark.parametrize("semantics", ["calibrated", "paper"])
def test_browser_and_server_agree(both_sides: BothSides, semantics: str):
    service, opened, page = both_sides
    rng = np.random.default_rng(3)
    strokes = ["suppress", "force", "ignore", "focus", "erase"]
    answers = set()
    for _ in range(50):
        edits = [
            random_edit(rng, [*strokes, "reject", "confirm"], opened["concepts"])
            for _ in range(rng.integers(0, 7))
        ]
        edit = random_edit(rng, strokes, opened["concepts"])
        here = page.evaluate(REASON, [opened, edits, edit, semantics])
        there = service.reason(opened["key"], [*edits, edit], semantics)
        assert here == pytest.approx(there["verdict"]["probabilities"], abs=1e-6)
        answers.add(tuple(there["verdict"]["probabilities"]))
    assert len(answers) > 25, "most answers must differ, or their agreement says little"


@pytest.mark.parametrize("semantics", ["calibrated", "paper"])
def test_the_shortest_list_of_edits_has_the_same_answer_to_the_last_bit(
    both_sides: BothSides, semantics: str
):
    service, opened, page = both_sides
    rng = np.random.default_rng(4)
    kinds = ["suppress", "force", "ignore", "focus", "erase", "reject", "confirm"]
    for length in range(60):
        edits = [random_edit(rng, kinds, opened["concepts"]) for _ in range(length)]
        shortest = page.evaluate(SHORTEST, [opened, edits])
        assert len(shortest) <= 1 + 4 * len(opened["concepts"])
        answers = [service.reason(opened["key"], made, semantics) for made in (edits, shortest)]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("semantics", ["calibrated", "paper"])
def test_an_answer_is_drawn_unless_it_leaves_the_map_alone(both_sides: BothSides, semantics: str):
    service, opened, page = both_sides
    weighed = opened["answers"] if semantics == "calibrated" else None
    for kind in ("reject", "confirm"):
        edits = [{"kind": kind, "concept": opened["concepts"][0]}]
        drawn = any(page.evaluate(DRAWN, [opened, edits, semantics]))
        assert drawn == (weighed is None or weighed["share"] > 0)
        moved = service.reason(opened["key"], edits, semantics)["maps"]
        assert drawn or not moved


@pytest.mark.parametrize("tool", ["suppress", "force", "ignore", "focus"])
def test_the_reading_foretells_what_a_click_does(studio: Studio, tool: str):
    studio.press({"focus": "o"}.get(tool, tool[0]))
    studio.press("]")
    studio.page.mouse.move(*studio.centre(5, 5))
    foretold = re.search(rf"{tool} here: (.+)$", studio.page.locator(READING).inner_text())
    studio.click(5, 5)
    assert studio.chips()[0].endswith(foretold[1])


def test_inspecting_foretells_suppression_and_rests_where_nothing_could_be_erased(studio: Studio):
    studio.page.mouse.move(*studio.centre(2, 2))
    expect(studio.page.locator(READING)).to_have_text(
        re.compile(r"suppress here: \w+ \d\.\d\d → \d\.\d\d$")
    )
    studio.press("e")
    expect(studio.page.locator(READING)).not_to_contain_text("here")
