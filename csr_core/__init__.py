"""Concept-based Similarity Reasoning: encode an image once, then reason about it live.

reasoner = csr_core.load("checkpoints/dermoscopy-phantom")
case = reasoner.encode(image)
verdict = reasoner.reason(case, [csr_core.Suppress("streaks", cells=[(3, 4)])])
"""

from typing import TYPE_CHECKING, Any

from csr_core.edits import (
    Confirm,
    Edit,
    EditError,
    Erase,
    Focus,
    Force,
    Ignore,
    Reject,
    Suppress,
    edit_to_json,
    edits_from_json,
)
from csr_core.imaging import ImageError, decode_image

if TYPE_CHECKING:
    from csr_core.reasoner import EncodedCase, Reasoner, Verdict, load

__all__ = [
    "Confirm",
    "Edit",
    "EditError",
    "EncodedCase",
    "Erase",
    "Focus",
    "Force",
    "Ignore",
    "ImageError",
    "Reasoner",
    "Reject",
    "Suppress",
    "Verdict",
    "decode_image",
    "edit_to_json",
    "edits_from_json",
    "load",
]


def __getattr__(name: str) -> Any:
    # The reasoner pulls in torch, which takes seconds: a page can be served before that.
    if name in {"EncodedCase", "Reasoner", "Verdict", "load"}:
        from csr_core import reasoner

        return getattr(reasoner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
