"""A simulated reader who knows the true concepts, and how far such a reader's edits help.

The reader is asked about one concept after the other, rejects those that are absent and confirms
those that are present. Whatever has to be chosen about such a review is chosen on other images
than those it is judged on.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from csr_core.advice import margins_of, presence, uncertainty
from csr_core.evidence import Semantics
from csr_core.metrics import macro_f1
from csr_core.revision import Effect, Revision
from csr_core.score_model import CONFIRM, LEAVE, REJECT, Calls, Ledger, ScoreModel

__all__ = [
    "POLICIES",
    "READERS",
    "Choice",
    "Curve",
    "Plan",
    "Policy",
    "Reader",
    "ScoredImages",
    "ask_reader",
    "choose_plan",
    "intervention_curve",
    "question_order",
]

Policy = Literal["combined", "influence", "uncertainty", "random"]
Reader = Literal["both", "reject", "confirm"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
READERS: tuple[Reader, ...] = get_args(Reader)
HEARD: dict[Reader, tuple[int, ...]] = {
    "both": (REJECT, CONFIRM),
    "reject": (REJECT,),
    "confirm": (CONFIRM,),
}


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """N images as the simulated reader meets them.

    Attributes:
        scores: s, (N, K, M) float32, unedited.
        labels: (N, K) int8, the true concepts: 1, 0, or -1 where unknown.
        diagnoses: (N,), true classes, -1 where unknown.

    Raises:
        ValueError: if the shapes don't belong together.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.int8]
    diagnoses: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.scores.shape
        if len(shape) != 3 or self.labels.shape != shape[:2] or self.diagnoses.shape != shape[:1]:
            raise ValueError(
                f"Scores {shape}, labels {self.labels.shape} and diagnoses {self.diagnoses.shape} "
                "don't belong together; they are (N, K, M), (N, K) and (N,)."
            )

    def of(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "ScoredImages":
        """Some of the images, by row numbers or by a mask."""
        return ScoredImages(self.scores[rows], self.labels[rows], self.diagnoses[rows])


@dataclass(frozen=True)
class Plan:
    """How a review goes.

    Attributes:
        policy: which concept is asked about next: at "random"; by "uncertainty", the one nearest
            to midway between its profiles; by "influence", the one that moves a class probability
            most; or "combined", by uncertainty × influence, which is what "Ask me next" does.
        reader: "both" if the reader rejects and confirms, "reject" or "confirm" if only that.
        semantics: how the edits are read.
        threshold: only images whose unedited verdict has its two likeliest classes less than this
            apart in probability are reviewed, the paper's is 0.3; None reviews every image.
        seed: of the random policy.

    Raises:
        ValueError: if there is no such policy or reader.
    """

    policy: Policy = "combined"
    reader: Reader = "both"
    semantics: Semantics = "calibrated"
    threshold: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("policy", self.policy, POLICIES),
            ("reader", self.reader, READERS),
        ):
            if name not in known:
                raise ValueError(f"There is no {kind} {name!r}; use one of {', '.join(known)}.")


@dataclass(frozen=True)
class Curve:
    """What a review is worth after 0, 1, …, K questions an image.

    Attributes:
        plan: how it went.
        points: K + 1 effects; the first is that of no question.
    """

    plan: Plan
    points: tuple[Effect, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"plan": asdict(self.plan), "points": [point.to_json() for point in self.points]}


