"""Take the pictures of README.md again, all at 1280 × 720, with the bundled phantom cases only.

    python tests/browser/take_pictures.py

It serves the studio on a port of its own, uses it like a person, and writes `assets/pictures/`.
"""

import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from conftest import FLAGS  # noqa: E402
from desk import Desk  # noqa: E402
from visit import Server, Studio  # noqa: E402

__all__ = ["main"]

PICTURES = ROOT / "assets" / "pictures"
MAX_BYTES = 300_000
WINDOW = {"width": 1280, "height": 720}
READ_UP = 2500
"""Milliseconds after which the advice of the server has come."""


def review(studio: Studio) -> None:
    studio.page.wait_for_timeout(READ_UP)


def edited(studio: Studio) -> None:
    """Suppress, force and ignore patches; reject a concept."""
    streaks = studio.page.locator(".concept[data-concept=streaks]")
    streaks.locator(".name").click()
    studio.press("x")
    studio.press("s")
    studio.drag((6, 11), (8, 12))
    studio.press("f")
    studio.drag((4, 6), (4, 8))
    studio.press("i")
    studio.drag((12, 0), (13, 2))
    studio.after(studio.page.locator("[data-concept=negative_network] .reject").click)
    streaks.locator(".name").click()
    studio.page.mouse.move(640, 700)
    studio.page.wait_for_timeout(READ_UP)


def what_if(studio: Studio) -> None:
    studio.page.locator("[data-concept=blue_whitish_veil] .name").click()
    studio.press("s")
    for _ in range(3):
        studio.press("]")
    studio.page.mouse.move(*studio.centre(7, 8))
    studio.page.wait_for_timeout(READ_UP)


def change_answer(studio: Studio) -> None:
    studio.press("w")
    studio.page.locator("[data-ref=suggestion]").wait_for()
    studio.page.wait_for_timeout(READ_UP)


def blind(studio: Studio) -> None:
    studio.press("b")


def present(studio: Studio) -> None:
    edited(studio)
    studio.press("p")
    studio.page.get_by_role("button", name="Dismiss").click()
    studio.page.mouse.move(*studio.centre(7, 11))
    studio.page.wait_for_timeout(READ_UP)


def light(studio: Studio) -> None:
    studio.page.locator("[data-ref=theme]").click()
    edited(studio)


def report(studio: Studio) -> None:
    """Download the report, and look at it instead of the studio."""
    edited(studio)
    page = studio.page
    page.locator("[data-ref=openKeeping]").click()
    page.locator("[data-ref=comment]").fill("No negative network: reflections of the lens.")
    with page.expect_download() as download:
        page.locator("[data-keep=html]").click()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        download.value.save_as(path)
        page.goto(path.as_uri())
        page.set_viewport_size({"width": 800, "height": 1080})


def annotate(desk: Desk) -> None:
    """Read two cases, and have the model help with the third."""
    desk.sign_in("Ann")
    for following in ("phantom-2", "phantom-3"):
        desk.press("2", "y", "Shift+Digit2")
        desk.done(following)
    desk.part("rows").locator("button", has_text="phantom-1").click()
    desk.wait_for_case("phantom-1")
    desk.press("r", "m", "m", "2", "p")
    desk.drag((0.2, 0.68), (0.25, 0.6), (0.36, 0.54), (0.36, 0.7), (0.25, 0.68))
    desk.press("7", "b", "]", "]", "]", "]", "]")
    desk.drag((0.52, 0.68), (0.54, 0.6), (0.5, 0.55))
    desk.press("4")
    hints = desk.page.locator(".mark-row .suggested")
    expect(hints.first).to_contain_text("model:", timeout=60_000)
    desk.saved()
    desk.page.mouse.move(640, 710)
    desk.page.wait_for_timeout(READ_UP)


STATES: tuple[Callable[[Studio], None], ...] = (
    *(review, edited, what_if, change_answer, blind, present, light, report),
)


def save(page: Page, path: Path) -> None:
    """Save a screenshot with a palette of its own."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = picture.quantize(
        256, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
    )
    data = io.BytesIO()
    small.save(data, "PNG", optimize=True)
    if data.tell() > MAX_BYTES:
        raise ValueError(f"{path.name} has {data.tell()} bytes; at most {MAX_BYTES} are wanted.")
    path.write_bytes(data.getvalue())


def main() -> None:
    """Visit the studio once a picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        store = str(Path(temporary) / "annotations.db")
        server = Server(ROOT / "checkpoints", Path(temporary), options=("--store", store))
        server.start()
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            for state in STATES:
                context = browser.new_context(viewport=WINDOW)
                studio = Studio(context.new_page(), server.url)
                state(studio)
                save(studio.page, PICTURES / f"{state.__name__}.png")
                context.close()
            desk = Desk(browser.new_context(viewport=WINDOW), server)
            annotate(desk)
            save(desk.page, PICTURES / "annotate.png")
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
