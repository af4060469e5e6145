"""Time strokes on the drawing surface, the first and the last of many.

    python tests/benchmarks/bench_drawing.py [--strokes N] [--side PIXELS]

Real strokes of a mouse in Chromium: brush and eraser, in eight concepts of one case. Every
one stays in the history and can be undone; the heap is measured with all of them in it.
"""

import argparse
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import CDPSession, sync_playwright

BROWSER_TESTS = Path(__file__).parents[1] / "browser"
sys.path[:0] = [str(BROWSER_TESTS), str(BROWSER_TESTS.parents[1])]

from easel import Easel  # noqa: E402
from strokes import Cost, draw  # noqa: E402
from visit import FLAGS  # noqa: E402

CONCEPTS = [f"concept {number}" for number in range(1, 9)]
COMPARED = 20
TARGET = 1.3


def megabytes(devtools: CDPSession) -> float:
    """What the page keeps, arrays of bytes included."""
    devtools.send("HeapProfiler.collectGarbage")
    usage = devtools.send("Runtime.getHeapUsage")
    return (usage["usedSize"] + usage.get("backingStorageSize", 0)) / 1e6


def draw_case(easel: Easel, side: int, strokes: int) -> Iterator[Cost]:
    """Draw in a case that was just opened."""
    easel.open(side, side, (14, 14), concepts=CONCEPTS)
    yield from draw(easel, strokes)


def main() -> None:
    """Draw, undo all of it, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=2000)
    parser.add_argument("--side", type=int, default=1024)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        easel = Easel(page)
        for _warm_up in draw_case(easel, arguments.side, COMPARED):
            pass
        devtools = page.context.new_cdp_session(page)
        easel.call("close")
        before = megabytes(devtools)
        costs = list(draw_case(easel, arguments.side, arguments.strokes))
        after = megabytes(devtools)
        steps = easel.state["undo"]
        masks = [easel.call("mark", name)["mask"] for name in CONCEPTS]
        runs = [len(mask["counts"]) for mask in masks if mask]
        undone = page.evaluate(
            "() => { const start = performance.now(); const { undo } = state;"
            " for (let step = 0; step < undo; step++) surface.undo();"
            " return performance.now() - start; }"
        )
        assert all(easel.call("mark", name)["mask"] is None for name in CONCEPTS)
        browser.close()
    first, last = costs[:COMPARED], costs[-COMPARED:]
    print(f"{arguments.strokes} strokes, {arguments.side} x {arguments.side} pixels, ", end="")
    print(f"{len(CONCEPTS)} concepts; median milliseconds of {COMPARED} from the button's release")
    for name, remark in (("encoded", ""), ("shown", f"  (target at most {TARGET} x)")):
        start, end = (
            statistics.median(getattr(cost, name) for cost in part) for part in (first, last)
        )
        print(f"  {name:8} first {start:6.2f}, last {end:6.2f}: {end / start:.2f} x{remark}")
    print(f"  encoded, slowest of all {max(cost.encoded for cost in costs):.2f}")
    print(f"  runs of a mask at the end {min(runs)} to {max(runs)}")
    print(f"  heap {before:.1f} MB before, {after:.1f} MB with {steps} steps to undo")
    print(f"  undoing them all {undone / steps:.2f} a step; every region is empty again")


if __name__ == "__main__":
    main()
