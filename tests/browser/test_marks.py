"""Marks on patches: regions for every concept, rectangles, touch."""

import re

import pytest
from playwright.sync_api import Browser, expect
from visit import Server, Studio

WHOLE = [(3, 0), (3, 13), (10, 13), (10, 0)]
STATUS = "[data-ref=safety]"


def ink(studio: Studio, row: int, column: int) -> list[int]:
    """Colour and opacity of the marks over the middle of a patch."""
    return studio.page.evaluate(
        "([row, column]) => { const marks = document.querySelector('[data-ref=marks]');"
        " const at = (index, length) => Math.round((index + 0.5) * length / 14);"
        " return [...marks.getContext('2d').getImageData("
        "   at(column, marks.width), at(row, marks.height), 1, 1).data]; }",
        [row, column],
    )


def test_ignoring_patches_suppresses_them_for_every_concept(studio: Studio):
    studio.press("3")
    numbers = studio.numbers()
    studio.press("i")
    for _ in range(3):
        studio.press("]")
    studio.drag(*WHOLE)
    assert re.match(r"1 Ignore 196 patches\s", studio.chips()[0])
    assert studio.numbers() != numbers
    ignored = studio.numbers()
    studio.after(lambda: studio.press("r"))
    for concept in "123":
        studio.press(concept)
        studio.press("s")
        studio.drag(*WHOLE)
    assert studio.numbers() == ignored


def test_the_first_focus_mark_says_what_it_does_and_dims_the_rest(studio: Studio):
    studio.press("o")
    studio.click(5, 5)
    expect(studio.page.locator(STATUS)).to_have_text(
        re.compile(r"Focus dims everything outside it: \w+ \d\.\d\d → \d\.\d\d$")
    )
    assert ink(studio, 0, 0)[3] > 100
    assert ink(studio, 5, 5)[3] == 0
    focused = studio.numbers()
    studio.click(6, 6)
    expect(studio.page.locator(STATUS)).not_to_contain_text("Focus dims")
    studio.after(lambda: studio.press("z"))
    assert studio.numbers() == focused


def test_erasing_takes_focus_and_ignored_patches_away(studio: Studio):
    numbers = studio.numbers()
    for tool in "io":
        studio.press(tool)
        studio.click(5, 5)
        assert studio.numbers() != numbers or tool == "i"
        studio.press("e")
        studio.click(5, 5)
        assert studio.numbers() == numbers
        assert ink(studio, 0, 0)[3] == 0


def test_kinds_of_marks_differ_in_pattern_not_only_in_colour(studio: Studio):
    patterns = set()
    for tool in "sfi":
        studio.press(tool)
        studio.drag((4, 4), (4, 7))
        patterns.add(
            studio.page.evaluate(
                "() => { const marks = document.querySelector('[data-ref=marks]');"
                " const [w, h] = [marks.width / 14, marks.height / 14];"
                " const { data } = marks.getContext('2d').getImageData(5 * w, 4 * h, 2 * w, h);"
                " return data.filter((_, index) => index % 4 === 3)"
                "   .map((alpha) => Number(alpha > 90)).join(''); }"
            )
        )
        studio.after(lambda: studio.press("r"))
    assert len(patterns) == 3


def inked(studio: Studio) -> bool:
    """Whether any mark is drawn."""
    return studio.page.evaluate(
        "() => { const marks = document.querySelector('[data-ref=marks]');"
        " const { data } = marks.getContext('2d').getImageData(0, 0, marks.width, marks.height);"
        " return data.some((value, index) => index % 4 === 3 && value > 0); }"
    )


def test_an_answer_that_is_weighed_moves_the_evidence_in_part_and_says_what_it_adds(
    studio: Studio,
):
    reject = studio.page.locator(".concept .reject").nth(1)
    studio.press("2")
    studio.after(reject.click)
    studio.after(lambda: studio.page.select_option("[data-ref=model]", "second"))
    numbers, overlay = studio.numbers(), studio.overlay()
    studio.after(reject.click)
    assert inked(studio)
    assert studio.overlay() != overlay
    before, after = (
        [re.search(r"now, contribution ([+−][\d.]+)", line) for line in lines]
        for lines in (numbers, studio.numbers())
    )
    changed = [
        bool(one and other and one[1] != other[1]) for one, other in zip(before, after, strict=True)
    ]
    assert sum(changed) == 1
    row = studio.page.locator(".concept").nth(1)
    said = row.locator(".parts").inner_text()
    parts = re.fullmatch(r"image ([+−]\d\.\d\d), your answer ([+−]\d\.\d\d)", said)
    assert parts
    whole, image, answer = (
        float(number.replace("−", "-"))
        for number in (row.locator(".num").last.inner_text(), *parts.groups())
    )
    assert whole == pytest.approx(image + answer, abs=0.011)
    unanswered = before[changed.index(True)]
    assert unanswered and image == float(unanswered[1].replace("−", "-"))
    assert said in (row.get_attribute("aria-label") or "")
    assert studio.page.locator(".concept .parts:not(:empty)").count() == 1
    similarity = re.compile(r"similarity (\S+) before, (\S+) now")
    shown = [found for line in studio.numbers() if (found := similarity.search(line))]
    pairs = [tuple(float(value.replace("−", "-")) for value in found.groups()) for found in shown]
    moved = [(before, now) for before, now in pairs if before != now]
    # The second model goes 0.4 of the way to its absent profile, -0.5.
    assert len(moved) == 1 < len(pairs)
    assert moved[0][1] == pytest.approx(0.6 * moved[0][0] - 0.2, abs=0.011)
    studio.press("p")  # the words are part of what a room should be able to read
    words = row.locator(".parts")
    assert words.evaluate("node => parseFloat(getComputedStyle(node).fontSize)") >= 16
    left, name = words.bounding_box(), row.locator(".name").bounding_box()
    assert left and name and left["x"] == pytest.approx(name["x"], abs=1)
    studio.press("p")


def test_holding_shift_fills_a_rectangle(studio: Studio):
    for tool in "sfio":
        studio.press(tool)
        studio.page.keyboard.down("Shift")
        studio.drag((8, 9), (2, 3), (4, 6))
        studio.page.keyboard.up("Shift")
    assert all("20 patches" in chip for chip in studio.chips())
    assert len(studio.chips()) == 4


def test_a_finger_and_a_pen_draw_strokes(browser: Browser, server: Server):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, has_touch=True)
    studio = Studio(context.new_page(), server.url)
    devtools = context.new_cdp_session(studio.page)
    studio.press("s")

    def finger() -> None:
        for kind, cell in (("Start", (3, 2)), ("Move", (3, 6)), ("Move", (3, 8)), ("End", None)):
            x, y = studio.centre(*cell) if cell else (0, 0)
            points = [{"x": x, "y": y}] if cell else []
            devtools.send(
                "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
            )

    def pen() -> None:
        for kind, cell in (("Pressed", (9, 2)), ("Moved", (9, 5)), ("Released", (9, 5))):
            x, y = studio.centre(*cell)
            devtools.send(
                "Input.dispatchMouseEvent",
                {
                    "type": f"mouse{kind}",
                    "x": x,
                    "y": y,
                    "button": "left",
                    "buttons": int(kind != "Released"),
                    "pointerType": "pen",
                    "clickCount": 1,
                },
            )

    studio.after(finger)
    assert "7 patches" in studio.chips()[0]
    studio.after(pen)
    assert "4 patches" in studio.chips()[1]
    assert studio.complaints == []
    context.close()
