"""Time a store with many annotations: opening the worklist, saving, reading all.

    python tests/benchmarks/bench_store.py [--store FILE|URL] [--annotations N] [--cases N]

The store must not exist yet; without `--store` it is a temporary SQLite file. Two readers share the
annotations, each with regions of three concepts.
"""

import argparse
import itertools
import json
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from sqlalchemy import insert  # noqa: E402
from timing import milliseconds  # noqa: E402

from csr_core.annotation.masks import Mask  # noqa: E402
from csr_core.annotation.records import (  # noqa: E402
    Annotation,
    Change,
    ConceptMark,
    Status,
    Vocabulary,
    annotation_to_json,
    change_to_json,
)
from csr_core.annotation.store import NewCase, Project, QueueView, Store  # noqa: E402
from csr_core.annotation.tables import annotations, changes  # noqa: E402

QUEUE, SAVE, GROWTH = 300, 50, 100  # ms at most, ms in the median, MB at most
CONCEPTS = ("streaks", "globules", "pigment_network")
SIDE = 512
BATCH = 2000
STATUSES: tuple[Status, ...] = ("done", "open", "skipped")
READERS = ("Ada", "Ben")


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", help="file or URL; a temporary file if not given")
    parser.add_argument("--annotations", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        address = arguments.store or str(Path(folder) / "annotations.db")
        store = Store(address)
        started = time.perf_counter()
        fill(store, arguments.cases, arguments.annotations)
        print(
            f"{arguments.annotations} annotations of {arguments.cases} cases, "
            f"filled in {time.perf_counter() - started:.0f} s"
        )
        measure_queue(store)
        measure_saves(store)
        measure_strokes(store)
        store.close()
        measure_streaming(address)


def fill(store: Store, cases: int, count: int) -> None:
    """Make the project, then every reader's annotations from the first case on."""
    words = Vocabulary(CONCEPTS, ("nevus", "melanoma"))
    listed = (
        NewCase(f"case_{n:06}", f"images/case_{n:06}.png", "train", SIDE, SIDE)
        for n in range(cases)
    )
    store.create_project(Project("bench", Path("images"), words), listed)
    now = datetime.now(UTC)
    rng = np.random.default_rng(0)
    documents = [document(rng, number) for number in range(50)]
    ids = [case.id for case in store.cases("bench")]
    for reader in READERS:  # their first save makes them known
        store.save(ids[-1], reader, Change("status", "done"), "known")
    each = -(-count // len(READERS)) - 1
    rows = (
        {"case_id": case, "reader_id": reader, "at": now, **documents[case % len(documents)]}
        for reader in range(1, len(READERS) + 1)
        for case in ids[:each]
    )
    while batch := list(itertools.islice(rows, BATCH)):
        with store._database.writing() as connection:
            connection.execute(
                insert(annotations),
                [
                    {
                        **row,
                        "project_id": 1,
                        "revision": 1,
                    }
                    for row in batch
                ],
            )
            connection.execute(
                insert(changes),
                [
                    {
                        **row,
                        "revision": 1,
                        "key": "first",
                        "author_id": row["reader_id"],
                        "document": row["change"],
                    }
                    for row in batch
                ],
            )


def document(rng: np.random.Generator, number: int) -> dict[str, Any]:
    """An annotation with a region of every concept, and the change of one, as they are stored."""
    marks = {concept: ConceptMark("yes", blob(rng)) for concept in CONCEPTS}
    change = Change("concept", marks[CONCEPTS[0]], CONCEPTS[0])
    status = STATUSES[number % 7 % len(STATUSES)]
    flagged = number == 0
    annotation = Annotation(marks, "nevus", 4, status=status, flagged=flagged)
    return {
        "status": status,
        "flagged": flagged,
        "document": json.dumps(annotation_to_json(annotation)),
        "change": json.dumps(change_to_json(change)),
    }


def blob(rng: np.random.Generator) -> Mask:
    """A disc."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    row, column = rng.integers(100, SIDE - 100, 2)
    return Mask.of((rows - row) ** 2 + (columns - column) ** 2 < rng.integers(20, 90) ** 2)


def measure_queue(store: Store) -> None:
    """Open the worklist in many views, with the first page, a late one, and a step."""
    ids = [case.id for case in store.cases("bench")]
    rng = np.random.default_rng(1)
    undecided = {case: float(rng.random()) for case in ids}
    places = rng.permutation(len(ids)).tolist()
    spent = milliseconds(
        lambda: store.rank("bench", "a model", undecided, dict(zip(ids, places, strict=True)))
    )
    print(f"rank all cases: {spent:.0f} ms")
    times: dict[str, float] = {}
    for status in ("all", "new", "open", "done", "skipped", "flagged"):
        for order in ("listed", "undecided", "diverse"):
            for text in ("", "99"):
                view = QueueView(status, order, text)
                late = max(store.queue("bench", "Ada", view).total - 100, 0)
                name = f"{status} {order} {text}"
                for reader in ("Ada", "nobody yet"):
                    times[f"{name} {reader}"] = milliseconds(
                        lambda view=view, reader=reader: store.queue("bench", reader, view)
                    )
                times[f"{name} last page"] = milliseconds(
                    lambda view=view, late=late: store.queue("bench", "Ada", view, offset=late)
                )
                times[f"{name} step"] = milliseconds(
                    lambda view=view: store.neighbour("bench", "Ada", view, ids[500], 1)
                )
    times["progress"] = milliseconds(lambda: store.progress("bench"))
    slowest = max(times, key=lambda name: times[name])
    print(
        f"worklist: median {statistics.median(times.values()):.1f} ms, max {times[slowest]:.1f} ms "
        f"({slowest}) of {len(times)} views (at most {QUEUE})"
    )
    for name in sorted(times, key=lambda name: -times[name])[:8]:
        print(f"  {times[name]:7.1f} {name}")


def measure_saves(store: Store, count: int = 300) -> None:
    """Save strokes in cases here and there."""
    ids = [case.id for case in store.cases("bench")]
    rng = np.random.default_rng(2)
    spent = []
    for number in range(count):
        change = Change("concept", ConceptMark("yes", blob(rng)), CONCEPTS[number % len(CONCEPTS)])
        case = ids[int(rng.integers(len(ids)))]
        spent.append(
            milliseconds(
                lambda case=case, change=change, key=f"s{number}": store.save(
                    case, "Ada", change, key
                )
            )
        )
    print(
        f"save: median {statistics.median(spent):.1f} ms (at most {SAVE}), "
        f"p95 {sorted(spent)[int(0.95 * count)]:.1f} ms, max {max(spent):.1f} ms"
    )


def measure_strokes(store: Store, count: int = 1000) -> None:
    """Save stroke after stroke in one case."""
    case = store.case_of("bench", "case_000007").id
    rng = np.random.default_rng(3)
    spent = []
    for number in range(count):
        change = Change("concept", ConceptMark("yes", blob(rng)), CONCEPTS[0])
        spent.append(
            milliseconds(
                lambda change=change, key=f"k{number}": store.save(case, "Ada", change, key)
            )
        )
    first, last = (statistics.median(part) for part in (spent[:100], spent[-100:]))
    print(f"{count} strokes in a case: the first 100 {first:.1f} ms, the last 100 {last:.1f} ms")


def measure_streaming(address: str) -> None:
    """Read all annotations, in a process whose memory nothing else has grown."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        number, seconds, growth = pool.submit(stream, address).result()
    print(f"read all {number}: {seconds:.1f} s, peak memory +{growth:.1f} MB (at most {GROWTH})")


def stream(address: str) -> tuple[int, float, float]:
    """How many annotations there are, seconds to read them, and megabytes that took."""
    store = Store(address)
    before, started = peak(), time.perf_counter()
    number = sum(1 for _ in store.annotations("bench"))
    return number, time.perf_counter() - started, peak() - before


def peak() -> float:
    """The most memory this process had so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    main()
