"""Names of projects and readers: what they may be, and when two are the same."""

import unicodedata

__all__ = ["CONSENSUS", "StoreError", "StoreFailure", "check_name", "check_reader", "folded"]

CONSENSUS = "consensus"
MAX_NAME = 60


class StoreError(ValueError):
    """The store refuses or can't do what was asked; the message is for the person at the screen."""


class StoreFailure(StoreError):  # noqa: N818 - the name says what happened
    """The database failed; what was asked may succeed when it is asked again."""


def check_name(name: str, what: str, longest: int = MAX_NAME) -> str:
    """Return a name without the spaces around it.

    Args:
        name: from outside.
        what: it names, for the message.
        longest: that is allowed, in characters.

    Raises:
        StoreError: if it is empty, longer, or not printable.
    """
    stripped = name.strip()
    if not (0 < len(stripped) <= longest and stripped.isprintable()):
        raise StoreError(f"The name of a {what} is 1 to {longest} printable characters.")
    return stripped


def check_reader(name: str) -> str:
    """Return the name under which somebody may sign in, without the spaces around it.

    Raises:
        StoreError: if it is no name, or the one that adjudicated annotations are kept under.
    """
    checked = check_name(name, "reader")
    if folded(checked) == CONSENSUS:
        raise StoreError(f"“{CONSENSUS}” stands for what readers agreed on; sign in by your name.")
    return checked


def folded(name: str) -> str:
    """What two spellings of the same name share."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
