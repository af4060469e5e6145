"""The drawing surface: brushes, polygon, boxes, history, suggestions, zoom, keys and fingers."""

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from easel import CONCEPTS, Easel
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserContext, CDPSession, expect
from strokes import draw

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import ConceptMark, mark_from_json, mark_to_json
from csr_core.datasets.regions import Box

FIRST, SECOND, THIRD = CONCEPTS


@pytest.fixture
def easel(context: BrowserContext) -> Iterator[Easel]:
    easel = Easel(context.new_page())
    easel.open()
    yield easel
    assert easel.complaints == []


def centres(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, across = np.mgrid[:height, :width] + 0.5
    return across, down


def disc(easel: Easel, x: float, y: float, size: float) -> NDArray[np.bool_]:
    across, down = centres(easel.height, easel.width)
    return np.hypot(across - x, down - y) <= size / 2


def swept(
    easel: Easel, start: tuple[float, float], end: tuple[float, float], size: float
) -> NDArray[np.bool_]:
    """Pixels whose centre is within a brush's reach of a line."""
    across, down = centres(easel.height, easel.width)
    way = np.subtract(end, start)
    part = ((across - start[0]) * way[0] + (down - start[1]) * way[1]) / (way @ way)
    part = np.clip(part, 0, 1)
    distance = np.hypot(across - start[0] - part * way[0], down - start[1] - part * way[1])
    return distance <= size / 2


def differs(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> int:
    return int((one != other).sum())


def cells(easel: Easel, *wanted: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of cells: floor(row * height / rows) up to that of the next row."""
    region = np.zeros((easel.height, easel.width), dtype=bool)
    rows, columns = easel.grid
    for row, column in wanted:
        region[
            row * easel.height // rows : (row + 1) * easel.height // rows,
            column * easel.width // columns : (column + 1) * easel.width // columns,
        ] = True
    return region


def mask_of(region: NDArray[np.bool_]) -> dict[str, Any]:
    return Mask.of(region).to_json()


def test_the_patch_brush_fills_whole_cells(easel: Easel):
    easel.drag((8, 8), (24, 8), (24, 40))
    expected = cells(easel, (0, 0), (0, 1), (1, 1), (2, 1))
    assert differs(easel.pixels(), expected) == 0
    easel.press("]")  # three cells across, without the corners that are too far
    easel.click(104, 72)
    around = cells(easel, *[(row, column) for row in (3, 4, 5) for column in (5, 6, 7)])
    assert differs(easel.pixels(), expected | around) == 0
    assert [change["stroke"] for change in easel.changes] == ["patch", "patch"]


def test_cells_of_an_uneven_grid_share_out_all_pixels(easel: Easel):
    easel.open(height=50, width=70, grid=(7, 9))
    easel.click(69, 49)
    assert differs(easel.pixels(), cells(easel, (6, 8))) == 0
    for row in range(7):
        easel.drag((1, (row + 0.5) * 50 / 7), (69, (row + 0.5) * 50 / 7))
    assert easel.pixels().all()
    assert easel.call("mark", FIRST)["mask"]["counts"] == [0, 3500]


def test_the_free_brush_is_round(easel: Easel):
    easel.call("tool", "brush")
    easel.call("size", 21)
    easel.click(60.5, 40.5)
    assert differs(easel.pixels(), disc(easel, 60.5, 40.5, 21)) <= 4


def test_a_brush_of_one_pixel_paints_the_pixel_it_is_in(easel: Easel):
    easel.call("tool", "brush")
    easel.call("size", 1)
    easel.click(100.5, 30.5)
    assert np.argwhere(easel.pixels()).tolist() == [[30, 100]]


def test_fast_strokes_have_no_gaps(easel: Easel):
    easel.call("tool", "brush")
    for size, start, end in ((9, (10, 12), (118, 70)), (5, (120, 90), (20, 90.5))):
        easel.call("size", size)
        before = easel.pixels()
        easel.drag(start, end)
        assert differs(easel.pixels(), before | swept(easel, start, end, size)) <= 8
    easel.call("choose", SECOND)
    easel.call("size", 1)
    easel.drag((3, 5), (120, 88))
    pixels = easel.pixels(SECOND)
    assert pixels[:, 4:120].any(axis=0).all()
    assert pixels[6:88].any(axis=1).all()


def test_points_between_two_frames_are_on_the_way(easel: Easel):
    """A browser hands several points at once when the hand is faster than the screen."""
    easel.call("tool", "brush")
    easel.call("size", 3)
    corner = easel.at(64.5, 80.5)
    easel.page.evaluate(
        "corner => { const move = PointerEvent.prototype.getCoalescedEvents;"
        " PointerEvent.prototype.getCoalescedEvents = function () {"
        "   const event = new PointerEvent('pointermove',"
        "     { clientX: corner[0], clientY: corner[1] });"
        "   return this.type === 'pointermove' ? [event, this] : move.call(this); }; }",
        list(corner),
    )
    easel.drag((10.5, 10.5), (110.5, 10.5))
    expected = swept(easel, (10.5, 10.5), (64.5, 80.5), 3)
    expected |= swept(easel, (64.5, 80.5), (110.5, 10.5), 3)
    assert differs(easel.pixels(), expected) <= 8


def test_the_eraser_and_ctrl_take_pixels_away(easel: Easel):
    whole = np.ones((96, 128), dtype=bool)
    easel.open(marks={FIRST: {"presence": "yes", "mask": mask_of(whole), "boxes": []}})
    easel.call("tool", "eraser")
    easel.call("size", 15)
    easel.drag((20, 20), (100, 60))
    expected = ~swept(easel, (20, 20), (100, 60), 15)
    assert differs(easel.pixels(), expected) <= 8
    after = easel.pixels()
    easel.call("tool", "patch")
    easel.page.keyboard.down("Control")
    easel.click(8, 88)
    easel.page.keyboard.up("Control")
    assert differs(easel.pixels(), after & ~cells(easel, (5, 0))) == 0


def test_erasing_everything_leaves_no_mask_and_erasing_nothing_is_no_step(easel: Easel):
    easel.click(8, 8)
    easel.call("tool", "eraser")
    easel.click(100, 80)
    assert easel.state["undo"] == 1
    easel.call("size", 64)
    easel.click(8, 8)
    assert easel.changes[-1]["mark"] == {"mask": None, "boxes": []}
    assert len(easel.changes) == 2


def test_undo_and_redo_restore_every_pixel_across_concepts(easel: Easel):
    states = [[easel.pixels(concept) for concept in CONCEPTS]]
    steps = [
        (FIRST, "brush", [(10, 10), (90, 50)]),
        (SECOND, "patch", [(50, 20), (50, 90)]),
        (FIRST, "eraser", [(60, 5), (30, 80)]),
        (FIRST, "brush", [(70, 60), (20, 15), (100, 90)]),
        (SECOND, "eraser", [(3, 3), (125, 93)]),
        (THIRD, "polygon", [(20, 20), (100, 30), (60, 90), (20, 20)]),
    ]
    for concept, tool, places in steps:
        easel.call("choose", concept)
        easel.call("tool", tool)
        if tool == "polygon":
            for place in places:
                easel.click(*place)
        else:
            easel.drag(*places, steps=3)
        states.append([easel.pixels(name) for name in CONCEPTS])
    assert len(easel.changes) == len(steps)
    easel.press("End")  # a key that is not the surface's
    for turn, key in (("undo", "z"), ("redo", "Shift+Z"), ("undo", "Control+z")):
        order = range(len(steps)) if turn == "redo" else reversed(range(len(steps)))
        for number in order:
            easel.press(key)
            expected = states[number + 1 if turn == "redo" else number]
            for name, region in zip(CONCEPTS, expected, strict=True):
                assert differs(easel.pixels(name), region) == 0
            change = easel.changes[-1]
            assert (change["concept"], change["stroke"]) == (steps[number][0], turn)
    assert easel.state["undo"] == 0
    easel.press("z")
    assert easel.messages == ["Nothing to undo."]
    easel.press("Shift+Z")
    easel.call("tool", "brush")
    easel.drag((0.1, 0.1), (5, 5))
    assert easel.state["redo"] == 0


def test_the_history_forgets_its_oldest_steps_before_memory_runs_out(easel: Easel):
    easel.page.evaluate(
        "() => { window.steps = makeSteps();"
        " for (const name of ['one', 'two', 'three'])"
        "   steps.add({ name, pixels: { spans: new Uint32Array(2e7) } }); }"  # 80 MB each
    )
    names = "steps.back().name + ' ' + steps.back().name + ' ' + steps.back()"
    assert easel.page.evaluate(names) == "three two undefined"


def test_every_finished_step_is_told_once_with_the_mark_it_leads_to(easel: Easel):
    easel.call("tool", "brush")
    easel.drag((10, 10), (60, 60), (90, 20), steps=4)
    (change,) = easel.changes
    assert (change["concept"], change["origin"], change["stroke"]) == (FIRST, "reader", "brush")
    mark = mark_from_json({"presence": "yes", **change["mark"]}, FIRST)
    assert mark.mask == Mask.of(easel.pixels())
    assert mark_to_json(mark)["mask"] == change["mark"]["mask"]


def test_a_case_shows_the_marks_it_is_opened_with(easel: Easel):
    region = disc(easel, 60, 50, 40) | disc(easel, 126, 94, 30)
    mark = ConceptMark("yes", Mask.of(region), (Box(SECOND, 0.1, 0.2, 0.5, 0.75),))
    easel.open(marks={SECOND: mark_to_json(mark)})
    assert differs(easel.pixels(SECOND), region) == 0
    assert easel.boxes(SECOND) == [[0.1, 0.2, 0.5, 0.75]]
    assert easel.state["undo"] == 0
    assert easel.changes == []
    small = {FIRST: {"mask": {"size": [2, 2], "counts": [0, 4]}, "boxes": []}}
    with pytest.raises(Exception, match="96 × 128 pixels"):
        easel.open(marks=small)
    assert differs(easel.pixels(SECOND), region) == 0


def polygon(easel: Easel, *corners: tuple[float, float]) -> None:
    easel.call("tool", "polygon")
    for corner in corners:
        easel.click(*corner)


def test_a_polygon_is_closed_by_enter_or_its_first_corner(easel: Easel):
    across, down = centres(96, 128)
    rectangle = (across > 20) & (across < 80) & (down > 10) & (down < 50)
    polygon(easel, (20, 10), (80, 10), (80, 50), (20, 50))
    assert not easel.pixels().any()
    assert easel.state["polygon"] == 4
    easel.press("Enter")
    assert differs(easel.pixels(), rectangle) == 0
    triangle = (down > np.abs(across - 60.5) + 40) & (down < 95)
    polygon(easel, (60.5, 40), (115.5, 95), (5.5, 95), (60.5, 40))
    assert differs(easel.pixels(), rectangle | triangle) <= 4
    assert [change["stroke"] for change in easel.changes] == ["polygon", "polygon"]


def test_a_polygon_can_be_mended_cancelled_and_cut_out(easel: Easel):
    easel.call("tool", "polygon")
    polygon(easel, (20, 10), (80, 10), (120, 90))
    easel.press("Backspace")
    easel.click(80, 50)
    easel.click(20, 50)
    easel.press("z")  # takes the last corner back, as Backspace does
    easel.click(20, 50)
    easel.press("Enter")
    across, down = centres(96, 128)
    rectangle = (across > 20) & (across < 80) & (down > 10) & (down < 50)
    assert differs(easel.pixels(), rectangle) == 0
    polygon(easel, (30, 20), (90, 20), (50, 90))
    easel.press("Escape")
    easel.press("Enter")
    assert differs(easel.pixels(), rectangle) == 0
    polygon(easel, (40, 20), (60, 20), (60, 40), (40, 40))
    easel.press("Control+Enter")
    hole = (across > 40) & (across < 60) & (down > 20) & (down < 40)
    assert differs(easel.pixels(), rectangle & ~hole) == 0
    polygon(easel, (40, 20), (60, 20))
    easel.call("choose", SECOND)
    assert easel.messages == ["The open polygon was dropped."]
    assert easel.state["polygon"] == 0


def test_boxes_are_drawn_moved_resized_and_deleted(easel: Easel):
    easel.call("tool", "box")
    easel.drag((16, 12), (64, 48))
    assert np.allclose(easel.boxes(), [[0.125, 0.125, 0.5, 0.5]], atol=2e-3)
    drawn = easel.boxes()
    easel.drag((40, 30), (56, 54), steps=4)  # it is chosen: its inside moves it
    assert np.allclose(easel.boxes(), [[0.25, 0.375, 0.625, 0.75]], atol=2e-3)
    easel.drag((80, 72), (96, 84), steps=4)  # the handle of a corner
    assert np.allclose(easel.boxes(), [[0.25, 0.375, 0.75, 0.875]], atol=2e-3)
    easel.drag((64, 36), (64, 24), steps=4)  # the handle of the upper side
    assert np.allclose(easel.boxes(), [[0.25, 0.25, 0.75, 0.875]], atol=2e-3)
    easel.drag((64, 60), (200, 90), steps=4)  # no further than the picture goes
    assert np.allclose(easel.boxes(), [[0.5, 0.375, 1, 1]], atol=2e-3)
    assert [change["stroke"] for change in easel.changes] == ["box"] * 5
    easel.press("Delete")
    assert easel.boxes() == []
    for _ in range(6):
        easel.press("z")
    assert easel.boxes() == []
    easel.press("Shift+Z")
    assert easel.boxes() == drawn
    mark = mark_from_json({"presence": "yes", **easel.changes[-1]["mark"]}, FIRST)
    assert len(mark.boxes) == 1


def test_a_click_chooses_a_box_and_a_drag_inside_draws_another(easel: Easel):
    boxes = [[0.1, 0.1, 0.9, 0.9], [0.5, 0.5, 0.8, 0.8]]
    easel.open(marks={FIRST: {"mask": None, "boxes": boxes}})
    easel.call("tool", "box")
    easel.drag((32, 24), (48, 36), steps=3)
    assert np.allclose(easel.boxes()[2], [0.25, 0.25, 0.375, 0.375], atol=2e-3)
    assert easel.boxes()[:2] == boxes
    easel.press("Escape")
    easel.press("Delete")
    assert len(easel.boxes()) == 3
    easel.click(82, 62)  # the uppermost there is the second
    assert easel.state["box"]
    easel.press("Backspace")
    assert len(easel.boxes()) == 2
    assert easel.boxes()[0] == boxes[0]
    easel.call("tool", "brush")
    easel.drag((5, 48), (120, 48))
    assert len(easel.boxes()) == 2


def test_there_are_not_more_boxes_than_a_mark_may_hold(easel: Easel):
    boxes = [[0.5, 0.5, 0.9, 0.9]] * 200
    easel.open(marks={FIRST: {"mask": None, "boxes": boxes}})
    easel.call("tool", "box")
    easel.drag((10, 10), (30, 30))
    assert easel.boxes() == boxes
    assert easel.messages == ["At most 200 boxes a concept; use the brush."]


def zoom_in(easel: Easel, x: float, y: float) -> None:
    easel.move(x, y)
    for _ in range(3):
        easel.page.mouse.wheel(0, -200)
    easel.page.wait_for_function("state.zoom > 4")
    easel.settle()


def test_the_wheel_zooms_to_the_pointer_and_strokes_land_on_its_pixels(easel: Easel):
    fitted = easel.page.locator(".frame").bounding_box()
    place = easel.at(100.5, 20.5)
    zoom_in(easel, 100.5, 20.5)
    assert np.allclose(
        easel.at(100.5, 20.5), place, atol=2
    )  # of the page, as 28 are one of the mask
    easel.call("tool", "brush")
    easel.call("size", 1)
    easel.click(100.5, 20.5)
    easel.click(104.5, 23.5)
    easel.call("tool", "patch")
    assert np.argwhere(easel.pixels()).tolist() == [[20, 100], [23, 104]]
    easel.move(110, 30)
    easel.settle()
    assert easel.ink(100.5, 20.5)[3] > 50
    assert easel.ink(103.5, 20.5)[3] == 0
    easel.press("0")
    assert easel.page.locator(".frame").bounding_box() == fitted
    assert easel.state["zoom"] == 1


def test_space_and_the_middle_button_move_the_picture_and_paint_nothing(easel: Easel):
    zoom_in(easel, 64, 48)
    for button, key in (("left", " "), ("middle", None)):
        before = easel.page.locator(".frame").bounding_box()
        easel.page.mouse.move(400, 300)
        if key:
            easel.page.keyboard.down(key)
        easel.page.mouse.down(button=button)
        easel.page.mouse.move(440, 275, steps=4)
        easel.page.mouse.up(button=button)
        if key:
            easel.page.keyboard.up(key)
        after = easel.page.locator(".frame").bounding_box()
        assert round(after["x"] - before["x"]) == 40
        assert round(after["y"] - before["y"]) == -25
    assert easel.changes == []


def test_a_double_click_fits_where_a_click_paints_nothing(easel: Easel):
    zoom_in(easel, 64, 48)
    easel.call("tool", "brush")
    easel.page.mouse.dblclick(*easel.at(64, 48))
    assert easel.state["zoom"] > 4
    easel.call("tool", "box")
    easel.page.mouse.dblclick(*easel.at(64, 48))
    assert easel.state["zoom"] == 1


def test_brackets_change_the_size_of_each_brush(easel: Easel):
    easel.press("]")
    assert easel.state["size"] == 3 * 96 / 6
    easel.call("tool", "brush")
    assert easel.state["size"] == 16
    easel.press("]")
    easel.press("]")
    easel.press("[")
    assert easel.state["size"] == 24
    easel.call("tool", "eraser")
    assert easel.state["size"] == 16
    easel.call("size", 10_000)
    assert easel.state["size"] == 256
    easel.page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {"
        " key: '[', ctrlKey: true, altKey: true, modifierAltGraph: true, bubbles: true }))"
    )
    assert easel.state["size"] == 192
    easel.call("tool", "patch")
    easel.call("size", 16)
    for _ in range(9):
        easel.press("[")
    assert easel.state["size"] == 16


def test_a_suggestion_looks_different_and_is_accepted_as_one_step(easel: Easel):
    region = disc(easel, 80, 50, 50)
    easel.call("suggest", FIRST, {"mask": mask_of(region)})
    patterns = []
    for accepted in (False, True):
        if accepted:
            assert easel.call("acceptSuggestion") is True
        easel.settle()
        patterns.append([tuple(easel.ink(80 + step, 50)) for step in np.arange(-8, 8, 0.4)])
    hatched, filled = patterns
    assert len(set(filled)) == 1
    assert len(set(hatched)) > 2
    assert filled[0] not in hatched
    assert differs(easel.pixels(), region) == 0
    (change,) = easel.changes
    assert (change["origin"], change["stroke"]) == ("suggestion", "suggestion")
    assert easel.call("acceptSuggestion") is False
    easel.press("z")
    assert not easel.pixels().any()
    assert easel.state["suggestion"]
    assert easel.changes[-1]["origin"] == "reader"
    easel.press("Shift+Z")
    assert easel.changes[-1]["origin"] == "suggestion"
    assert not easel.state["suggestion"]


def test_a_suggestion_may_come_in_the_middle_of_a_stroke(easel: Easel):
    easel.call("tool", "brush")
    easel.move(20, 20)
    easel.page.mouse.down()
    easel.move(60, 20)
    easel.call("suggest", FIRST, {"cells": [[5, 7]]})
    assert easel.ink(40, 20)[3] > 50
    easel.move(100, 20)
    easel.page.mouse.up()
    assert differs(easel.pixels(), swept(easel, (20, 20), (100, 20), 16)) <= 8
    easel.call("acceptSuggestion")
    assert easel.pixels()[88:, 120:].all()
    easel.press("z")
    easel.press("z")
    assert not easel.pixels().any()


def test_a_suggestion_of_cells_adds_to_what_was_painted(easel: Easel):
    easel.click(8, 8)
    easel.call("suggest", SECOND, {"cells": [[1, 1]]})
    easel.call("suggest", FIRST, {"cells": [[0, 1], [5, 7]]})
    assert easel.changes[-1]["stroke"] == "patch"
    easel.call("acceptSuggestion")
    assert differs(easel.pixels(), cells(easel, (0, 0), (0, 1), (5, 7))) == 0
    assert not easel.pixels(SECOND).any()
    easel.press("z")
    assert differs(easel.pixels(), cells(easel, (0, 0))) == 0
    easel.call("suggest", FIRST, None)
    assert not easel.state["suggestion"]


def test_other_concepts_are_outlined_and_not_filled(easel: Easel):
    left, right = disc(easel, 35, 48, 50), disc(easel, 95, 48, 50)
    marks = {
        name: {"mask": mask_of(region), "boxes": []}
        for name, region in ((FIRST, left), (SECOND, right))
    }
    easel.open(marks=marks)
    assert easel.ink(35, 48)[3] > 50
    assert easel.ink(95, 48)[3] == 0
    crossing = [easel.ink(70 + step, 48)[3] for step in np.arange(-2, 2, 0.15)]
    assert max(crossing) > 150
    easel.call("choose", SECOND)
    assert easel.ink(35, 48)[3] == 0
    assert easel.ink(95, 48)[3] > 50


def test_only_what_changed_is_painted_anew_and_looks_as_if_all_was(easel: Easel):
    easel.call("tool", "brush")
    easel.drag((20, 20), (100, 70), (90, 10), steps=5)
    easel.call("choose", SECOND)
    easel.drag((30, 80), (100, 20), steps=5)
    easel.call("tool", "eraser")
    easel.drag((60, 20), (70, 90), steps=5)
    easel.press("z")
    url = "document.querySelector('.regions').toDataURL()"
    piece_by_piece = easel.page.evaluate(url)
    easel.call("choose", SECOND)
    assert easel.page.evaluate(url) == piece_by_piece


def test_the_keyboard_paints_and_erases_cells(easel: Easel):
    easel.page.keyboard.press("Tab")
    easel.press("ArrowDown")  # from the middle
    reading = easel.page.locator(".reading")
    expect(reading).to_have_text("row 4, column 4: not marked")
    easel.press("Enter")
    expect(reading).to_have_text("row 4, column 4: marked")
    easel.press("ArrowRight")
    easel.press(" ")
    for _ in range(9):
        easel.press("ArrowRight")
    easel.press("Enter")
    assert differs(easel.pixels(), cells(easel, (4, 4), (4, 5), (4, 7))) == 0
    easel.press("Control+Enter")
    easel.call("tool", "eraser")
    easel.press("ArrowLeft")
    easel.press("ArrowLeft")
    easel.press("Enter")
    assert differs(easel.pixels(), cells(easel, (4, 4))) == 0
    assert [change["stroke"] for change in easel.changes] == ["patch"] * 3 + ["eraser"] * 2
    easel.open(grid=(2, 2))
    assert not reading.is_visible()


def test_leaving_a_case_in_mid_stroke_keeps_what_was_painted(easel: Easel):
    easel.call("tool", "brush")
    easel.move(20, 20)
    easel.page.mouse.down()
    easel.move(80, 20)
    easel.call("close")
    easel.page.mouse.up()
    (change,) = easel.changes
    mask = Mask.from_json(change["mark"]["mask"])
    assert mask.pixels()[20, 20:80].all()
    assert not easel.page.locator(".frame").is_visible()
    easel.press("z")
    assert len(easel.changes) == 1
    easel.open()
    assert easel.state["undo"] == 0
    assert not easel.pixels().any()


@pytest.fixture
def touched(browser: Browser) -> Iterator[tuple[Easel, CDPSession]]:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, has_touch=True)
    easel = Easel(context.new_page())
    easel.open()
    yield easel, context.new_cdp_session(easel.page)
    assert easel.complaints == []
    context.close()


def touch(devtools: CDPSession, kind: str, *places: tuple[float, float]) -> None:
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    devtools.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})


def test_a_finger_and_a_pen_paint(touched: tuple[Easel, CDPSession]):
    easel, devtools = touched
    easel.call("tool", "brush")
    easel.call("size", 9)
    touch(devtools, "Start", easel.at(20, 20))
    touch(devtools, "Move", easel.at(60, 20))
    touch(devtools, "Move", easel.at(100, 40))
    touch(devtools, "End")
    way = swept(easel, (20, 20), (60, 20), 9) | swept(easel, (60, 20), (100, 40), 9)
    assert differs(easel.pixels(), way) <= 12
    for kind, place in (("Pressed", (20, 70)), ("Moved", (90, 70)), ("Released", (90, 70))):
        x, y = easel.at(*place)
        event = {"type": f"mouse{kind}", "x": x, "y": y, "button": "left", "pointerType": "pen"}
        buttons = {"buttons": int(kind != "Released"), "clickCount": 1}
        devtools.send("Input.dispatchMouseEvent", {**event, **buttons})
    assert differs(easel.pixels(), way | swept(easel, (20, 70), (90, 70), 9)) <= 20
    assert len(easel.changes) == 2


@pytest.mark.parametrize("tool", ["brush", "polygon", "box"])
def test_two_fingers_zoom_and_what_the_first_drew_is_taken_back(
    touched: tuple[Easel, CDPSession], tool: str
):
    easel, devtools = touched
    easel.call("tool", tool)
    (x0, y0), (x1, y1) = easel.at(50, 48), easel.at(80, 48)
    touch(devtools, "Start", (x0, y0))
    touch(devtools, "Start", (x0, y0), (x1, y1))
    for step in range(1, 6):
        touch(devtools, "Move", (x0 - 20 * step, y0), (x1 + 20 * step, y1))
    touch(devtools, "End")
    assert easel.state["zoom"] > 1.5
    assert easel.changes == []
    assert not easel.pixels().any()
    assert easel.state["polygon"] == 0
    easel.press("0")
    easel.settle()
    assert easel.ink(50, 48)[3] == 0


def test_a_stroke_costs_no_more_after_many(context: BrowserContext):
    """The benchmark measures 2 000; this one leaves room for what else the computer does."""
    easel = Easel(context.new_page())
    easel.open(height=512, width=512)
    costs = [cost.encoded for cost in draw(easel, 120)]
    assert statistics.median(costs[-20:]) <= 2 * statistics.median(costs[:20]) + 1
    assert easel.state["undo"] > 100
    assert easel.complaints == []
