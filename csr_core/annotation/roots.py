"""Folders of the server from which a browser may make projects, and no others."""

from collections.abc import Sequence
from pathlib import Path

from csr_core.wire import RequestError

__all__ = ["ProjectRoots"]

MOST_FOLDERS = 500


class ProjectRoots:
    """The folders in some roots, by names that don't tell where they are.

    Args:
        roots: folders that hold folders of images.

    Raises:
        FileNotFoundError: if one of them is no folder.
    """

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        for root in roots:
            if not root.is_dir():
                raise FileNotFoundError(f"--project-root {root} is no folder.")
        self._roots = tuple(root.resolve() for root in roots)

    def names(self) -> list[str]:
        """What may be chosen, as it is now: the roots and the folders in them."""
        return list(self._found())[:MOST_FOLDERS]

    def folder(self, name: object) -> Path:
        """The folder that a browser chose.

        Raises:
            RequestError: if it is none of `names`.
        """
        found = self._found()
        if not isinstance(name, str) or name not in found:
            raise RequestError("Projects are made from the folders that are offered, no others.")
        return found[name]

    def _found(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for number, root in enumerate(self._roots, start=1):
            label = root.name if sum(other.name == root.name for other in self._roots) == 1 else ""
            label = label or f"folder {number}"
            found[label] = root
            for path in sorted(root.iterdir()):
                inside = path.is_dir() and path.resolve().is_relative_to(root)
                if inside and not path.name.startswith("."):
                    found[f"{label}/{path.name}"] = path
        return found
