"""From what was observed on images to figures: JSON values with intervals and protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from csr_core.intervals import (
    INTERVAL_PROTOCOL,
    bootstrap,
    f1_from_sums,
    f1_terms,
    macro_f1_difference,
)
from csr_core.metrics import PointingGame, area_under_curve, average_precision, prototype_use
from csr_core.reliability import CALIBRATION_PROTOCOL, brier_score, measure_reliability

__all__ = [
    "REGION_SIZE",
    "Observations",
    "differences",
    "observed_figures",
    "prototype_figures",
]

REGION_SIZE = 256
POINTING_PROTOCOL = (
    "A hit is a largest pixel of the concept's map inside the region of that concept; maps "
    f"upsampled bicubically to {REGION_SIZE} px; every (image, concept) pair with a region counts; "
    "a random point hits with the mean area of the regions. `mean` is over concepts, `pairs` over "
    "pairs. Maps: the similarity of the best prototype at each patch, as it is painted; the mean "
    "similarity over the concept's prototypes; the activation map of the concept head."
)
OUTSIDE_PROTOCOL = (
    "Of all positive contributions of prototypes to the model's own diagnosis, the share whose "
    "patch, the one the score was found in, lies outside the lesion mask, a patch across the "
    "outline in part; mean over images with a mask. A random patch lies outside with the mean "
    "share of the image that the mask leaves out."
)
CONCEPT_PROTOCOL = (
    "A concept's score is where its similarity scores lie between their absent and present "
    "profiles; beside it the mean activation of the concept head, which the concept bottleneck "
    "reads. Images whose label is unknown are left out."
)


@dataclass(frozen=True, eq=False)
class Observations:
    """What models said of N images, and where they looked.

    Attributes:
        truth: (N,) diagnoses, -1 where unknown.
        labels: (N, K) concept labels: 1, 0, or -1 for unknown.
        logits: (N, classes) of each model, "csr" among them.
        presence: (N, K), where similarity scores lie between their profiles.
        concept_logits: (N, K), of the concept head.
        games: the pointing game on these images, by kind of map; "best_prototype" is among them.
        outside: (N,), share of the evidence outside the lesion, NaN where that is unknown.
        area_outside: (N,), share of the image outside the lesion, NaN likewise.
    """

    truth: NDArray[np.int64]
    labels: NDArray[np.int8]
    logits: Mapping[str, NDArray[np.float64]]
    presence: NDArray[np.float64]
    concept_logits: NDArray[np.float32]
    games: Mapping[str, PointingGame]
    outside: NDArray[np.float64]
    area_outside: NDArray[np.float64]


def observed_figures(
    seen: Observations, classes: Sequence[str], concepts: Sequence[str]
) -> dict[str, Any]:
    """Everything that can be said of the images observed.

    Args:
        seen: observations of at least one image of known diagnosis.
        classes: names of the diagnoses.
        concepts: names of the K concepts.

    Returns:
        JSON values: the diagnosis figures of CSR, those of each other model under its name with
        `differences`, `concepts`, and where there are regions or lesion masks `pointing_game` and
        `evidence_outside_lesion`.
    """
    known = seen.truth >= 0
    truth = seen.truth[known]
    models = {
        name: _diagnosis_figures(truth, logits[known], classes)
        for name, logits in seen.logits.items()
    }
    figures: dict[str, Any] = {"images": len(seen.truth), "diagnosed": len(truth)}
    figures |= models.pop("csr") | models
    figures["differences"] = differences(
        truth, {name: logits[known] for name, logits in seen.logits.items()}
    )
    figures["concepts"] = {
        "similarity_scores": _concept_figures(seen.labels, seen.presence, concepts),
        "concept_head": _concept_figures(seen.labels, seen.concept_logits, concepts),
        "protocol": CONCEPT_PROTOCOL,
    }
    figures |= _pointing_figures(seen.games, concepts) | _outside_figures(seen)
    figures["protocol"] = {
        "intervals": INTERVAL_PROTOCOL,
        "calibration": CALIBRATION_PROTOCOL,
        "auc": "Area under the ROC curve of each diagnosis against the others.",
    }
    return figures


def differences(
    truth: NDArray[np.int64], logits: Mapping[str, NDArray[np.floating]]
) -> dict[str, dict[str, Any]]:
    """Macro-F1 of CSR minus that of each other model on the same images.

    Args:
        truth: (N,) diagnoses, all known.
        logits: (N, classes) of each model, "csr" among them.

    Returns:
        By "csr - <model>" the difference `macro_f1` and its paired 95 % bootstrap `interval`.
    """
    said = {name: values.argmax(axis=1) for name, values in logits.items()}
    classes = logits["csr"].shape[1]
    figures = {}
    for name in said:
        if name != "csr":
            change, interval = macro_f1_difference(truth, said["csr"], said[name], classes)
            figures[f"csr - {name}"] = {"macro_f1": change, "interval": interval}
    return figures


def prototype_figures(hits: NDArray[np.integer], concepts: Sequence[str]) -> dict[str, Any]:
    """Health of prototypes from how many training vectors each wins, (K, M)."""
    use = prototype_use(hits)
    return {
        "prototypes_alive": float(use.alive.mean()),
        "prototypes": {
            name: {
                "alive": float(use.alive[concept]),
                "top_share": float(use.top_share[concept]),
                "effective_number": float(use.effective_number[concept]),
                "of": hits.shape[1],
            }
            for concept, name in enumerate(concepts)
        },
    }


def _diagnosis_figures(
    truth: NDArray[np.int64], logits: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, Any]:
    labels = np.arange(len(classes))
    probabilities = softmax(logits, axis=1)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0
    )
    reliability = measure_reliability(truth, probabilities)

    def by_class_and_mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        each = f1_from_sums(sums)
        return np.concatenate([each, each.mean(axis=1, keepdims=True)], axis=1)

    ends = bootstrap(f1_terms(truth, predicted, len(classes)), by_class_and_mean).T.tolist()
    return {
        "macro_f1": float(f1.mean()),
        "macro_f1_interval": ends[-1],
        # As scikit-learn's, which warns where a class is missing from the truth.
        "balanced_accuracy": float(recall[support > 0].mean()),
        "calibration_error": reliability.error,
        "brier_score": brier_score(truth, probabilities),
        "by_class": {
            name: {
                "f1": float(f1[label]),
                "f1_interval": ends[label],
                "precision": float(precision[label]),
                "recall": float(recall[label]),
                "support": int(support[label]),
                "auc": area_under_curve(truth == label, probabilities[:, label]),
            }
            for label, name in enumerate(classes)
        },
        "confusion": confusion_matrix(truth, predicted, labels=labels).tolist(),
        "reliability": [
            {"images": int(count), "confidence": float(sure), "accuracy": float(right)}
            for count, sure, right in zip(
                reliability.counts, reliability.confidence, reliability.accuracy, strict=True
            )
            if count
        ],
    }


def _concept_figures(
    labels: NDArray[np.int8], scores: NDArray[np.floating], concepts: Sequence[str]
) -> dict[str, Any]:
    by_concept = {}
    for index, name in enumerate(concepts):
        known = labels[:, index] >= 0
        present, score = labels[known, index] == 1, scores[known, index]
        by_concept[name] = {
            "auc": area_under_curve(present, score),
            "average_precision": average_precision(present, score),
            "present": int(present.sum()),
            "absent": int((~present).sum()),
        }
    figures: dict[str, Any] = {}
    for kind in ("auc", "average_precision"):
        values = [entry[kind] for entry in by_concept.values()]
        judged = [value for value in values if value is not None]
        figures[f"macro_{kind}"] = float(np.mean(judged)) if judged else None
    return figures | {"by_concept": by_concept}


def _pointing_figures(games: Mapping[str, PointingGame], concepts: Sequence[str]) -> dict[str, Any]:
    """Hits of the maps that are painted, and beside them those of the other maps."""
    if not any(game.judged.any() for game in games.values()):
        return {}
    figures = {kind: _game_figures(game, concepts) for kind, game in games.items()}
    painted = figures.pop("best_prototype")
    return {"pointing_game": painted | {"other_maps": figures, "protocol": POINTING_PROTOCOL}}


def _game_figures(game: PointingGame, concepts: Sequence[str]) -> dict[str, Any]:
    judged = game.pairs > 0
    terms = np.stack([game.hit, game.judged], axis=1)[..., judged]  # (N, 2, concepts judged)

    def mean_rate(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        rates = np.ma.masked_invalid(game.rates(sums[:, 0], sums[:, 1]))
        return rates.mean(axis=1).filled(np.nan)

    def rate_of_pairs(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return game.rates(sums[:, 0].sum(axis=1), sums[:, 1].sum(axis=1))

    return {
        "mean": float(game.hits[judged].mean()),
        "interval": bootstrap(terms, mean_rate).tolist(),
        "random_point": float(game.random[judged].mean()),
        "pairs": {
            "hits": float(game.hit.sum() / game.judged.sum()),
            "interval": bootstrap(terms, rate_of_pairs).tolist(),
            "random_point": float(game.area.sum() / game.judged.sum()),
            "count": int(game.judged.sum()),
        },
        "by_concept": {
            name: {
                "hits": float(game.hits[concept]),
                "random_point": float(game.random[concept]),
                "pairs": int(game.pairs[concept]),
            }
            for concept, name in enumerate(concepts)
            if judged[concept]
        },
    }


def _outside_figures(seen: Observations) -> dict[str, Any]:
    known = np.isfinite(seen.outside)
    if not known.any():
        return {}
    shares = seen.outside[known]
    return {
        "evidence_outside_lesion": {
            "mean": float(shares.mean()),
            "interval": bootstrap(shares, lambda sums: sums / len(shares)).tolist(),
            "random_patch": float(seen.area_outside[known].mean()),
            "images": len(shares),
            "protocol": OUTSIDE_PROTOCOL,
        }
    }
