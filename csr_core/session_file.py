"""Writing and reading the session file; its fields are described in `csr_core.session`.

What is read may come from anyone: everything is bounded and checked before it is used.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, get_args

from csr_core.edits import MAX_EDITS, EditError, edit_to_json, edits_from_json
from csr_core.evidence import Semantics
from csr_core.session import Numbers, Session, Step, Tally

__all__ = ["SessionError", "from_json", "picture_type", "to_json"]

FORMAT, VERSION = "csr-studio session", 1
MAX_BYTES = 100_000_000
MAX_PICTURE_BYTES = 64_000_000
MAX_COMMENT = 20_000
MAX_NAME = 200
MAX_NAMES = 1_000
MAX_SIDE = 1_000_000
MAX_CASES = 1_000_000_000
_MAGIC = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
_DATA_URL = re.compile(r"data:(image/(?:jpeg|png));base64,")


class SessionError(ValueError):
    """A session file is damaged, too large, or was not written by this program."""


def to_json(session: Session) -> str:
    """Write a session as the text of a file, the inverse of `from_json`.

    Raises:
        SessionError: if the picture is neither JPEG nor PNG.
    """
    height, width = session.image_size
    tally = session.tally
    record = {
        "format": FORMAT,
        "version": VERSION,
        "software": session.software,
        "checkpoint": {"name": session.checkpoint_name, "hash": session.checkpoint_hash},
        "image": {
            "hash": session.image_hash,
            "height": height,
            "width": width,
            "picture": None if session.picture is None else _data_url(session.picture),
        },
        "concepts": list(session.concepts),
        "classes": list(session.classes),
        "semantics": session.semantics,
        "before": _numbers_record(session.before),
        "edits": [
            {
                "time": step.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "edit": edit_to_json(step.edit),
                "after": _numbers_record(step.after),
            }
            for step in session.steps
        ],
        "comment": session.comment,
        "own_call": session.own_call,
        "blind": session.blind,
        "verdict": session.verdict,
        "tally": {
            "fixed": tally.fixed,
            "broken": tally.broken,
            "unchanged": tally.unchanged,
        },
    }
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode("utf-8", "replace").decode("utf-8")  # a browser may send half a surrogate


def from_json(text: str | bytes) -> Session:
    """Read the text of a session file, which may come from anyone.

    Whether edits fit the case is checked when they are replayed.

    Raises:
        SessionError: naming the first field that is wrong, and what was expected.
    """
    fields = _Fields(_decoded(text), "The session")
    if fields.get("format") != FORMAT:
        raise SessionError("This file is not a session of CSR Studio.")
    if fields.get("version") != VERSION:
        raise SessionError(
            f"The session file has another version than {VERSION}; open it with the program that "
            "wrote it."
        )
    checkpoint, image = fields.object("checkpoint"), fields.object("image")
    concepts, classes = fields.names("concepts"), fields.names("classes")
    semantics = fields.get("semantics")
    if semantics not in get_args(Semantics):
        raise SessionError("The session needs semantics 'calibrated' or 'paper'.")
    tally = fields.object("tally")
    return Session(
        software=fields.text("software"),
        checkpoint_name=checkpoint.text("name"),
        checkpoint_hash=checkpoint.text("hash"),
        image_hash=image.text("hash"),
        image_size=(image.whole("height", MAX_SIDE), image.whole("width", MAX_SIDE)),
        picture=_picture(image.get("picture")),
        concepts=concepts,
        classes=classes,
        semantics=semantics,
        before=fields.object("before").numbers(len(classes), len(concepts)),
        steps=_steps(fields.get("edits"), len(classes), concepts),
        comment=fields.text("comment", MAX_COMMENT),
        own_call=fields.choice("own_call", classes),
        blind=fields.flag("blind"),
        verdict=fields.choice("verdict", classes),
        tally=Tally(*(tally.whole(key, MAX_CASES) for key in ("fixed", "broken", "unchanged"))),
    )


def picture_type(picture: bytes) -> str:
    """The media type of a JPEG or PNG.

    Raises:
        SessionError: if it is neither.
    """
    for kind, magic in _MAGIC.items():
        if picture.startswith(magic):
            return kind
    raise SessionError("The picture of a session is a JPEG or a PNG.")


class _Fields:
    """The fields of one JSON object, each checked as it is taken."""

    def __init__(self, record: object, name: str) -> None:
        if not isinstance(record, Mapping):
            raise SessionError(f"{name} is not a JSON object.")
        self._record: Mapping[str, Any] = record
        self._name = name

    def get(self, key: str) -> Any:
        return self._record.get(key)

    def object(self, key: str) -> "_Fields":
        return _Fields(self.get(key), f"{self._name}'s field {key!r}")

    def text(self, key: str, longest: int = MAX_NAME) -> str:
        if not _is_text(self.get(key), longest):
            raise self._refusal(key, f"a text of at most {longest} characters")
        return self.get(key)

    def flag(self, key: str) -> bool:
        if not isinstance(self.get(key), bool):
            raise self._refusal(key, "true or false")
        return self.get(key)

    def whole(self, key: str, largest: int) -> int:
        value = self.get(key)
        if type(value) is not int or not 0 <= value <= largest:
            raise self._refusal(key, f"a whole number from 0 to {largest}")
        return value

    def choice(self, key: str, names: tuple[str, ...]) -> str | None:
        value = self.get(key)
        if value is not None and not (isinstance(value, str) and value in names):
            raise self._refusal(key, "one of its classes, or null")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        names = self.get(key)
        if (
            not isinstance(names, list)
            or not 0 < len(names) <= MAX_NAMES
            or not all(_is_text(name, MAX_NAME) for name in names)
            or len(set(names)) < len(names)
        ):
            raise self._refusal(key, "a list of different names")
        return tuple(names)

    def numbers(self, classes: int, concepts: int) -> Numbers:
        return Numbers(
            self._floats("probabilities", classes), self._floats("similarities", concepts)
        )

    def _floats(self, key: str, count: int) -> tuple[float, ...]:
        values = self.get(key)
        if not isinstance(values, list) or len(values) != count:
            raise self._refusal(key, f"a list of {count} numbers")
        for value in values:
            if type(value) not in (int, float) or not abs(value) <= 1e6:
                raise self._refusal(key, f"a list of {count} numbers")
        return tuple(map(float, values))

    def _refusal(self, key: str, expected: str) -> SessionError:
        return SessionError(f"{self._name} needs {key!r} as {expected}.")


def _decoded(text: str | bytes) -> object:
    if len(text) > MAX_BYTES:
        raise SessionError(f"The session file is larger than {MAX_BYTES // 1_000_000} MB.")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise SessionError("The session file is not valid JSON; it may be cut short.") from problem


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _is_text(value: object, longest: int) -> bool:
    if not isinstance(value, str) or len(value) > longest:
        return False
    # JSON can spell half a surrogate pair, which no file and no page can hold.
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _numbers_record(numbers: Numbers) -> dict[str, list[float]]:
    return {
        "probabilities": list(numbers.probabilities),
        "similarities": list(numbers.similarities),
    }


def _steps(records: object, classes: int, concepts: tuple[str, ...]) -> tuple[Step, ...]:
    if not isinstance(records, list) or len(records) > MAX_EDITS:
        raise SessionError(f"The session needs 'edits' as a list of at most {MAX_EDITS}.")
    fields = [_Fields(record, f"Edit {number}") for number, record in enumerate(records, 1)]
    try:
        edits = edits_from_json([entry.get("edit") for entry in fields])
    except EditError as problem:
        raise SessionError(f"The session has an edit that can't be read: {problem}") from problem
    known = {None, *concepts, *range(len(concepts))}
    for number, edit in enumerate(edits, 1):
        if getattr(edit, "concept", None) not in known:
            raise SessionError(f"Edit {number} is of a concept that the session doesn't list.")
    return tuple(
        Step(
            edit,
            _time(number, entry.get("time")),
            entry.object("after").numbers(classes, len(concepts)),
        )
        for number, (edit, entry) in enumerate(zip(edits, fields, strict=True), 1)
    )


def _time(number: int, text: object) -> datetime:
    try:
        if not _is_text(text, 40):
            raise ValueError
        time = datetime.fromisoformat(str(text))
    except ValueError:
        time = datetime.min
    if time.utcoffset() is None or time.utcoffset() != UTC.utcoffset(None):
        raise SessionError(f"Edit {number} needs a 'time' like 2026-01-31T12:00:00Z, in UTC.")
    return time.replace(tzinfo=UTC)


def _data_url(picture: bytes) -> str:
    return f"data:{picture_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}"


def _picture(url: object) -> bytes | None:
    if url is None:
        return None
    start = _DATA_URL.match(url) if isinstance(url, str) else None
    if not start or len(str(url)) > MAX_PICTURE_BYTES:
        raise SessionError("The session needs its picture as a data URL of a JPEG or PNG, or null.")
    try:
        picture = base64.b64decode(str(url)[start.end() :], validate=True)
    except (binascii.Error, ValueError) as problem:
        raise SessionError("The picture of the session is damaged.") from problem
    if picture_type(picture) != start[1]:
        raise SessionError("The picture of the session is not of the kind it says.")
    return picture
