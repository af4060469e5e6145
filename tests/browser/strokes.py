"""Many strokes by a real mouse, and what each of them costs the page."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from easel import Easel

SIZES = (12, 24, 48, 96)
WATCH = """() => {
  if (window.nextCost) return;
  changes.push = () => 0; // thousands of marks would fill the memory that is measured
  const painted = new MessageChannel();
  let released = 0;
  let encoded = 0;
  let told = Promise.withResolvers();
  window.nextCost = async () => {
    const cost = await told.promise;
    told = Promise.withResolvers();
    return cost;
  };
  painted.port1.onmessage = () =>
    told.resolve([encoded - released, performance.now() - released]);
  addEventListener("pointerup", () => (released = performance.now()), true);
  addEventListener("pointerup", () => {
    encoded = performance.now();
    requestAnimationFrame(() => painted.port2.postMessage(null));
  });
}"""


@dataclass(frozen=True)
class Cost:
    """Milliseconds from the release of the button.

    Attributes:
        encoded: until the stroke is painted onto the canvas, encoded and told.
        shown: until a frame shows it.
    """

    encoded: float
    shown: float


def draw(easel: Easel, count: int, seed: int = 0) -> Iterator[Cost]:
    """Paint all over the picture, in all concepts; every third stroke erases some of the last one.

    Yields what each stroke cost.
    """
    choose = random.Random(seed)
    easel.page.evaluate(WATCH)
    for number in range(count):
        erasing = number % 3 == 2
        if not erasing:
            concept = choose.choice(easel.concepts)
            start = [choose.uniform(0.1, 0.9) * side for side in (easel.width, easel.height)]
        places = [start]
        for _ in range(4):
            x, y = (place + choose.uniform(-0.1, 0.1) * easel.width for place in places[-1])
            places.append((min(max(x, 1), easel.width - 1), min(max(y, 1), easel.height - 1)))
        easel.page.evaluate(
            "([concept, tool, size]) => {"
            " surface.choose(concept); surface.tool(tool); surface.size(size); }",
            [concept, "eraser" if erasing else "brush", choose.choice(SIZES)],
        )
        easel.drag(*places)
        yield Cost(*easel.page.evaluate("nextCost()"))
