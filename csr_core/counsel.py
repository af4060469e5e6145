"""What the review screen is told beyond the numbers: what would change the answer, what to ask."""

from collections.abc import Sequence
from typing import Any

from csr_core.advice import ask_next, spoken
from csr_core.edits import Edit, Reject, Suppress, edit_to_json
from csr_core.evidence import Semantics
from csr_core.reasoner import EncodedCase, Reasoner
from csr_core.whatif import Flip, smallest_flip, why_no_flip

__all__ = ["next_question", "suggest_flip"]


def suggest_flip(
    reasoner: Reasoner, case: EncodedCase, edits: Sequence[Edit], semantics: Semantics
) -> dict[str, Any]:
    """Say in one sentence what would change the diagnosis, and with which edits.

    Args:
        reasoner: the model that encoded the case.
        case: from `Reasoner.encode`.
        edits: in effect already.
        semantics: how edits are read.

    Returns:
        `sentence`, `label` (the change alone) and `edits` as JSON records, to append to those
        given; no edits and an empty label if nothing was found, the sentence then says why.

    Raises:
        EditError: if an edit does not fit the case.
    """
    flip = smallest_flip(reasoner, case, edits, semantics)
    if flip is None:
        why = why_no_flip(reasoner, case, edits, semantics)
        return {"sentence": why, "label": "", "edits": []}
    before = reasoner.reason(case, edits, semantics).probabilities[flip.before]
    after = flip.verdict.probabilities[flip.after]
    label = ", ".join(map(_said, flip.edits))
    label = label[:1].upper() + label[1:]
    names = [spoken(reasoner.classes[index]) for index in (flip.before, flip.after)]
    return {
        "sentence": f"{label}: {names[0]} {before:.2f} → {names[1]} {after:.2f}; {_bound(flip)}.",
        "label": label,
        "edits": [edit_to_json(edit) for edit in flip.edits],
    }


def next_question(
    reasoner: Reasoner, case: EncodedCase, edits: Sequence[Edit], semantics: Semantics
) -> dict[str, Any]:
    """The concept most worth a look: its index, the cells to look at, and why in a sentence.

    Raises:
        EditError: if an edit does not fit the case.
    """
    question = ask_next(reasoner, case, edits, semantics)[0]
    return {
        "concept": reasoner.concepts.index(question.concept),
        "cells": [list(cell) for cell in question.cells],
        "sentence": question.sentence,
    }


def _said(edit: Edit) -> str:
    name = spoken(str(getattr(edit, "concept", "")))
    cells = len(getattr(edit, "cells", ()))
    if cells == 0:
        return f"{'reject' if isinstance(edit, Reject) else 'confirm'} {name}"
    verb = "suppress" if isinstance(edit, Suppress) else "force"
    return f"{verb} {name} at {cells} patch{'' if cells == 1 else 'es'}"


def _bound(flip: Flip) -> str:
    if flip.exact:
        return "no smaller change exists"
    return f"a smaller change may exist, but none of fewer than {flip.lower_bound} marks"