@dataclass(frozen=True, eq=False)
class Choice:
    """A review chosen on some images and judged on others.

    Attributes:
        plan: the policy, reader and threshold that were best on the validation images.
        questions: how many concepts to ask about, likewise.
        validation: the effect there, which is optimistic, for the choice was made by it.
        revision: the test images before and after that review.
    """

    plan: Plan
    questions: int
    validation: Effect
    revision: Revision

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the effect on the test images among them."""
        return {
            "plan": asdict(self.plan),
            "questions": self.questions,
            "chosen_on": f"{self.validation.images} validation images",
            "validation": self.validation.to_json(),
            "test": self.revision.effect().to_json(),
        }


def question_order(
    ledger: Ledger, levels: NDArray[np.float64], answers: Calls, policy: Policy, seed: int
) -> NDArray[np.intp]:
    """In which order a policy asks about the concepts of each image.

    Influence is measured anew for every question, with the answers so far in effect.

    Args:
        ledger: of N images.
        levels: (N, K), from `csr_core.advice.presence`.
        answers: (N, K), what the reader would call.
        policy: see `Plan`.
        seed: of the random policy.

    Returns:
        (N, K), indices of concepts, the first to be asked about first.
    """
    N, K = levels.shape
    if policy == "random":
        every = np.tile(np.arange(K), (N, 1))
        return np.random.default_rng(seed).permuted(every, axis=1)
    if policy == "uncertainty":
        return np.argsort(np.abs(levels - 0.5), axis=1, kind="stable")
    doubt = uncertainty(levels) if policy == "combined" else np.ones_like(levels)
    order = np.empty((N, K), dtype=np.intp)
    calls, asked = np.full_like(answers, LEAVE), np.zeros((N, K), dtype=bool)
    for question in range(K):
        influence = ledger.influence(calls)
        ranked = np.lexsort((-influence, -doubt * influence, asked), axis=1)
        here = (np.arange(N), ranked[:, 0])
        order[:, question] = ranked[:, 0]
        calls[here], asked[here] = answers[here], True
    return order


def ask_reader(model: ScoreModel, images: ScoredImages, plan: Plan) -> tuple[Revision, ...]:
    """Review the images of known diagnosis by asking about 0, 1, …, K concepts of each.

    A question whose answer is unknown, or which the reader of the plan never gives, is no edit.

    Args:
        model: what follows from the scores.
        images: with their true concepts and diagnoses.
        plan: how the review goes.

    Returns:
        K + 1 revisions of the images whose diagnosis is known; the first changes nothing.

    Raises:
        EditError: if the semantics has another name.
        ValueError: if no image has a known diagnosis.
    """
    images = images.of(images.diagnoses >= 0)
    if not len(images.diagnoses):
        raise ValueError("No image has a known diagnosis, so no review can be judged.")
    labels = images.labels
    answers = np.where(np.isin(labels, HEARD[plan.reader]), labels, LEAVE).astype(np.int8)
    ledger = model.ledger(images.scores, plan.semantics)
    levels = presence(images.scores, model.profiles)
    order = question_order(ledger, levels, answers, plan.policy, plan.seed)
    place = np.argsort(order, axis=1)  # (N, K), the question that asks about each concept
    plain = ledger.probabilities(np.full_like(answers, LEAVE))
    revisions = []
    for questions in range(labels.shape[1] + 1):
        calls = np.where(place < questions, answers, np.int8(LEAVE))
        revision = Revision(
            truth=images.diagnoses,
            before=plain.argmax(axis=1),
            after=ledger.probabilities(calls).argmax(axis=1),
            edits=(calls != LEAVE).sum(axis=1),
            margins=margins_of(plain),
            classes=len(model.bias),
        )
        revisions.append(revision.triggered(plan.threshold))
    return tuple(revisions)


def intervention_curve(model: ScoreModel, images: ScoredImages, plan: Plan) -> Curve:
    """Say what a review is worth after 0, 1, …, K questions; arguments as in `ask_reader`."""
    return Curve(plan, tuple(revision.effect() for revision in ask_reader(model, images, plan)))


def choose_plan(
    model: ScoreModel,
    validation: ScoredImages,
    test: ScoredImages,
    *,
    semantics: Semantics = "calibrated",
    thresholds: Sequence[float | None] = (None,),
    policies: Sequence[Policy] = POLICIES,
    readers: Sequence[Reader] = READERS,
    seed: int = 0,
) -> Choice:
    """Choose policy, reader, threshold and number of questions on validation, and judge on test.

    The review with the best macro-F1 on the validation images is chosen; of equals the one with
    fewer edits, then the one listed first. Asking nothing may be best.

    Args:
        model: what follows from the scores.
        validation: images to choose on.
        test: images to judge on; nothing of them has a part in the choice.
        semantics: how the edits are read.
        thresholds: to choose from; None reviews every image.
        policies: to choose from.
        readers: to choose from.
        seed: of the random policy.

    Raises:
        EditError: if the semantics has another name.
        ValueError: if nothing is given to choose from, or no image of either kind has a known
            diagnosis.
    """
    best: tuple[tuple[float, float], Plan, int, Revision] | None = None
    for policy, reader in product(policies, readers):
        every = Plan(policy, reader, semantics, None, seed)
        revisions = ask_reader(model, validation, every)
        for threshold, (questions, whole) in product(thresholds, enumerate(revisions)):
            revision = whole.triggered(threshold)
            f1 = macro_f1(revision.truth, revision.after, revision.classes)
            value = (f1, -float(revision.edits.mean()))
            if best is None or value > best[0]:
                best = value, replace(every, threshold=threshold), questions, revision
    if best is None:
        raise ValueError("Give at least one policy, reader and threshold to choose from.")
    _, plan, questions, revision = best
    return Choice(plan, questions, revision.effect(), ask_reader(model, test, plan)[questions])
