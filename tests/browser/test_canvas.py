"""The canvas: zoom and pan, heat and contours, threshold."""

import re

from playwright.sync_api import Browser, expect
from visit import Server, Studio

READING = "[data-ref=reading]"
ALPHAS = """() => { const heat = document.querySelector('[data-ref=heat]');
  const { data } = heat.getContext('2d').getImageData(0, 0, heat.width, heat.height);
  return [...data].filter((_, index) => index % 4 === 3); }"""
CONTOUR = """() => { const lines = document.querySelector('[data-ref=contours]');
  const { data } = lines.getContext('2d').getImageData(0, 0, lines.width, lines.height);
  return data.filter((value, index) => index % 4 === 3 && value > 0).length; }"""


def frame(studio: Studio) -> dict[str, float]:
    return studio.page.locator("[data-ref=frame]").bounding_box()


def test_the_wheel_zooms_at_the_cursor_and_marks_stay_on_their_patches(studio: Studio):
    page, fitted = studio.page, frame(studio)
    studio.press("s")
    x, y = studio.centre(3, 10)
    page.mouse.move(x, y)
    for _ in range(3):
        page.mouse.wheel(0, -200)
    expect(page.locator("[data-ref=zoom]")).to_have_text("448 %")
    expect(page.locator(READING)).to_contain_text("row 3, column 10")
    zoomed = frame(studio)
    assert zoomed["width"] / fitted["width"] > 4.4
    for place, side, at in (("x", "width", x), ("y", "height", y)):
        before = (at - fitted[place]) / fitted[side]
        assert abs((at - zoomed[place]) / zoomed[side] - before) < 1e-3
    studio.click(3, 10)
    assert "1 patch" in studio.chips()[0]
    expect(page.locator(READING)).to_contain_text("row 3, column 10")
    for layer in ("marks", "heat", "contours"):
        assert (
            page.evaluate(
                "name => ['offsetWidth', 'offsetHeight'].map((side) =>"
                " document.querySelector(`[data-ref=${name}]`)[side])",
                layer,
            )
            == [round(zoomed["width"]), round(zoomed["height"])]
            or layer == "contours"
        )
    studio.press("0")
    assert frame(studio) == fitted
    page.mouse.move(*studio.centre(3, 10))
    expect(page.locator(READING)).to_contain_text("row 3, column 10")


def test_space_or_the_middle_button_moves_the_picture_and_marks_nothing(studio: Studio):
    page = studio.page
    page.locator("button[data-tool=suppress]").click()  # keeps the focus: space must not press it
    page.mouse.move(*studio.centre(7, 7))
    page.mouse.wheel(0, -400)
    for button, key in (("left", " "), ("middle", None)):
        before = frame(studio)
        x, y = studio.page.viewport_size["width"] / 2 - 150, 300
        page.mouse.move(x, y)
        if key:
            page.keyboard.down(key)
        page.mouse.down(button=button)
        page.mouse.move(x + 40, y - 25, steps=4)
        page.mouse.up(button=button)
        if key:
            page.keyboard.up(key)
        after = frame(studio)
        assert round(after["x"] - before["x"]) == 40
        assert round(after["y"] - before["y"]) == -25
    assert studio.chips() == []


def test_two_fingers_zoom_and_mark_nothing(browser: Browser, server: Server):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, has_touch=True)
    studio = Studio(context.new_page(), server.url)
    devtools = context.new_cdp_session(studio.page)
    studio.press("s")
    fitted = frame(studio)
    places = {column: studio.centre(7, column) for column in (4, 6, 8, 10)}
    for kind, columns in (("Start", [6]), ("Start", [6, 8]), ("Move", [4, 10]), ("End", [])):
        points = [
            {"x": places[column][0], "y": places[column][1], "id": number}
            for number, column in enumerate(columns)
        ]
        touch = {"type": f"touch{kind}", "touchPoints": points}
        devtools.send("Input.dispatchTouchEvent", touch)
    assert frame(studio)["width"] > 2 * fitted["width"]
    assert studio.chips() == []
    context.close()


def test_contours_follow_the_edits_and_h_brings_the_heat_back(studio: Studio):
    page = studio.page
    studio.press("h")
    expect(page.locator("[data-overlay=contour]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-ref=heat]")).to_be_hidden()
    studio.press("f")
    studio.drag((4, 4), (4, 9))
    forced = page.evaluate(CONTOUR)
    assert forced > 0
    studio.after(lambda: studio.press("z"))
    assert page.evaluate(CONTOUR) != forced
    studio.press("h")
    expect(page.locator("[data-ref=heat]")).to_be_visible()
    expect(page.locator("[data-ref=contours]")).to_be_hidden()


def test_the_threshold_hides_what_lies_below_it(studio: Studio):
    page = studio.page
    studio.press("f")
    studio.click(4, 4)
    shown = sum(alpha > 0 for alpha in page.evaluate(ALPHAS))
    slider = page.locator("[data-ref=threshold]")
    slider.focus()
    for _ in range(90):
        page.keyboard.press("ArrowRight")
    expect(page.locator("[data-ref=thresholdValue]")).to_have_text(re.compile(r"0\.90"))
    above = [index for index, alpha in enumerate(page.evaluate(ALPHAS)) if alpha > 0]
    assert 4 * 14 + 4 in above
    assert len(above) < shown
