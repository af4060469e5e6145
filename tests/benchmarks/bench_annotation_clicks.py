"""Count what a reader has to do until the regions of a case are right, alone and with help.

    python tests/benchmarks/bench_annotation_clicks.py [--work DIR] [--count N] [--seed N]

A simulated reader who knows the true masks marks phantom cases, one after the other, until the
Dice overlap of what is marked with the true masks, over all concepts of the case together, is 0.8.

- The reader paints patches. Choosing a concept is a click (or key), taking over a suggestion or a
  proposal is one, and so is painting or erasing a patch; with drags, painting or erasing all
  patches of a rectangle is one as well.
- The reader is greedy: next comes whatever raises the Dice most for each click it takes.
- Help: with one key the reader takes over all regions suggested for the case, or the region that
  is suggested or, with propagation, proposed for the chosen concept. Proposals learn from the cases
  marked before and from what was painted and erased in this one.
- Cases in which no choice of patches reaches 0.8 are left out; how many is printed.

The thresholds of the help were chosen on other phantom cases than the ones rendered here.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import csr_core  # noqa: E402
from csr_core.annotation.assist import Suggestion, suggestions  # noqa: E402
from csr_core.annotation.propagation import PatchMarks, ProjectedMaps, propose  # noqa: E402
from csr_core.datasets import Dataset, load_dataset, region_mask  # noqa: E402
from csr_core.datasets.phantom import write_phantom  # noqa: E402

GOAL = 0.8
TARGET = 2.0  # how many times fewer clicks with help
MASK_SIZE = 448  # sides are a multiple of the grid's
ARMS = ("alone", "suggestions", "propagation", "suggestions and propagation")


@dataclass(frozen=True)
class Truth:
    """What is to be marked in a case: the share of each patch that each concept covers."""

    row: int
    cover: NDArray[np.float32]  # (K, H, W)

    def dice(self, marked: NDArray[np.bool_]) -> float:
        """Overlap of marked patches (K, H, W) with the truth, of all concepts together."""
        return float(2 * self.cover[marked].sum() / (marked.sum() + self.cover.sum()))

    def best(self) -> float:
        """The Dice of the best choice of patches: those covered most."""
        cover = np.sort(self.cover.ravel())[::-1]
        sizes = np.arange(1, len(cover) + 1)
        return float((2 * cover.cumsum() / (sizes + cover.sum())).max())


@dataclass(frozen=True)
class Step:
    """Something the reader can do next: the patches of a concept it leaves marked, at a price."""

    concepts: tuple[int, ...]
    marked: NDArray[np.bool_]  # (K, H, W), afterwards
    clicks: int


@dataclass
class Reading:
    """A case in the making."""

    marked: NDArray[np.bool_]  # (K, H, W)
    erased: NDArray[np.bool_]  # (K, H, W), by the reader
    concept: int | None = None
    clicks: int = 0


class Help:
    """What the program offers in a case, of a project that is read from the first case on."""

    def __init__(self, arm: str, concepts: Sequence[str], maps: Mapping[int, NDArray]) -> None:
        self.arm = arm
        self.concepts = concepts
        self.maps = maps
        self.marks: list[dict[int, PatchMarks]] = [{} for _ in concepts]

    def finish(self, row: int, reading: Reading) -> None:
        """Learn from a case that is done."""
        for concept, marks in enumerate(self.marks):
            marks[row] = marks_of(reading.marked[concept], ~reading.marked[concept])

    def offers(
        self, row: int, reading: Reading, suggested: Mapping[str, Suggestion]
    ) -> Iterator[Step]:
        """Everything that one key takes over now."""
        if "suggestions" in self.arm:
            regions = np.zeros_like(reading.marked)
            for concept, name in enumerate(self.concepts):
                for cell in suggested[name].cells:
                    regions[concept][cell] = True
                yield self._offer(reading, concept, regions[concept])
            if not reading.clicks:
                sure = np.array([suggested[name].presence == "yes" for name in self.concepts])
                yield Step((), regions & sure[:, None, None], 1)
        if "propagation" in self.arm:
            for concept in range(len(self.concepts)):
                yield from self._proposal(row, reading, concept)

    def _proposal(self, row: int, reading: Reading, concept: int) -> Iterator[Step]:
        own = marks_of(reading.marked[concept], reading.erased[concept])
        for proposal in propose(self.maps.__getitem__, self.marks[concept] | {row: own}, [row]):
            region = np.zeros_like(reading.marked[concept])
            for cell in proposal.cells:
                region[cell] = True
            yield self._offer(reading, concept, region)

    def _offer(self, reading: Reading, concept: int, region: NDArray[np.bool_]) -> Step:
        marked = reading.marked.copy()
        marked[concept] |= region & ~reading.erased[concept]
        return Step((concept,), marked, 1 + (concept != reading.concept))


def marks_of(accepted: NDArray[np.bool_], rejected: NDArray[np.bool_]) -> PatchMarks:
    """The patches of two maps (H, W) as marks."""
    return PatchMarks(
        *(frozenset(map(tuple, np.argwhere(cells).tolist())) for cells in (accepted, rejected))
    )


def read_case(
    truth: Truth, helper: Help, suggested: Mapping[str, Suggestion], drags: bool
) -> Reading:
    """Mark a case until it is right."""
    reading = Reading(np.zeros(truth.cover.shape, bool), np.zeros(truth.cover.shape, bool))
    reached = 0.0
    while reached < GOAL:
        steps = [*strokes(truth, reading, drags), *helper.offers(truth.row, reading, suggested)]
        gains = [(truth.dice(step.marked) - reached) / step.clicks for step in steps]
        step = steps[int(np.argmax(gains))]
        value = truth.dice(step.marked)
        if value <= reached:
            break
        reading.erased |= reading.marked & ~step.marked
        reading.erased &= ~step.marked
        reading.marked, reached = step.marked, value
        reading.clicks += step.clicks
        reading.concept = step.concepts[-1] if step.concepts else reading.concept
    return reading


def strokes(truth: Truth, reading: Reading, drags: bool) -> Iterator[Step]:
    """The best stroke of the reader's own for each concept: painting and erasing."""
    overlap, size = truth.cover[reading.marked].sum(), reading.marked.sum()
    for concept, cover in enumerate(truth.cover):
        marked = reading.marked[concept]
        for paint in (True, False):
            touched = marked != paint
            gained = sums(np.where(touched, cover, 0), drags)
            changed = sums(touched.astype(np.float32), drags)
            sign = 1 if paint else -1
            dice = 2 * (overlap + sign * gained) / (size + sign * changed + truth.cover.sum())
            top, bottom, left, right = np.unravel_index(dice.argmax(), dice.shape)
            after = reading.marked.copy()
            after[concept, top : bottom + 1, left : right + 1] = paint
            yield Step((concept,), after, 1 + (concept != reading.concept))


