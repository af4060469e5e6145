"""What a reader's answers about whole concepts say of the diagnosis.

Beyond the paper: rejecting or confirming a concept answers a question. Patches also speak of the
diagnosis in ways that have no name; wiping all of them out because of an answer about the concept
would lose that, and breaks nearly as many diagnoses as it corrects. So a model may have learned
what such answers are worth: how far they move the evidence of the patches, and what they say by
themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csr_core.evidence import Semantics

__all__ = ["AnswerWeights", "answers_from_json", "answers_to_json", "in_effect", "share_in_effect"]

LARGEST = 100.0
"""In log-odds; no answer can say more."""


@dataclass(frozen=True)
class AnswerWeights:
    """What answers do to the logits.

    Attributes:
        rejected: (classes, K), added where the reader calls a concept absent.
        confirmed: (classes, K), added where the reader calls it present.
        share: how far an answer moves the evidence of its concept, from 0, as the model saw it, to
            1, as if every patch were suppressed or forced.
    """

    rejected: NDArray[np.float64]
    confirmed: NDArray[np.float64]
    share: float

    def __post_init__(self) -> None:
        self.rejected.setflags(write=False)
        self.confirmed.setflags(write=False)

    def added(
        self, rejected: NDArray[np.bool_], confirmed: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """What some answers add to each logit.

        Args:
            rejected: (K,), the concepts called absent.
            confirmed: (K,), those called present.

        Returns:
            (classes, K), 0 for a concept without an answer.
        """
        return np.where(rejected, self.rejected, 0.0) + np.where(confirmed, self.confirmed, 0.0)


def in_effect(answers: AnswerWeights | None, semantics: Semantics) -> AnswerWeights | None:
    """The weights by which answers count; None where they count as marks on every patch.

    Args:
        answers: of a model, if it learned them.
        semantics: how edits are read.
    """
    return answers if semantics == "calibrated" else None


def share_in_effect(answers: AnswerWeights | None, semantics: Semantics) -> float:
    """How far answers move the evidence of patches, in [0, 1]; arguments as of `in_effect`."""
    weights = in_effect(answers, semantics)
    return 1.0 if weights is None else weights.share


def answers_to_json(answers: AnswerWeights | None) -> dict[str, Any]:
    """Write as JSON values, with seven decimals; nothing if there are none."""
    if answers is None:
        return {}
    return {
        "answers": {
            "rejected": answers.rejected.round(7).tolist(),
            "confirmed": answers.confirmed.round(7).tolist(),
            "share": round(answers.share, 7),
        }
    }


def answers_from_json(record: Mapping[str, Any], shape: tuple[int, int]) -> AnswerWeights | None:
    """Read what `answers_to_json` wrote, from a file that may come from anyone.

    Args:
        record: the JSON object; one without `answers` is of a model that learned none, and answers
            without a `share` leave the evidence of patches alone.
        shape: (classes, K) of the model.

    Raises:
        ValueError: naming the field that is wrong.
    """
    if "answers" not in record:
        return None
    given = record["answers"]
    tables: list[NDArray[np.float64]] = []
    for name in ("rejected", "confirmed"):
        try:
            table = np.array(given[name], dtype=np.float64)
        except (TypeError, ValueError, KeyError, ArithmeticError):
            table = np.empty(0)
        if table.shape != shape or not (np.abs(table) <= LARGEST).all():
            raise ValueError(
                f"The answers need {name!r} as {shape[0]} × {shape[1]} numbers from "
                f"-{LARGEST:g} to {LARGEST:g}."
            )
        tables.append(table)
    share = given.get("share", 0.0)
    if type(share) not in (int, float) or not 0 <= share <= 1:
        raise ValueError("The answers need 'share' as a number from 0 to 1.")
    rejected, confirmed = tables
    return AnswerWeights(rejected, confirmed, float(share))
