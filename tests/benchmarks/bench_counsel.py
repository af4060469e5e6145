"""Time the search for the smallest change that flips the diagnosis.

    python tests/benchmarks/bench_counsel.py [--checkpoint DIR] [--data DIR --images N] [--edits N]

Every bundled case, and some images of a data set if one is given, is searched in both semantics,
as it is and on top of random edits. Without `--checkpoint` all bundled checkpoints are timed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TARGET = 1000  # milliseconds, of the slowest
SEMANTICS = ("calibrated", "paper")


def main() -> None:
    """Load, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="data folder with more images")
    parser.add_argument("--images", type=int, default=40, help="taken from there")
    parser.add_argument("--edits", type=int, default=20, help="in effect already")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    pictures = sorted((ROOT / "assets" / "cases").glob("*.jpg"))
    if arguments.data:
        found = sorted((arguments.data / "images").rglob("*.jpg"))
        pictures += found[:: max(len(found) // arguments.images, 1)][: arguments.images]
    folders = sorted((ROOT / "checkpoints").glob("*/config.json"))
    for folder in [arguments.checkpoint] if arguments.checkpoint else [p.parent for p in folders]:
        measure(folder, pictures, arguments.edits)


def measure(folder: Path, pictures: Sequence[Path], count: int) -> None:
    """Search all pictures with one model."""
    import csr_core
    from csr_core.counsel import suggest_flip

    reasoner = csr_core.load(folder)
    rows, columns = reasoner.grid
    rng = np.random.default_rng(0)
    kinds = (csr_core.Suppress, csr_core.Force)

    def edit() -> csr_core.Edit:
        cells = [(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(3)]
        return kinds[rng.integers(2)](int(rng.integers(len(reasoner.concepts))), cells)

    times: dict[str, list[float]] = {"no edits": [], f"{count} edits": []}
    searches = found = 0
    for picture in pictures:
        case = reasoner.encode(picture)
        for name, edits in zip(times, ([], [edit() for _ in range(count)]), strict=True):
            for semantics in SEMANTICS:
                started = time.perf_counter()
                said = suggest_flip(reasoner, case, edits, semantics)
                times[name].append((time.perf_counter() - started) * 1000)
                searches += 1
                found += bool(said["edits"])
    concepts, prototypes = reasoner.atlas.shape
    print(
        f"{folder.name}: {concepts} × {prototypes} prototypes, {len(pictures)} images, "
        f"a change found in {found} of {searches} searches; milliseconds"
    )
    for name, values in times.items():
        print(
            f"  {name:10} median {statistics.median(values):7.1f}, max {max(values):7.1f}"
            f"  (at most {TARGET})"
        )


if __name__ == "__main__":
    main()
