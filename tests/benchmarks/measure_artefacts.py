"""Measure how much a model leans on real artefacts, and what discarding their prototypes changes.

    python -m csr_core crossvalidate --data isic2017 --folds 3 --work FOLDS
    python tests/benchmarks/measure_artefacts.py --data isic2017 --work FOLDS [--json FILE]

The images of each fold were judged by a model that never saw them. An artefact that goes with a
diagnosis is untied from it by weighting these images: each counts as often as it would if artefact
and diagnosis, as frequent as they are, had nothing to do with each other. The macro-F1 so weighted,
less the plain one, is what the tie was worth. Then the prototypes that stand for the artefact are
discarded in every fold, its task head is refitted, and both are measured again.

A prototype stands for an artefact if its score tells images with it from images without it, AUC at
least `STANDS_FOR` in the mean over diagnoses, on the rows the model was fitted to: within a
diagnosis, because across diagnoses every useful prototype does.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from csr_core.datasets import Dataset, load_dataset  # noqa: E402
from csr_core.evidence import Profiles  # noqa: E402
from csr_core.intervals import bootstrap, f1_from_sums, f1_terms  # noqa: E402
from csr_core.metrics import area_under_curve  # noqa: E402
from csr_core.training.discard import fit_head_without  # noqa: E402
from csr_core.training.heads import concept_dropout  # noqa: E402

STANDS_FOR = 0.7
LEAST_IMAGES = 5
COPIES = 3
"""Of concept dropout, as in the `dermoscopy` preset."""

Fold = Mapping[str, NDArray]


def untied_weights(
    diagnoses: NDArray[np.int64], artefact: NDArray[np.int8], classes: int
) -> NDArray[np.float64] | None:
    """How often each image counts if artefact and diagnosis are to be independent.

    Args:
        diagnoses: (N,), all known.
        artefact: (N,), 1 or 0.
        classes: number of diagnoses.

    Returns:
        (N,), or None if a diagnosis has too few images with or without the artefact.
    """
    table = np.zeros((classes, 2))
    np.add.at(table, (diagnoses, artefact), 1)
    if table.min() < LEAST_IMAGES:
        return None
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    return (expected / table)[diagnoses, artefact]


def standing_for(
    scores: NDArray[np.float32], diagnoses: NDArray[np.int64], artefact: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """The prototypes (K, M) whose scores (N, K, M) tell images with an artefact from others."""
    _, K, M = scores.shape
    areas = np.full((K * M, diagnoses.max() + 1), np.nan)
    flat = scores.reshape(len(scores), -1)
    for diagnosis in range(areas.shape[1]):
        rows = (diagnoses == diagnosis) & (artefact >= 0)
        present = artefact[rows] == 1
        if min(present.sum(), (~present).sum()) >= LEAST_IMAGES:
            areas[:, diagnosis] = [
                area_under_curve(present, flat[rows, index]) for index in range(K * M)
            ]
    judged = ~np.isnan(areas).all(axis=0)
    return (areas[:, judged].mean(axis=1) >= STANDS_FOR).reshape(K, M)


def held_predictions(
    fold: Fold, dataset: Dataset, artefact: NDArray[np.int8] | None
) -> tuple[NDArray[np.int64], int]:
    """Diagnoses of the held rows, and how many prototypes were discarded.

    Args:
        fold: what `crossvalidate` left.
        dataset: with the diagnoses.
        artefact: (N,) labels of the artefact whose prototypes are discarded; None for none.
    """
    scores, held = fold["scores"], fold["held"]
    if artefact is None:
        logits = np.einsum("nkm,ckm->nc", scores[held], fold["weight"]) + fold["bias"]
        return logits.argmax(axis=1), 0
    fit = fold["fit"]
    known = fit[dataset.diagnoses[fit] >= 0]
    discarded = standing_for(scores[known], dataset.diagnoses[known], artefact[known])
    profiles = Profiles(fold["absent"], fold["present"])
    edited = concept_dropout(scores, dataset.concept_labels, profiles, COPIES, seed=0)
    head = fit_head_without(
        discarded, [scores, *edited], dataset.diagnoses, fit, fold["validation"],
        len(dataset.classes),
    )  # fmt: skip
    logits = head.logits(scores[held].reshape(len(held), -1))
    return logits.argmax(axis=1), int(discarded.sum())


def measure(folds: list[Fold], dataset: Dataset) -> dict[str, Any]:
    """Figures of every artefact, JSON values."""
    held = np.concatenate([fold["held"] for fold in folds])
    truth, classes = dataset.diagnoses[held], len(dataset.classes)
    plain = np.concatenate([held_predictions(fold, dataset, None)[0] for fold in folds])
    figures: dict[str, Any] = {"images": len(held), "folds": len(folds), "artefacts": {}}
    for index, name in enumerate(dataset.artefacts):
        labels = dataset.artefact_labels[:, index]
        known = (labels[held] >= 0) & (truth >= 0)
        there = labels[held][known]
        entry: dict[str, Any] = {
            "with": {
                diagnosis: float(there[truth[known] == number].mean())
                for number, diagnosis in enumerate(dataset.classes)
            }
        }
        weights = untied_weights(truth[known], there, classes)
        if weights is None:
            entry["left_out"] = f"a diagnosis has under {LEAST_IMAGES} images with or without it"
        else:
            without = [held_predictions(fold, dataset, labels) for fold in folds]
            refitted = np.concatenate([predicted for predicted, _ in without])
            entry["discarded"] = [count for _, count in without]
            entry |= _worlds(truth[known], plain[known], refitted[known], weights, classes)
        figures["artefacts"][name] = entry
    return figures


def _worlds(
    truth: NDArray[np.int64],
    plain: NDArray[np.int64],
    refitted: NDArray[np.int64],
    weights: NDArray[np.float64],
    classes: int,
) -> dict[str, Any]:
    """Macro-F1 in per cent of both heads, tied and untied, with their differences."""
    terms = np.stack([f1_terms(truth, said, classes) for said in (plain, refitted)], axis=1)
    both = np.stack([terms, terms * weights[:, None, None, None]], axis=1)  # (N, 2, 2, 2, classes)

    def values(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        macro = 100 * f1_from_sums(sums).mean(axis=-1)  # (..., tied or untied, head)
        tied, untied = macro[..., 0, :], macro[..., 1, :]
        columns = [tied[..., 0], untied[..., 0], tied[..., 1], untied[..., 1]]
        columns += [columns[1] - columns[0], columns[3] - columns[1]]
        return np.stack(columns, axis=-1)

    whole, (low, high) = values(both.sum(axis=0)), bootstrap(both, values)
    names = ("tied", "untied", "tied_discarded", "untied_discarded", "untying", "discarding_untied")
    return {
        name: {"value": float(value), "interval": [float(start), float(end)]}
        for name, value, start, end in zip(names, whole, low, high, strict=True)
    }


def main() -> None:
    """Measure, print a line an artefact."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="data folder with artefact labels")
    parser.add_argument("--work", type=Path, required=True, help="work folder of crossvalidate")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    asked = parser.parse_args()
    dataset = load_dataset(asked.data, for_training=False)
    folds = [dict(np.load(path)) for path in sorted(asked.work.glob("fold*-scores.npz"))]
    if not folds:
        parser.error(f"{asked.work} holds no finished fold of crossvalidate.")
    figures = measure(folds, dataset)
    for name, entry in figures["artefacts"].items():
        if "left_out" in entry:
            print(f"{name}: left out, {entry['left_out']}")
            continue
        told = ", ".join(
            f"{key.replace('_', ' ')} {part['value']:.1f} ({part['interval'][0]:.1f} to "
            f"{part['interval'][1]:.1f})"
            for key, part in entry.items()
            if isinstance(part, dict) and "value" in part
        )
        print(f"{name}: {told}; discarded {entry['discarded']}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
