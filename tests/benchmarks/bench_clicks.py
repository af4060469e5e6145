"""Measure what a hand feels in Chromium: clicks to repaint, and what-if under a moving mouse.

    python tests/benchmarks/bench_clicks.py [--checkpoints DIR] [--clicks N]

The clock starts at the time stamp of the mouse press event, includes the release, the request, the
reasoning and the answer, and stops in the frame after the one that painted numbers and overlay.
For what-if it starts at the time stamp of the mouse move and stops once the frame with the new
reading is painted; the page's own work in between is printed too.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
TARGET_MEDIAN, TARGET_P95 = 50, 100  # milliseconds
TARGET_HOVER = 16
HOVERS = 50  # each ends on another patch than the one before
STROKES = 300  # made before the last ten clicks, which are compared with the first ten
TARGET_SLOWER = 1.3

WATCH_HOVER = """() => {
  window.hovers = [];
  let moved = null;
  addEventListener('pointermove', (event) =>
    (moved = [event.timeStamp, performance.now()]), true);
  const painted = new MessageChannel();
  painted.port1.onmessage = ({ data: [stamp, began, worked] }) =>
    window.hovers.push({ paint: performance.now() - stamp, work: worked - began });
  new MutationObserver(() => {
    if (!moved) return;
    const times = [...moved, performance.now()];
    moved = null;
    requestAnimationFrame(() => painted.port2.postMessage(times));
  }).observe(document.querySelector('[data-ref=reading]'), { childList: true });
}"""

WATCH = """() => {
  const studio = document.querySelector('[data-ref=studio]');
  window.latencies = [];
  let pressed = null;
  addEventListener('pointerdown', (event) => (pressed = event.timeStamp), true);
  new MutationObserver(() =>
    requestAnimationFrame(() => {
      if (pressed !== null) window.latencies.push(performance.now() - pressed);
      pressed = null;
    })
  ).observe(studio, { attributeFilter: ['data-painted'] });
}"""


def measure(page: Page, clicks: int) -> list[float]:
    """Click patches one after another, suppressing and forcing, and return milliseconds."""
    page.wait_for_selector("[data-ref=studio][data-painted]", timeout=120_000)
    page.evaluate(WATCH)
    box = page.locator("[data-ref=frame]").bounding_box()
    for click in range(clicks):
        page.keyboard.press("sf"[click % 2])
        x = box["x"] + box["width"] * (0.1 + 0.8 * ((7 * click) % clicks) / clicks)
        y = box["y"] + box["height"] * (0.1 + 0.8 * ((13 * click) % clicks) / clicks)
        page.mouse.click(x, y)
        page.wait_for_function(f"window.latencies.length > {click}", polling=5)
    return page.evaluate("window.latencies")


def measure_hover(page: Page, moves: int) -> list[dict[str, float]]:
    """Move over patches with each marking tool in turn, and return milliseconds of each move."""
    page.evaluate(WATCH_HOVER)
    box = page.locator("[data-ref=frame]").bounding_box()
    for move in range(moves):
        page.keyboard.press("sfio"[move % 4])
        seen = page.evaluate("window.hovers.length")
        x = box["x"] + box["width"] * (0.1 + 0.8 * ((7 * move) % moves) / moves)
        y = box["y"] + box["height"] * (0.1 + 0.8 * ((13 * move) % moves) / moves)
        page.mouse.move(x, y)
        page.wait_for_function(f"window.hovers.length > {seen}", polling=5)
    return page.evaluate("window.hovers")


def main() -> None:
    """Serve the studio, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--clicks", type=int, default=STROKES + 10)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from visit import FLAGS, Server

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        server = Server(arguments.checkpoints, Path(temporary))
        server.start()
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=FLAGS
            )
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(server.url)
            latencies = measure(page, arguments.clicks)
            hovers = measure_hover(page, HOVERS)
            browser.close()
        finally:
            server.stop()
    median = statistics.median(latencies)
    slower = statistics.median(latencies[-10:]) / statistics.median(latencies[:10])
    p95 = statistics.quantiles(latencies, n=20, method="inclusive")[-1]
    print(f"click to repaint over {len(latencies)} clicks, milliseconds")
    print(f"  median {median:5.1f}  (target at most {TARGET_MEDIAN})")
    print(f"  p95    {p95:5.1f}  (target at most {TARGET_P95})")
    print(
        f"  the last ten, after {len(latencies) - 10} strokes, / the first ten {slower:.2f}"
        f"  (after {STROKES} at most {TARGET_SLOWER})"
    )
    paint, work = (statistics.median(hover[part] for hover in hovers) for part in ("paint", "work"))
    print(f"what-if under the mouse over {len(hovers)} moves, milliseconds")
    print(f"  median {paint:5.1f}  (target at most {TARGET_HOVER})")
    print(f"  of it  {work:5.1f}  the page's own work")


if __name__ == "__main__":
    main()