def sums(values: NDArray[np.floating], drags: bool) -> NDArray[np.floating]:
    """Sums over rectangles by their top, bottom, left and right patch, (H, H, W, W).

    All rectangles with drags, else single patches; 0 stands where there is none.
    """
    H, W = values.shape
    if not drags:
        single = np.zeros((H, H, W, W))
        rows, columns = np.ogrid[:H, :W]
        single[rows, rows, columns, columns] = values
        return single
    whole = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    below = whole[None, 1:] - whole[:-1, None]  # (top, bottom, W + 1)
    boxes = below[:, :, None, 1:] - below[:, :, :-1, None]
    rows, columns = np.arange(H), np.arange(W)
    real = (rows[:, None] <= rows)[:, :, None, None] & (columns[:, None] <= columns)
    return np.where(real, boxes, 0)


def truths(dataset: Dataset, grid: tuple[int, int]) -> list[Truth]:
    """What is to be marked in every case."""
    found = []
    for row, name in enumerate(dataset.image_ids):
        cover = np.zeros((len(dataset.concepts), *grid), np.float32)
        for concept in np.flatnonzero(dataset.concept_labels[row] == 1):
            region = region_mask(dataset, dataset.concepts[concept], name, MASK_SIZE)
            if region is not None:
                size = grid[::-1]
                cover[concept] = cv2.resize(
                    region.astype(np.float32), size, interpolation=cv2.INTER_AREA
                )
        found.append(Truth(row, cover))
    return found


def measure(
    arm: str,
    cases: Sequence[Truth],
    concepts: Sequence[str],
    suggested: Sequence[Mapping[str, Suggestion]],
    maps: Mapping[int, NDArray],
    drags: bool,
) -> list[Reading]:
    """Read all cases with one kind of help."""
    helper = Help(arm, concepts, maps)
    readings = []
    for truth in cases:
        reading = read_case(truth, helper, suggested[truth.row], drags)
        helper.finish(truth.row, reading)
        readings.append(reading)
    return readings


def main() -> None:
    """Render, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder to keep the phantom in")
    parser.add_argument("--count", type=int, default=60, help="cases")
    parser.add_argument("--seed", type=int, default=71, help="of the phantom")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints/dermoscopy-phantom")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        data = work / f"phantom-{arguments.seed}-{arguments.count}"
        if not data.exists():
            write_phantom(data, arguments.count, arguments.seed, val_fraction=0, test_fraction=1)
        report(data, arguments.checkpoint, work / "projected")


def report(data: Path, checkpoint: Path, cache: Path) -> None:
    """Measure and print the table."""
    dataset = load_dataset(data, for_training=False)
    reasoner = csr_core.load(checkpoint)
    projected = ProjectedMaps(reasoner, cache)
    maps = {row: np.array(projected.of(path)) for row, path in enumerate(dataset.image_paths)}
    suggested = [suggestions(reasoner, reasoner.encode(path)) for path in dataset.image_paths]
    cases = [truth for truth in truths(dataset, reasoner.grid) if truth.cover.any()]
    fair = [truth for truth in cases if truth.best() >= GOAL]
    print(
        f"{len(fair)} cases with regions; {len(cases) - len(fair)} more can't reach Dice {GOAL} "
        "patch by patch"
    )
    print(f"{'clicks a case, median (mean)':30}{'patch by patch':>22}{'with drags':>22}")
    medians: dict[tuple[str, bool], float] = {}
    for arm in ARMS:
        cells = []
        for drags in (False, True):
            readings = measure(arm, fair, dataset.concepts, suggested, maps, drags)
            clicks = [reading.clicks for reading in readings]
            medians[arm, drags] = statistics.median(clicks)
            failed = sum(
                truth.dice(reading.marked) < GOAL
                for truth, reading in zip(fair, readings, strict=True)
            )
            times = medians[ARMS[0], drags] / medians[arm, drags]
            cells.append(
                f"{medians[arm, drags]:g} ({statistics.mean(clicks):.1f}) {times:.1f}×"
                + f" {failed} failed" * bool(failed)
            )
        print(f"{arm:30}" + "".join(f"{cell:>22}" for cell in cells))
    print(f"target: help takes at most 1/{TARGET:g} of the clicks")


if __name__ == "__main__":
    main()
