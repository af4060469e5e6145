"""Meeting-room screens and tablets: room, type, and targets that a finger can hit."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from visit import Server, Studio

SMALL_TARGETS = """
[...document.querySelectorAll(".studio button, .studio select, .studio input, .studio [role=tab]")]
  .filter((node) => node.type !== "file" && node.getClientRects().length)
  .map((node) => (node.type === "checkbox" ? node.closest("label") : node))
  .filter((node) => {
    const { width, height } = node.getBoundingClientRect();
    return Math.min(width, height) < 40;
  })
  .map((node) => node.outerHTML.slice(0, 80))
"""
SIDEWAYS = """
[...document.querySelectorAll(".studio, .review, .view, .evidence, .under, .top, .tools")]
  .filter((node) => node.scrollWidth > node.clientWidth)
  .map((node) => node.className)
"""


@pytest.fixture(params=[(1024, 768), (768, 1024)], ids=["landscape", "portrait"])
def tablet(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Studio]:
    width, height = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=True, is_mobile=True
    )
    studio = Studio(context.new_page(), server.url)
    yield studio
    assert studio.complaints == []
    context.close()


class Fingers:
    """What touches the screen, and moves over it."""

    def __init__(self, studio: Studio) -> None:
        self._page = studio.page
        self._devtools = studio.page.context.new_cdp_session(studio.page)

    def touch(self, kind: str, *places: tuple[float, float]) -> None:
        """Start, Move or End with fingers at these places, and see it painted."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        event = {"type": f"touch{kind}", "touchPoints": points}
        self._devtools.send("Input.dispatchTouchEvent", event)
        for _ in range(2):
            self._page.evaluate("new Promise(requestAnimationFrame)")


def swipe(studio: Studio, *cells: tuple[int, int]) -> None:
    """Draw with one finger."""
    fingers = Fingers(studio)
    for kind, cell in zip(["Start"] + ["Move"] * (len(cells) - 1), cells, strict=True):
        fingers.touch(kind, studio.centre(*cell))
    studio.after(lambda: fingers.touch("End"))


def test_a_large_screen_has_a_larger_image_and_larger_type(studio: Studio):
    page = studio.page
    size = (
        "document.defaultView.getComputedStyle(document.querySelector('.concept .name')).fontSize"
    )
    small = page.locator("[data-ref=frame]").bounding_box()["width"]
    assert page.evaluate(size) == "14px"
    page.set_viewport_size({"width": 1920, "height": 1080})
    assert page.locator("[data-ref=frame]").bounding_box()["width"] > 1.5 * small
    assert page.evaluate(size) == "16px"


def test_a_box_is_dragged_without_shift_until_it_is_switched_off(studio: Studio):
    box = studio.page.locator("[data-ref=box]")
    expect(box).to_have_attribute("aria-pressed", "false")
    studio.press("s")
    studio.press("x")
    expect(box).to_have_attribute("aria-pressed", "true")
    studio.drag((2, 2), (4, 6))
    assert "15 patches" in studio.chips()[0]
    box.click()
    expect(box).to_have_attribute("aria-pressed", "false")
    studio.drag((2, 8), (2, 11))
    assert "4 patches" in studio.chips()[1]


def test_a_finger_draws_boxes_and_erases_them(tablet: Studio):
    numbers = tablet.numbers()
    page = tablet.page
    page.locator("button[data-tool=force]").tap()
    page.locator("[data-ref=box]").tap()
    swipe(tablet, (3, 3), (5, 6))
    assert "12 patches" in tablet.chips()[0]
    assert tablet.numbers() != numbers
    page.locator("button[data-tool=erase]").tap()
    swipe(tablet, (5, 6), (3, 3))
    assert tablet.numbers() == numbers


def test_two_fingers_zoom_and_move_the_picture(tablet: Studio):
    page = tablet.page
    fingers = Fingers(tablet)
    page.locator("button[data-tool=suppress]").tap()
    frame = page.locator("[data-ref=frame]")
    fitted = frame.bounding_box()
    x, y = tablet.centre(7, 7)
    fingers.touch("Start", (x - 40, y))
    fingers.touch("Start", (x - 40, y), (x + 40, y))
    fingers.touch("Move", (x - 120, y), (x + 120, y))
    zoomed = frame.bounding_box()
    assert zoomed["width"] == pytest.approx(3 * fitted["width"], rel=0.01)
    fingers.touch("Move", (x - 90, y + 20), (x + 150, y + 20))
    moved = frame.bounding_box()
    assert moved["width"] == pytest.approx(zoomed["width"], rel=0.01)
    assert (moved["x"] - zoomed["x"], moved["y"] - zoomed["y"]) == pytest.approx((30, 20), abs=1)
    fingers.touch("End")
    assert tablet.chips() == []


def test_fingers_reach_every_control_of_a_tablet(tablet: Studio):
    page = tablet.page
    assert page.evaluate(SMALL_TARGETS) == []
    page.locator("[data-ref=blind]").tap()
    assert page.evaluate(SMALL_TARGETS) == []
    page.locator("[data-ref=callChoices] button").first.tap()
    page.locator("[data-ref=openKeeping]").tap()
    page.locator("[data-ref=notices]").tap()
    tablet.after(page.locator(".concept .reject").last.tap)
    expect(page.locator(".concept .reject").last).to_have_attribute("aria-pressed", "true")
    page.locator("[data-ref=semantics]").select_option("both")
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate(SIDEWAYS) == []
    tablet.after(page.locator("[data-ref=nextCase]").tap)
    page.get_by_role("tab", name="About").tap()
    assert page.evaluate(SIDEWAYS) == []
