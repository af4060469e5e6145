"""The calibration file of a checkpoint: profiles of its scores, and what is usual for the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csr_core.evidence import Profiles
from csr_core.familiarity import (
    CalibrationError,
    Familiarity,
    ScoreRange,
    fit_familiarity,
    fit_score_range,
)
from csr_core.presence import PresenceScale

__all__ = [
    "Calibration",
    "calibration_from_json",
    "calibration_to_json",
    "fit_calibration",
    "profiles_from_json",
    "profiles_to_json",
]

MAX_TEXT = 300
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is usual for a model, measured on images it was not fitted to.

    Attributes:
        score_range: usual upper end of its (K, M) similarity scores.
        familiarity: usual pooled features, (C,).
        measured_on: which images, for people.
        presence: probability of each concept, if labels were known.
    """

    score_range: ScoreRange
    familiarity: Familiarity
    measured_on: str
    presence: PresenceScale | None = None


def fit_calibration(
    scores: NDArray[np.floating],
    pooled: NDArray[np.floating],
    measured_on: str,
    presence: PresenceScale | None = None,
) -> Calibration:
    """Measure what is usual.

    Args:
        scores: (N, K, M) of images the model was not fitted to, without edits.
        pooled: (N, C), the spatial mean of their features.
        measured_on: which images, for people.
        presence: of the concepts in these images, if their labels are known.

    Raises:
        CalibrationError: if there are too few images.
    """
    return Calibration(fit_score_range(scores), fit_familiarity(pooled), measured_on, presence)


def calibration_to_json(calibration: Calibration | None) -> dict[str, Any]:
    """Write as JSON values, with six significant digits; nothing if nothing was measured."""
    if calibration is None:
        return {}
    record: dict[str, Any] = {
        "measured_on": calibration.measured_on,
        "score_range": _rounded(calibration.score_range.to_json()),
        "familiarity": _rounded(calibration.familiarity.to_json()),
    }
    if calibration.presence is not None:
        record["presence"] = _rounded(calibration.presence.to_json())
    return record


def calibration_from_json(
    record: Mapping[str, Any], shape: tuple[int, int], channels: int
) -> Calibration | None:
    """Read what `calibration_to_json` wrote, from a file that may come from anyone.

    Args:
        record: the JSON object; without any of the three fields nothing was measured. `presence`
            may be missing, as calibrations measured earlier lack it.
        shape: (K, M) of the model.
        channels: C, of its features.

    Raises:
        CalibrationError: naming the field that is wrong.
    """
    fields = {"measured_on", "score_range", "familiarity"}
    found = fields & record.keys()
    if not found:
        return None
    if found != fields:
        raise CalibrationError(f"The calibration lacks {' and '.join(sorted(fields - found))}.")
    measured_on = record["measured_on"]
    if not isinstance(measured_on, str) or not 0 < len(measured_on) <= MAX_TEXT:
        raise CalibrationError(
            f"The calibration needs 'measured_on' as a text of at most {MAX_TEXT} characters."
        )
    score_range = ScoreRange.from_json(record["score_range"])
    if score_range.limits.shape != shape:
        raise CalibrationError(f"The score range needs {shape[0]} × {shape[1]} limits.")
    familiarity = Familiarity.from_json(record["familiarity"])
    if familiarity.centre.shape != (channels,):
        raise CalibrationError(f"The familiarity needs a centre of {channels} numbers.")
    presence = None
    if "presence" in record:
        presence = PresenceScale.from_json(record["presence"], shape[0])
    return Calibration(score_range, familiarity, measured_on, presence)


def profiles_to_json(profiles: Profiles) -> dict[str, list[list[float]]]:
    """Write as JSON values, with seven decimals."""
    return {
        "absent_profile": profiles.absent.astype(np.float64).round(7).tolist(),
        "present_profile": profiles.present.astype(np.float64).round(7).tolist(),
    }


def profiles_from_json(record: Mapping[str, Any], shape: tuple[int, int]) -> Profiles:
    """Read what `profiles_to_json` wrote, from a file that may come from anyone.

    Args:
        record: the JSON object.
        shape: (K, M) of the model.

    Raises:
        CalibrationError: naming the profile that is wrong.
    """
    profiles = Profiles(
        _profile(record, "absent_profile", shape), _profile(record, "present_profile", shape)
    )
    if (profiles.present < profiles.absent).any():
        raise CalibrationError("It has a present profile below the absent one.")
    return profiles


def _profile(record: Mapping[str, Any], key: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    try:
        profile = np.array(record.get(key), dtype=np.float32)
    except (TypeError, ValueError, ArithmeticError):
        profile = np.empty(0, dtype=np.float32)
    if profile.shape != shape or not np.isfinite(profile).all():
        raise CalibrationError(f"It needs {key} as {shape[0]} × {shape[1]} numbers.")
    return profile


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value
