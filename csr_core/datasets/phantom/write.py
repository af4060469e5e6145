"""Writing a phantom data set in the folder format the trainer reads."""

import csv
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.frequencies import (
    PHANTOM_ARTEFACTS,
    PHANTOM_CLASSES,
    PHANTOM_CONCEPTS,
    PHANTOM_FREQUENCIES,
    BayesOptimal,
    bayes_macro_f1_of_table,
    bayes_optimal_macro_f1,
)
from csr_core.datasets.phantom.render import PhantomCase, check_size, render_case
from csr_core.datasets.phantom.shortcuts import ARTEFACT_RATES, Shortcut, draw_artefacts

__all__ = ["PhantomSummary", "phantom_case", "write_phantom"]

SPLITS = ("train", "val", "test")

_MAX_COUNT = 200_000
_JPEG_QUALITY = 92
# Below this many pictures a process takes longer to start than to be of use.
_WORTH_A_PROCESS = 32


@dataclass(frozen=True)
class Labels:
    """What a row of labels.csv says of one picture."""

    diagnosis: str
    concepts: frozenset[str]
    artefacts: frozenset[str]


@dataclass(frozen=True)
class PhantomSummary:
    """What was written.

    Attributes:
        out: The data set folder.
        split_counts: Pictures per split.
        class_counts: Pictures per diagnosis.
        concept_counts: Pictures showing each concept.
        bayes_optimal: Best macro-F1 over the population.
        split_bayes_macro_f1: Macro-F1 of that rule on the true concepts of each split's rows.
    """

    out: Path
    split_counts: dict[str, int]
    class_counts: dict[str, int]
    concept_counts: dict[str, int]
    bayes_optimal: BayesOptimal
    split_bayes_macro_f1: dict[str, float]


def phantom_case(
    seed: int, index: int, *, size: int = 256, shortcut: Shortcut | None = None
) -> tuple[Labels, PhantomCase]:
    """Labels and picture number `index` of the phantom with `seed`, whatever else is rendered."""
    labels_stream, picture_stream = np.random.SeedSequence([seed, index]).spawn(2)
    rng = np.random.default_rng(labels_stream)
    diagnosis, concepts = PHANTOM_FREQUENCIES.draw(rng)
    labels = Labels(diagnosis, concepts, draw_artefacts(rng, diagnosis, shortcut))
    picture = np.random.default_rng(picture_stream)
    return labels, render_case(picture, labels.concepts, labels.artefacts, size)


