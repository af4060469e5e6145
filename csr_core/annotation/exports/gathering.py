"""What is known of each case, gathered for the writers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from csr_core.annotation.records import Annotation
from csr_core.annotation.resolving import resolved
from csr_core.annotation.store import Case, Read

__all__ = ["ExportError", "Gathered", "gathered"]


class ExportError(ValueError):
    """Annotations can't be exported; the message is for the person at the screen."""


@dataclass(frozen=True)
class Gathered:
    """A case and what was said of it.

    Attributes:
        case: the case.
        reads: of each reader.
        annotation: what they come to, or None if nothing counts yet.
    """

    case: Case
    reads: tuple[Read, ...]
    annotation: Annotation | None


def gathered(reads: Iterable[Read], reader: str | None = None) -> Iterator[Gathered]:
    """Go through a project case by case.

    Args:
        reads: of all readers, those of a case side by side.
        reader: the chosen one, see `resolved`.
    """
    for _, group in groupby(reads, key=lambda read: read.case.id):
        of_case = tuple(group)
        yield Gathered(of_case[0].case, of_case, resolved(of_case, reader))
