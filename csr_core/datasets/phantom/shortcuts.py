"""How often artefacts occur, and how one of them can be tied to a diagnosis."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from csr_core.datasets.phantom.frequencies import PHANTOM_ARTEFACTS, PHANTOM_CLASSES

__all__ = ["ARTEFACT_RATES", "Shortcut", "draw_artefacts", "parse_shortcut"]

ARTEFACT_RATES: Mapping[str, float] = MappingProxyType(
    {
        "hair": 0.35,
        "ruler": 0.25,
        "ink": 0.12,
        "gel_bubble": 0.18,
        "dark_corner": 0.20,
        "patches": 0.10,
    }
)


@dataclass(frozen=True)
class Shortcut:
    """Ties an artefact to a class, as real data sets do by accident.

    Attributes:
        artefact: One of `PHANTOM_ARTEFACTS`.
        diagnosis: One of `PHANTOM_CLASSES`.
        rate_in_class: P(artefact | that diagnosis), 0..1.
        rate_elsewhere: P(artefact | any other diagnosis), 0..1.

    Raises:
        ValueError: For an unknown name or a rate outside 0..1.
    """

    artefact: str
    diagnosis: str
    rate_in_class: float
    rate_elsewhere: float

    def __post_init__(self) -> None:
        if self.artefact not in PHANTOM_ARTEFACTS:
            raise ValueError(
                f"shortcut artefact {self.artefact!r} is unknown; "
                f"choose from {', '.join(PHANTOM_ARTEFACTS)}"
            )
        if self.diagnosis not in PHANTOM_CLASSES:
            raise ValueError(
                f"shortcut diagnosis {self.diagnosis!r} is unknown; "
                f"choose from {', '.join(PHANTOM_CLASSES)}"
            )
        for rate in (self.rate_in_class, self.rate_elsewhere):
            if not 0 <= rate <= 1:
                raise ValueError(f"shortcut rate {rate} is no probability; give 0 to 1")


def parse_shortcut(text: str) -> Shortcut:
    """Read `artefact:diagnosis:rate_in_class:rate_elsewhere`, as in `ruler:melanoma:0.9:0.05`.

    Raises:
        ValueError: Saying which part is wrong and what is expected.
    """
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != 4:
        raise ValueError(
            f"shortcut {text!r} has {len(parts)} parts; "
            "expected artefact:diagnosis:rate_in_class:rate_elsewhere, "
            "for instance ruler:melanoma:0.9:0.05"
        )
    artefact, diagnosis, *rates = parts
    try:
        rate_in_class, rate_elsewhere = (float(rate) for rate in rates)
    except ValueError:
        raise ValueError(
            f"shortcut rates {rates[0]!r} and {rates[1]!r} must be numbers from 0 to 1"
        ) from None
    return Shortcut(artefact, diagnosis, rate_in_class, rate_elsewhere)


def draw_artefacts(
    rng: np.random.Generator, diagnosis: str, shortcut: Shortcut | None
) -> frozenset[str]:
    """The artefacts of one picture; independent of the diagnosis unless `shortcut` ties one."""
    rates = dict(ARTEFACT_RATES)
    if shortcut is not None:
        rates[shortcut.artefact] = (
            shortcut.rate_in_class if diagnosis == shortcut.diagnosis else shortcut.rate_elsewhere
        )
    return frozenset(name for name in PHANTOM_ARTEFACTS if rng.random() < rates[name])
