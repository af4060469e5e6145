"""Measure a checkpoint on a data set, image by image, as a user would meet it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from csr_core.calibration import Calibration, fit_calibration
from csr_core.datasets import Dataset, load_image, region_mask
from csr_core.files import read_json
from csr_core.metrics import f1_by_class, pointing_game
from csr_core.reasoner import Reasoner

__all__ = ["calibrate", "evaluate"]

REGION_SIZE = 256
MAX_JSON_BYTES = 1_000_000
POINTING_PROTOCOL = (
    "A hit is a largest pixel of the concept's map, max over its prototypes, inside the region of "
    f"that concept; maps upsampled bicubically to {REGION_SIZE} px; every (image, concept) pair "
    "with a region counts; a random point hits with the mean area of the regions."
)


def evaluate(reasoner: Reasoner, dataset: Dataset, split: str) -> dict[str, Any]:
    """Measure a model on the images of one split.

    Args:
        reasoner: the model.
        dataset: with the same concepts and classes.
        split: name of the rows to measure on.

    Returns:
        JSON values: `macro_f1`, `f1_by_class`, `prototypes_alive`; where the data set states it,
        the Bayes-optimal macro-F1; where it has regions, `pointing_game` with the rate of a
        random point beside it.

    Raises:
        ValueError: if the data set has other concepts or classes, or no
            diagnosed image in the split.
    """
    if (dataset.concepts, dataset.classes) != (reasoner.concepts, reasoner.classes):
        raise ValueError(
            f"The model knows concepts {', '.join(reasoner.concepts)} and classes "
            f"{', '.join(reasoner.classes)}; the data set has others."
        )
    rows = _rows(dataset, split)
    truth = dataset.diagnoses[rows]
    known = truth >= 0
    if not known.any():
        raise ValueError(f"No image of split {split!r} has a known diagnosis to compare with.")
    predicted = np.empty(len(rows), dtype=np.int64)
    maps = np.empty((len(rows), len(dataset.concepts), *reasoner.grid), dtype=np.float32)
    for index, row in enumerate(tqdm(rows, desc="measuring", unit="image")):
        case = reasoner.encode(load_image(dataset, row))
        predicted[index] = reasoner.reason(case).probabilities.argmax()
        maps[index] = reasoner.concept_maps(case)
    by_class = f1_by_class(truth[known], predicted[known], len(dataset.classes))
    figures: dict[str, Any] = {
        "data": dataset.name,
        "split": split,
        "images": len(rows),
        "macro_f1": float(by_class.mean()),
        "f1_by_class": dict(zip(dataset.classes, by_class.tolist(), strict=True)),
        "prototypes_alive": float(reasoner.atlas.alive.mean()),
    }
    figures |= _bayes_optimal(dataset, split)
    figures |= _pointing(maps, dataset, rows)
    return figures


def calibrate(reasoner: Reasoner, dataset: Dataset, split: str) -> Calibration:
    """Measure what is usual for a model on images it was not trained on.

    Labels are not looked at, so the data set may have other concepts and classes.

    Args:
        reasoner: the model.
        dataset: with images of the kind the model is for.
        split: name of the rows to measure on.

    Raises:
        ValueError: if there are too few images, or the model was trained on them.
    """
    if split == "train" and dataset.name == reasoner.card.get("data"):
        raise ValueError(
            f"The model was trained on split 'train' of {dataset.name}, where its scores are not "
            "the usual ones; choose another split or other images."
        )
    rows = _rows(dataset, split)
    cases = [
        reasoner.encode(load_image(dataset, row))
        for row in tqdm(rows, desc="measuring", unit="image")
    ]
    return fit_calibration(
        np.stack([case.similarity_scores for case in cases]),
        np.stack([case.pooled for case in cases]),
        f"{len(rows)} images of split {split} of {dataset.name}",
    )


def _rows(dataset: Dataset, split: str) -> NDArray[np.int64]:
    rows = dataset.rows_of(split)
    if not len(rows):
        raise ValueError(
            f"No image in split {split!r}; there is {', '.join(sorted(set(dataset.splits)))}."
        )
    return rows


def _bayes_optimal(dataset: Dataset, split: str) -> dict[str, float]:
    """What no reader of the true concepts can beat, where the data set states it (phantoms do)."""
    description = read_json(dataset.root / "dataset.json", MAX_JSON_BYTES)
    best = description.get("bayes_optimal_macro_f1")
    by_split = description.get("split_bayes_macro_f1")
    figures = {}
    if isinstance(best, int | float):
        figures["bayes_optimal_macro_f1"] = float(best)
    if isinstance(by_split, dict) and isinstance(by_split.get(split), int | float):
        figures["bayes_rule_macro_f1_on_these_images"] = float(by_split[split])
    return figures


def _pointing(
    maps: NDArray[np.float32], dataset: Dataset, rows: NDArray[np.int64]
) -> dict[str, Any]:
    regions = [
        [
            region_mask(dataset, name, dataset.image_ids[row], REGION_SIZE)
            if dataset.concept_labels[row, concept] == 1
            else None
            for concept, name in enumerate(dataset.concepts)
        ]
        for row in rows
    ]
    game = pointing_game(maps, regions)
    judged = game.pairs > 0
    if not judged.any():
        return {}
    return {
        "pointing_game": {
            "mean": float(game.hits[judged].mean()),
            "random_point": float(game.random[judged].mean()),
            "by_concept": {
                name: {
                    "hits": float(game.hits[concept]),
                    "random_point": float(game.random[concept]),
                    "pairs": int(game.pairs[concept]),
                }
                for concept, name in enumerate(dataset.concepts)
                if judged[concept]
            },
            "protocol": POINTING_PROTOCOL,
        }
    }
