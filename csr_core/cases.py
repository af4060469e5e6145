"""Open cases, kept for a while under keys that nobody can guess.

A request from a browser brings no session state, only a key. The store is bounded in number, age
and bytes; a case that has gone is simply opened again.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from csr_core.reasoner import EncodedCase

__all__ = ["CaseExpired", "CaseStore", "OpenCase"]


class CaseExpired(LookupError):  # noqa: N818 - the name says what happened, as HTTP's "Gone" does
    """No case is open under a key: it has expired, or never existed."""

    def __init__(self) -> None:
        super().__init__("This case is no longer open on the server; open it again.")


@dataclass(frozen=True, eq=False)
class OpenCase:
    """An encoded image and the model that encoded it.

    Attributes:
        model: name of the checkpoint.
        encoded: what the network saw.
        concept_maps: (K, H, W) float32 in [0, 1], painted while nothing is edited.
        picture: the image as a JPEG or PNG that decodes to the same pixels.
    """

    model: str
    encoded: "EncodedCase"
    concept_maps: NDArray[np.float32]
    picture: bytes

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays and the picture."""
        arrays = self.encoded.similarity_maps.nbytes + self.concept_maps.nbytes
        return arrays + len(self.picture)


class CaseStore:
    """Open cases by key; the least recently used make room. Safe to share between threads.

    Args:
        max_cases: most cases kept.
        max_bytes: most bytes of arrays kept; the newest case is kept whatever its size.
        max_age: seconds after its last use at which a case expires.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        max_cases: int = 512,
        max_bytes: int = 128 * 2**20,
        max_age: float = 4 * 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_cases = max_cases
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._cases: OrderedDict[str, tuple[float, OpenCase]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cases)

    def put(self, case: OpenCase) -> str:
        """Keep a case and return its key, 43 characters safe in a URL."""
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._cases[key] = (self._clock(), case)
            self._make_room()
        return key

    def get(self, key: str) -> OpenCase:
        """Find a case, and count that as its use.

        Raises:
            CaseExpired: if no case is open under the key.
        """
        with self._lock:
            self._make_room()
            if key not in self._cases:
                raise CaseExpired
            case = self._cases.pop(key)[1]
            self._cases[key] = (self._clock(), case)
            return case

    def _make_room(self) -> None:
        oldest_use = self._clock() - self._max_age
        held = sum(case.nbytes for _, case in self._cases.values())
        for key, (used, case) in list(self._cases.items()):
            crowded = len(self._cases) > self._max_cases or held > self._max_bytes
            if used >= oldest_use and not (crowded and len(self._cases) > 1):
                return
            del self._cases[key]
            held -= case.nbytes