def write_phantom(
    out: Path,
    count: int,
    seed: int,
    *,
    size: int = 256,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    shortcut: Shortcut | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PhantomSummary:
    """Render a data set of synthetic dermoscopy with a mask per present concept and artefact.

    The folder is built beside `out` and moved there when complete, so a stopped run leaves
    nothing that looks like a data set. From more than a few dozen pictures on, several processes
    are started, which needs the caller's script to guard its entry by `__name__ == "__main__"`.

    Args:
        out: Folder to create; it may exist if it is empty.
        count: Number of pictures, 1 to 200 000.
        seed: Not negative. Picture `index` depends on (seed, index) alone.
        size: Side of the pictures in pixels, 64 to 1024.
        val_fraction: Share of pictures in the split `val`.
        test_fraction: Share in the split `test`; what is left goes to `train`.
        shortcut: Ties an artefact to a class; None leaves artefacts independent of it.
        workers: Processes to use at most; None means one per core.
        progress: Called with (pictures done, count) after each picture.

    Raises:
        ValueError: If a number is out of range.
        FileExistsError: If `out` is a file or a folder that is not empty.
    """
    split_sizes = _split_sizes(count, val_fraction, test_fraction)
    if seed < 0:
        raise ValueError(f"seed is {seed}; give 0 or more")
    check_size(size)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty folder; choose another --out")

    splits = [split for split in SPLITS for _ in range(split_sizes[split])]
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        building.chmod(0o755)
        _make_folders(building, split_sizes)
        job = partial(_write_case, building, seed, size, shortcut)
        rows: list[Labels] = []
        for labels in _run(job, splits, workers):
            rows.append(labels)
            if progress is not None:
                progress(len(rows), count)
        _write_labels(building / "labels.csv", seed, splits, rows)
        summary = _summary(out, splits, rows)
        _write_description(building / "dataset.json", seed, size, shortcut, summary)
        if out.exists():
            out.rmdir()
        building.replace(out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return summary


def _split_sizes(count: int, val_fraction: float, test_fraction: float) -> dict[str, int]:
    if not 1 <= count <= _MAX_COUNT:
        raise ValueError(f"count is {count}; choose 1 to {_MAX_COUNT} pictures")
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction > 1:
        raise ValueError(
            f"split fractions val {val_fraction} and test {test_fraction} "
            "must not be negative nor exceed 1 together"
        )
    val, test = round(count * val_fraction), round(count * test_fraction)
    val = min(val, count - test)
    return {"train": count - val - test, "val": val, "test": test}


def _case_id(seed: int, index: int) -> str:
    return f"phantom_{seed}_{index:06d}"


def _make_folders(root: Path, split_sizes: dict[str, int]) -> None:
    for split, number in split_sizes.items():
        if number:
            (root / "images" / split).mkdir(parents=True)
    for name in (*PHANTOM_CONCEPTS, *PHANTOM_ARTEFACTS):
        (root / "masks" / name).mkdir(parents=True)
    (root / "lesion_masks").mkdir()


def _run(
    job: Callable[[int, str], Labels], splits: list[str], workers: int | None
) -> Iterator[Labels]:
    """`job(index, split)` for every picture, in order, in as many processes as are of use."""
    available = workers if workers is not None else os.cpu_count() or 1
    useful = min(available, len(splits) // _WORTH_A_PROCESS)
    if useful <= 1:
        yield from map(job, range(len(splits)), splits)
        return
    # Forking a process whose libraries run threads can deadlock; a spawned one starts clean.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(useful, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(job, range(len(splits)), splits, chunksize=8)


def _write_case(
    root: Path, seed: int, size: int, shortcut: Shortcut | None, index: int, split: str
) -> Labels:
    labels, case = phantom_case(seed, index, size=size, shortcut=shortcut)
    name = _case_id(seed, index)
    picture = np.ascontiguousarray(case.image[..., ::-1])  # opencv encodes B, G, R
    _encode(
        root / "images" / split / f"{name}.jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
    )
    _encode(root / "lesion_masks" / f"{name}.png", case.lesion_mask.astype(np.uint8) * 255)
    for seen, mask in {**case.masks, **case.artefact_masks}.items():
        _encode(root / "masks" / seen / f"{name}.png", mask.astype(np.uint8) * 255)
    return labels


def _encode(path: Path, pixels: NDArray[np.uint8], options: tuple[int, ...] = ()) -> None:
    done, data = cv2.imencode(path.suffix, pixels, options)
    if not done:
        raise OSError(f"could not encode {path.name}")
    path.write_bytes(data.tobytes())


def _write_labels(path: Path, seed: int, splits: list[str], rows: list[Labels]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "split", "diagnosis", *PHANTOM_CONCEPTS, *PHANTOM_ARTEFACTS])
        for index, (split, row) in enumerate(zip(splits, rows, strict=True)):
            present = row.concepts | row.artefacts
            marks = [int(name in present) for name in (*PHANTOM_CONCEPTS, *PHANTOM_ARTEFACTS)]
            table.writerow([_case_id(seed, index), split, row.diagnosis, *marks])


def _summary(out: Path, splits: list[str], rows: list[Labels]) -> PhantomSummary:
    by_split = {
        split: [row for row, where in zip(rows, splits, strict=True) if where == split]
        for split in SPLITS
    }
    return PhantomSummary(
        out=out,
        split_counts={split: len(chosen) for split, chosen in by_split.items()},
        class_counts={name: sum(r.diagnosis == name for r in rows) for name in PHANTOM_CLASSES},
        concept_counts={name: sum(name in r.concepts for r in rows) for name in PHANTOM_CONCEPTS},
        bayes_optimal=bayes_optimal_macro_f1(),
        split_bayes_macro_f1={
            split: bayes_macro_f1_of_table(
                [row.diagnosis for row in chosen], [row.concepts for row in chosen]
            )
            for split, chosen in by_split.items()
            if chosen
        },
    )


def _write_description(
    path: Path, seed: int, size: int, shortcut: Shortcut | None, summary: PhantomSummary
) -> None:
    best = summary.bayes_optimal
    description = {
        "name": "dermoscopy-phantom",
        "classes": PHANTOM_CLASSES,
        "concepts": PHANTOM_CONCEPTS,
        "artefacts": PHANTOM_ARTEFACTS,
        "licence": "CC0-1.0",
        "synthetic": True,
        "source": "Synthetic dermoscopy rendered by CSR Studio; no patient, no real image.",
        "seed": seed,
        "size": size,
        "frequencies": {
            "priors": dict(zip(PHANTOM_CLASSES, PHANTOM_FREQUENCIES.priors, strict=True)),
            "concepts": {
                name: dict(zip(PHANTOM_CLASSES, rates, strict=True))
                for name, rates in PHANTOM_FREQUENCIES.concepts.items()
            },
            "artefacts": dict(ARTEFACT_RATES),
        },
        "shortcut": None if shortcut is None else vars(shortcut),
        "bayes_optimal_macro_f1": best.macro_f1,
        "bayes_class_weights": dict(zip(PHANTOM_CLASSES, best.class_weights, strict=True)),
        "map_macro_f1": best.map_macro_f1,
        "split_bayes_macro_f1": summary.split_bayes_macro_f1,
    }
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
