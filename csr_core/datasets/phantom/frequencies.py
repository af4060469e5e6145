"""How often each diagnosis, concept and artefact occurs, and the best score they allow.

The concepts of a phantom lesion are drawn given its diagnosis, and its picture given only its
concepts. So no reader of the picture can beat the Bayes rule applied to the true concepts,
and its macro-F1 is known by enumerating every combination of concepts.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PHANTOM_ARTEFACTS",
    "PHANTOM_CLASSES",
    "PHANTOM_CONCEPTS",
    "PHANTOM_FREQUENCIES",
    "BayesOptimal",
    "Frequencies",
    "bayes_macro_f1_of_table",
    "bayes_optimal_macro_f1",
]

PHANTOM_CLASSES = ("nevus", "melanoma", "seborrheic_keratosis")
PHANTOM_CONCEPTS = (
    "typical_network",
    "atypical_network",
    "negative_network",
    "streaks",
    "dots_and_globules",
    "milia_like_cyst",
    "blue_whitish_veil",
    "regression",
)
PHANTOM_ARTEFACTS = ("hair", "ruler", "ink", "gel_bubble", "dark_corner", "patches")

_NETWORKS = ("typical_network", "atypical_network")

Distribution = NDArray[np.float64]


@dataclass(frozen=True)
class Frequencies:
    """P(class) and P(concept | class).

    Concepts are independent given the class, except the two networks: a lesion has a typical
    one, an atypical one or none.

    Attributes:
        priors: P(class), in the order of `PHANTOM_CLASSES`; sums to 1.
        concepts: For each of `PHANTOM_CONCEPTS` its P(present | class), in the same order.

    Raises:
        ValueError: If a probability is out of range or the priors do not sum to 1.
    """

    priors: tuple[float, ...]
    concepts: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if set(self.concepts) != set(PHANTOM_CONCEPTS):
            raise ValueError(f"frequencies must name the concepts {', '.join(PHANTOM_CONCEPTS)}")
        table = np.array([self.priors, *self.concepts.values()])
        if table.shape[1] != len(PHANTOM_CLASSES) or not ((table >= 0) & (table <= 1)).all():
            raise ValueError("every frequency is one probability in 0..1 per class")
        if abs(sum(self.priors) - 1) > 1e-9:
            raise ValueError(f"class priors sum to {sum(self.priors)}; they must sum to 1")
        if (np.array([self.concepts[name] for name in _NETWORKS]).sum(axis=0) > 1).any():
            raise ValueError("typical and atypical network exclude each other; lower their rates")

    def likelihood(self, concepts: frozenset[str]) -> Distribution:
        """P(exactly these concepts | class), (classes,)."""
        rates = {name: np.array(self.concepts[name]) for name in PHANTOM_CONCEPTS}
        networks = [name for name in _NETWORKS if name in concepts]
        if len(networks) == 2:
            return np.zeros(len(PHANTOM_CLASSES))
        typical, atypical = (rates[name] for name in _NETWORKS)
        result = rates[networks[0]] if networks else 1 - typical - atypical
        for name in PHANTOM_CONCEPTS:
            if name not in _NETWORKS:
                result = result * (rates[name] if name in concepts else 1 - rates[name])
        return result

    def posterior(self, concepts: frozenset[str]) -> Distribution:
        """P(class | concepts), (classes,)."""
        joint = np.array(self.priors) * self.likelihood(concepts)
        return joint / joint.sum()

    def draw(self, rng: np.random.Generator) -> tuple[str, frozenset[str]]:
        """A diagnosis and the concepts of one lesion."""
        index = int(rng.choice(len(PHANTOM_CLASSES), p=self.priors))
        present = {
            name
            for name in PHANTOM_CONCEPTS
            if name not in _NETWORKS and rng.random() < self.concepts[name][index]
        }
        typical, atypical = (self.concepts[name][index] for name in _NETWORKS)
        lot = rng.random()
        if lot < typical:
            present.add("typical_network")
        elif lot < typical + atypical:
            present.add("atypical_network")
        return PHANTOM_CLASSES[index], frozenset(present)


# Plausible clinical orders of magnitude, per nevus, melanoma and seborrhoeic keratosis.
PHANTOM_FREQUENCIES = Frequencies(
    priors=(0.50, 0.27, 0.23),
    concepts=MappingProxyType(
        {
            "typical_network": (0.68, 0.05, 0.05),
            "atypical_network": (0.04, 0.62, 0.04),
            "negative_network": (0.03, 0.36, 0.02),
            "streaks": (0.03, 0.42, 0.02),
            "dots_and_globules": (0.50, 0.38, 0.06),
            "milia_like_cyst": (0.04, 0.04, 0.85),
            "blue_whitish_veil": (0.02, 0.52, 0.04),
            "regression": (0.03, 0.42, 0.05),
        }
    ),
)


@dataclass(frozen=True)
class BayesOptimal:
    """The best macro-F1 a reader of the concepts can reach over the whole population.

    Attributes:
        macro_f1: Of the best rule argmax_c w_c P(c | concepts), 0..1.
        class_weights: Its weights w_c, the first being 1.
        map_macro_f1: Of the plain rule argmax_c P(c | concepts), which macro-F1 does not favour.
    """

    macro_f1: float
    class_weights: tuple[float, ...]
    map_macro_f1: float


def bayes_optimal_macro_f1(frequencies: Frequencies = PHANTOM_FREQUENCIES) -> BayesOptimal:
    """Population macro-F1 of the best rule argmax_c w_c P(c | concepts).

    Every combination of concepts is enumerated, so the score of a rule is exact; the weights
    are found on a grid of their logarithms that is refined round its best point.
    """
    joint = np.array(
        [
            np.array(frequencies.priors) * frequencies.likelihood(frozenset(chosen))
            for count in range(len(PHANTOM_CONCEPTS) + 1)
            for chosen in itertools.combinations(PHANTOM_CONCEPTS, count)
        ]
    )  # (combinations, classes)
    joint = joint[joint.sum(axis=1) > 0]
    free = len(PHANTOM_CLASSES) - 1
    map_macro_f1 = _population_macro_f1(joint, np.zeros(free + 1))
    best, centre = map_macro_f1, np.zeros(free)
    for reach in (3.0, 0.3, 0.03, 0.003):
        middle = centre
        for step in itertools.product(np.linspace(-reach, reach, 41), repeat=free):
            score = _population_macro_f1(joint, np.concatenate([[0.0], middle + step]))
            if score > best:
                best, centre = score, middle + step
    weights = np.exp(np.concatenate([[0.0], centre]))
    return BayesOptimal(best, tuple(float(w) for w in weights), map_macro_f1)


def _population_macro_f1(joint: Distribution, log_weights: Distribution) -> float:
    """Macro-F1 of argmax_c w_c P(c | combination) when `joint` is P(combination, class)."""
    predicted = np.eye(joint.shape[1])[(joint * np.exp(log_weights)).argmax(axis=1)]
    hits = (joint * predicted).sum(axis=0)
    claimed = (joint.sum(axis=1, keepdims=True) * predicted).sum(axis=0)
    return float((2 * hits / (joint.sum(axis=0) + claimed)).mean())


def bayes_macro_f1_of_table(
    diagnoses: Sequence[str],
    concepts: Sequence[frozenset[str]],
    frequencies: Frequencies = PHANTOM_FREQUENCIES,
) -> float:
    """Macro-F1 of the Bayes-optimal rule on the true concepts of a finite set of lesions.

    Args:
        diagnoses: True class of each lesion.
        concepts: True concepts of each lesion, in the same order.
        frequencies: What the lesions were drawn from.

    Raises:
        ValueError: If the two differ in length, are empty or name an unknown diagnosis.
    """
    if len(diagnoses) != len(concepts) or not diagnoses:
        raise ValueError(
            f"need one set of concepts per diagnosis, got {len(concepts)} for {len(diagnoses)}"
        )
    unknown = sorted(set(diagnoses) - set(PHANTOM_CLASSES))
    if unknown:
        raise ValueError(
            f"unknown diagnosis {unknown[0]!r}; choose from {', '.join(PHANTOM_CLASSES)}"
        )
    weights = np.array(bayes_optimal_macro_f1(frequencies).class_weights)
    predicted = np.array([(weights * frequencies.posterior(c)).argmax() for c in concepts])
    true = np.array([PHANTOM_CLASSES.index(diagnosis) for diagnosis in diagnoses])
    scores = []
    for index in range(len(PHANTOM_CLASSES)):
        hits = ((predicted == index) & (true == index)).sum()
        total = (predicted == index).sum() + (true == index).sum()
        scores.append(2 * hits / total if total else 0.0)
    return float(np.mean(scores))
