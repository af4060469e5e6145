"""A review as a file: what was seen, done and decided, so that anyone can replay it.

The file is one JSON object (UTF-8):

format      "csr-studio session"
version     1; a reader refuses any other
software    name and version of the program that wrote it
checkpoint  {"name", "hash"}: SHA-256 of the weights, hexadecimal
image       {"hash", "height", "width", "picture"}: SHA-256 of the decoded pixels, their size, and
            the JPEG or PNG as a data URL, or null where it was left out
concepts    names, in the order of the numbers below
classes     names of the diagnoses, likewise
semantics   "calibrated" or "paper"
before      {"probabilities", "similarities"}: one a class, one a concept, without edits
edits       a list of {"time", "edit", "after"}: ISO 8601 in UTC, the edit as in
            `csr_core.edits.edits_from_json`, and the numbers after this edit and all before it
comment     the reviewer's, plain text
own_call    the reviewer's own diagnosis, or null
blind       whether the own call was made before the model's answer was shown
verdict     the diagnosis agreed on, or null
tally       {"fixed", "broken", "unchanged"}: cases of the meeting so far

No other field is written, and unknown fields are not kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from csr_core.edits import Edit, EditError
from csr_core.evidence import Semantics

if TYPE_CHECKING:
    from csr_core.reasoner import EncodedCase, Reasoner, Verdict

__all__ = [
    "SOFTWARE",
    "Difference",
    "Numbers",
    "Session",
    "Step",
    "Tally",
    "numbers_of",
    "record_steps",
    "replay",
]

SOFTWARE = "csr-studio 0.1.0"
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Numbers:
    """What the model says: a probability a class, a similarity a concept."""

    probabilities: tuple[float, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """An edit, when it was made (UTC), and the numbers after it."""

    edit: Edit
    time: datetime
    after: Numbers


@dataclass(frozen=True)
class Tally:
    """How many cases the edits fixed, broke, or left right or wrong as they were."""

    fixed: int = 0
    broken: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Session:
    """The review of one case; the fields are those of the file, see the top of this module.

    Attributes:
        picture: bytes of a JPEG or PNG, or None if it is left out.
    """

    software: str
    checkpoint_name: str
    checkpoint_hash: str
    image_hash: str
    image_size: tuple[int, int]
    picture: bytes | None
    concepts: tuple[str, ...]
    classes: tuple[str, ...]
    semantics: Semantics
    before: Numbers
    steps: tuple[Step, ...]
    comment: str = ""
    own_call: str | None = None
    blind: bool = False
    verdict: str | None = None
    tally: Tally = Tally()

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits in the order they were made."""
        return tuple(step.edit for step in self.steps)

    @property
    def after(self) -> Numbers:
        """The numbers after all edits."""
        return self.steps[-1].after if self.steps else self.before


def numbers_of(verdict: "Verdict") -> Numbers:
    """The numbers of a verdict that a session keeps."""
    return Numbers(
        tuple(verdict.probabilities.tolist()), tuple(verdict.scores.max(axis=1).tolist())
    )


def record_steps(
    reasoner: "Reasoner",
    case: "EncodedCase",
    edits: Sequence[Edit],
    times: Sequence[datetime],
    semantics: Semantics,
) -> tuple[Step, ...]:
    """Write down edits with their times and the numbers after each.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded the case, or there is not one time an edit.
    """
    steps = []
    evidence = reasoner.merge(())
    for edit, time in zip(edits, times, strict=True):
        evidence = reasoner.merge([edit], onto=evidence)
        steps.append(Step(edit, time, numbers_of(reasoner.reason(case, evidence, semantics))))
    return tuple(steps)


class Difference(NamedTuple):
    """Something that is not as it was when the session was saved.

    Attributes:
        what: software, checkpoint, image, names, edits or numbers.
        sentence: for people.
    """

    what: str
    sentence: str


def replay(reasoner: "Reasoner", case: "EncodedCase", session: Session) -> tuple[Difference, ...]:
    """Make the edits of a session again, and say what differs from what it says.

    The numbers are compared without edits and after every edit.

    Args:
        reasoner: the model to replay with.
        case: the image of the session, encoded by that model.
        session: from a file.

    Returns:
        The differences; empty if everything is the same and every number agrees to 1e-6.

    Raises:
        ValueError: if another model encoded the case.
    """
    return (*_other_inputs(reasoner, case, session), *_other_numbers(reasoner, case, session))


def _other_inputs(
    reasoner: "Reasoner", case: "EncodedCase", session: Session
) -> Iterable[Difference]:
    if session.software != SOFTWARE:
        yield Difference(
            "software", f"The session was saved by {session.software}; this is {SOFTWARE}."
        )
    if session.checkpoint_hash != reasoner.model_hash:
        yield Difference(
            "checkpoint",
            f"The session was saved with other weights of {session.checkpoint_name} "
            f"({session.checkpoint_hash[:12]}…) than these ({reasoner.model_hash[:12]}…).",
        )
    if (session.image_hash, session.image_size) != (case.image_hash, case.image_size):
        height, width = session.image_size
        yield Difference(
            "image",
            f"The session is about another image ({width} × {height} pixels, "
            f"{session.image_hash[:12]}…) than this one ({case.image_size[1]} × "
            f"{case.image_size[0]}, {case.image_hash[:12]}…).",
        )
    for kind, saved, found in (
        ("concepts", session.concepts, reasoner.concepts),
        ("diagnoses", session.classes, reasoner.classes),
    ):
        if saved != found:
            yield Difference(
                "names",
                f"The session knows the {kind} {', '.join(saved)}; this model knows "
                f"{', '.join(found)}.",
            )


def _other_numbers(
    reasoner: "Reasoner", case: "EncodedCase", session: Session
) -> Iterable[Difference]:
    edits, evidence = session.edits, reasoner.merge(())
    for count, saved in enumerate((session.before, *(step.after for step in session.steps))):
        try:
            evidence = reasoner.merge(edits[max(count - 1, 0) : count], onto=evidence)
        except EditError as problem:
            yield Difference("edits", f"Edit {count} can't be made: {problem}")
            return
        found = numbers_of(reasoner.reason(case, evidence, session.semantics))
        place = f"after edit {count}" if count else "without edits"
        for kind, names, old, new in (
            ("probability", session.classes, saved.probabilities, found.probabilities),
            ("similarity", session.concepts, saved.similarities, found.similarities),
        ):
            if len(old) != len(new):
                continue
            apart, name, before, now = max(
                (abs(a - b), name, a, b) for name, a, b in zip(names, old, new, strict=True)
            )
            if apart > TOLERANCE:
                yield Difference(
                    "numbers",
                    f"The {kind} of {name} {place} is {now:.6f}; it was saved as {before:.6f}.",
                )
