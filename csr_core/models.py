"""The checkpoints of a folder, each loaded once at its first use and shared by everyone."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr_core.files import read_json
from csr_core.wire import RequestError

if TYPE_CHECKING:
    from csr_core.reasoner import Reasoner

__all__ = ["ModelShape", "Models"]

MAX_JSON_BYTES = 16_000_000


@dataclass(frozen=True)
class ModelShape:
    """What a model looks for, and how finely.

    Attributes:
        concepts: their names.
        classes: names of the diagnoses.
        grid: rows and columns of patches.
    """

    concepts: tuple[str, ...]
    classes: tuple[str, ...]
    grid: tuple[int, int]


class Models:
    """The checkpoints of a folder, each loaded once at its first use and shared by everyone.

    Args:
        folder: holds one folder a checkpoint.

    Raises:
        FileNotFoundError: if there is no checkpoint in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folders = {path.parent.name: path.parent for path in folder.glob("*/config.json")}
        if not self._folders:
            raise FileNotFoundError(
                f"There is no checkpoint in {folder}; give the folder that holds checkpoint "
                "folders, or train one with `python -m csr_core train`."
            )
        self.names = tuple(sorted(self._folders))
        self._locks = {name: threading.Lock() for name in self.names}
        self._reasoners: dict[str, Reasoner] = {}

    def get(self, name: str) -> "Reasoner":
        """Return a model, loading it if this is its first use.

        Raises:
            RequestError: if there is no model of that name.
        """
        folder = self.folder(name)
        with self._locks[name]:
            if name not in self._reasoners:
                import csr_core  # here, because it pulls in torch: the page is served before that

                try:
                    self._reasoners[name] = csr_core.load(folder)
                except ValueError as error:
                    raise RequestError(f"The model {name} can't be loaded: {error}") from error
            return self._reasoners[name]

    def folder(self, name: str) -> Path:
        """Where a checkpoint is.

        Raises:
            RequestError: if there is no model of that name.
        """
        if name not in self._folders:
            raise RequestError(f"There is no model of that name; choose {' or '.join(self.names)}.")
        return self._folders[name]

    def summary(self, name: str) -> dict[str, Any]:
        """Describe a model from its card, without loading its weights."""
        config = read_json(self._folders[name] / "config.json", MAX_JSON_BYTES)
        card = config.get("card") if isinstance(config, dict) else None
        card = card if isinstance(card, dict) else {}
        return {"name": name, "title": str(card.get("title", name)), "card": card}

    def shape(self, name: str) -> ModelShape:
        """Say what a model looks for, without loading its weights.

        Raises:
            RequestError: if the checkpoint does not say it.
        """
        match read_json(self._folders[name] / "config.json", MAX_JSON_BYTES):
            case {
                "concepts": [*concepts],
                "classes": [*classes],
                "network": {"image_size": int(size), "output_stride": int(stride)},
            } if stride > 0:
                side = size // stride
                names = (tuple(map(str, concepts)), tuple(map(str, classes)))
                return ModelShape(*names, (side, side))
        raise RequestError(f"The model {name} can't be read; train it again.")
