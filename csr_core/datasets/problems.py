"""What is wrong with a data set, said completely and before any training."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DatasetError", "Problem", "is_safe_id", "is_safe_name", "shown"]

_PRINTED_PROBLEMS = 50
_SHOWN_CHARACTERS = 60
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9 ._-]{0,126}[A-Za-z0-9_-])?", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """One fault of a data set.

    Attributes:
        file: File relative to the data set's folder.
        row: Line number in a table, the header being line 1, or None for the whole file.
        column: Name of the column or JSON key, or None.
        found: What is there.
        expected: What should be there.
    """

    file: str
    row: int | None
    column: str | None
    found: str
    expected: str

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", column {self.column}"
        text = f"{self.file}{row}{column}: found {self.found}, expected {self.expected}"
        # File names on disk may hold line breaks and bytes that no terminal can print.
        return "".join(character if character.isprintable() else "�" for character in text)


class DatasetError(ValueError):
    """A data set was refused.

    Attributes:
        problems: Every fault found; the message prints the first 50, one a line.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:_PRINTED_PROBLEMS]]
        if len(self.problems) > _PRINTED_PROBLEMS:
            lines.append(f"… and {len(self.problems) - _PRINTED_PROBLEMS} more")
        return "\n".join(lines)


def is_safe_id(text: str) -> bool:
    """Tell whether ``text`` may name an image or a split, and so a file or a folder."""
    return _SAFE_ID.fullmatch(text) is not None


def is_safe_name(text: str) -> bool:
    """Tell whether ``text`` may name a class, concept or artefact: an id, or words with spaces."""
    return _SAFE_NAME.fullmatch(text) is not None


def shown(value: object) -> str:
    """Quote a value from a file so that it fits one line and holds no control characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
