"""Measure a checkpoint on a data set: how good it is, and what is usual for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from csr_core.advice import presence
from csr_core.baselines import Baselines
from csr_core.calibration import Calibration, fit_calibration
from csr_core.datasets import Dataset, lesion_mask, region_mask
from csr_core.evidence import Profiles, Semantics
from csr_core.figures import REGION_SIZE, Observations, observed_figures, prototype_figures
from csr_core.files import read_json
from csr_core.inference import Outputs, run_network
from csr_core.interventions import Curve, ScoredImages
from csr_core.metrics import evidence_outside, pointing_games
from csr_core.network import CSRNetwork
from csr_core.presence import fit_presence
from csr_core.reasoner import Reasoner
from csr_core.review_worth import READER_PROTOCOL, fixed_reviews, review_curves
from csr_core.score_model import ScoreModel

__all__ = [
    "Evaluation",
    "calibrate",
    "evaluate",
    "observe",
    "present_regions",
    "untrained_rows",
]

MAX_JSON_BYTES = 1_000_000
SAMPLES = 16
"""Samples along an edge of a patch when it is measured how much of it lies in a lesion."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one run, and what pictures need beside them.

    Attributes:
        figures: JSON values.
        seen: what they were computed from.
        classes: names of the diagnoses.
        curves: what a simulated reader's answers are worth, question by question.
    """

    figures: dict[str, Any]
    seen: Observations
    classes: tuple[str, ...]
    curves: tuple[Curve, ...]


def evaluate(
    reasoner: Reasoner, dataset: Dataset, split: str, baselines: Baselines | None = None
) -> Evaluation:
    """Measure a model on the images of one split.

    Args:
        reasoner: the model.
        dataset: with the same concepts and classes.
        split: name of the rows to measure on.
        baselines: the models to compare it with, where the checkpoint keeps them.

    Returns:
        Its figures: those of `observed_figures`, `reviews` by a simulated reader, prototype health
        and, where the data set states it, the Bayes-optimal macro-F1.

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
    if not (dataset.diagnoses[rows] >= 0).any():
        raise ValueError(f"No image of split {split!r} has a known diagnosis to compare with.")
    outputs = run_network(reasoner.network, dataset, rows)
    seen = observe(outputs, reasoner.network, reasoner.profiles, baselines, dataset, rows)
    figures: dict[str, Any] = {"data": dataset.name, "split": split}
    figures |= observed_figures(seen, dataset.classes, dataset.concepts)
    images = ScoredImages(outputs.scores, dataset.concept_labels[rows], dataset.diagnoses[rows])
    judged = [(ScoreModel.of(reasoner), images)]
    curves = review_curves(judged)
    figures["reviews"] = {
        semantics: fixed_reviews(judged, semantics) for semantics in get_args(Semantics)
    } | {"curves": [curve.to_json() for curve in curves], "protocol": READER_PROTOCOL}
    figures |= prototype_figures(reasoner.atlas.hits, dataset.concepts)
    figures |= _bayes_optimal(dataset, split)
    if baselines is None:
        figures["baselines"] = "This checkpoint keeps no black box and no concept bottleneck."
    return Evaluation(figures, seen, dataset.classes, tuple(curves))


def observe(
    outputs: Outputs,
    network: CSRNetwork,
    profiles: Profiles,
    baselines: Baselines | None,
    dataset: Dataset,
    rows: NDArray[np.int64],
) -> Observations:
    """Set what a network made of images beside what is known of them.

    Args:
        outputs: of the network on these rows.
        network: whose task head weighs the scores.
        profiles: typical scores, (K, M) each.
        baselines: models on the same features, if there are any.
        dataset: with the images.
        rows: of the N images.
    """
    weight = network.task_head.folded()[0].cpu().numpy()  # (classes, K, M)
    said = outputs.logits.argmax(axis=1)
    contributions = weight[said] * (outputs.scores - profiles.absent)  # (N, K, M)
    patches = _patches_outside_lesions(dataset, rows, network.config.grid[0])
    others = {}
    if baselines is not None:
        others = baselines.logits(outputs.pooled, outputs.concept_logits)
    regions = present_regions(dataset, rows, REGION_SIZE)
    return Observations(
        truth=dataset.diagnoses[rows],
        labels=dataset.concept_labels[rows],
        logits={"csr": outputs.logits} | others,
        presence=presence(outputs.scores, profiles),
        concept_logits=outputs.concept_logits,
        games=pointing_games(
            {
                "best_prototype": outputs.concept_maps,
                "mean_of_prototypes": outputs.mean_maps,
                "concept_head": outputs.cams,
            },
            regions,
        ),
        outside=evidence_outside(contributions, outputs.peaks, patches),
        area_outside=patches.mean(axis=1),
    )


def present_regions(
    dataset: Dataset, rows: NDArray[np.int64], size: int
) -> Iterator[list[NDArray[np.bool_] | None]]:
    """Yield where the concepts of each image are seen.

    Args:
        dataset: with masks or boxes.
        rows: of the images.
        size: side of the regions.

    Yields:
        K regions (size, size), None where a concept isn't present or its place isn't known.
    """
    for row in rows:
        name, labels = dataset.image_ids[row], dataset.concept_labels[row]
        yield [
            region_mask(dataset, concept, name, size) if label == 1 else None
            for concept, label in zip(dataset.concepts, labels, strict=True)
        ]


def calibrate(reasoner: Reasoner, dataset: Dataset, split: str) -> Calibration:
    """Measure what is usual for a model on images it was not trained on.

    The data set may have other concepts and classes; only if its concepts are those of the model,
    their labels tell how probable each is by its scores.

    Args:
        reasoner: the model.
        dataset: with images of the kind the model is for.
        split: name of the rows to measure on.

    Raises:
        ValueError: if there are too few images, or the model was trained on them.
    """
    rows = untrained_rows(reasoner, dataset, split)
    outputs = run_network(reasoner.network, dataset, rows)
    measured_on = f"{len(rows)} images of split {split} of {dataset.name}"
    scale = None
    if dataset.concepts == reasoner.concepts:
        levels = presence(outputs.scores, reasoner.profiles)
        scale = fit_presence(levels, dataset.concept_labels[rows])
    return fit_calibration(outputs.scores, outputs.pooled, measured_on, scale)


def untrained_rows(reasoner: Reasoner, dataset: Dataset, split: str) -> NDArray[np.int64]:
    """The rows of a split, unless the model was trained on them.

    Raises:
        ValueError: if it was, or there is no such row.
    """
    if split == "train" and dataset.name == reasoner.card.get("data"):
        raise ValueError(
            f"The model was trained on split 'train' of {dataset.name}, where its scores are not "
            "the usual ones; choose another split or other images."
        )
    return _rows(dataset, split)


def _rows(dataset: Dataset, split: str) -> NDArray[np.int64]:
    rows = dataset.rows_of(split)
    if not len(rows):
        raise ValueError(
            f"No image in split {split!r}; there is {', '.join(sorted(set(dataset.splits)))}."
        )
    return rows


def _patches_outside_lesions(
    dataset: Dataset, rows: NDArray[np.int64], side: int
) -> NDArray[np.float64]:
    """Share of each patch outside the lesion, (N, side²); NaN for images without a mask."""
    shares = np.full((len(rows), side * side), np.nan)
    for index, row in enumerate(rows):
        lesion = lesion_mask(dataset, dataset.image_ids[row], side * SAMPLES)
        if lesion is not None:
            blocks = lesion.reshape(side, SAMPLES, side, SAMPLES)
            shares[index] = 1 - blocks.mean(axis=(1, 3)).ravel()
    return shares


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
