"""From levels of concepts to probabilities; values by hand."""

import numpy as np
import pytest
from scipy.special import expit

from csr_core.familiarity import CalibrationError
from csr_core.presence import USUAL_PRESENCE, PresenceScale, fit_presence


def test_levels_become_probabilities_concept_by_concept():
    scale = PresenceScale(np.array([4.0, 0.0]), np.array([-2.0, 1.0]))
    found = scale.probabilities(np.array([[0.5, 9.0], [1.0, -9.0]]))
    assert found == pytest.approx(np.array([[0.5, expit(1)], [expit(2), expit(1)]]))


def test_unmeasured_models_are_undecided_midway_between_the_profiles():
    found = USUAL_PRESENCE.probabilities(np.array([0.0, 0.5, 1.0]))
    assert found == pytest.approx([0.1192, 0.5, 0.8808], abs=1e-4)


def test_a_level_that_tells_nothing_leaves_the_frequency():
    labels = np.array([[1], [0], [0], [0]], np.int8)
    scale = fit_presence(np.full((4, 1), 0.7), labels)
    # Platt's targets: 2/3 for the one present, 1/5 for the three absent.
    assert scale.probabilities(np.array([0.7])) == pytest.approx([(2 / 3 + 3 / 5) / 4], abs=1e-3)


def test_an_unlabelled_concept_is_a_coin_toss():
    scale = fit_presence(np.array([[0.0], [1.0]]), np.full((2, 1), -1, np.int8))
    assert scale.probabilities(np.array([[0.0], [1.0]])) == pytest.approx(0.5)


def test_a_level_that_misleads_is_not_believed():
    levels = np.linspace(0, 1, 20)[:, None]
    scale = fit_presence(levels, (levels < 0.5).astype(np.int8))
    assert scale.slope[0] == pytest.approx(0, abs=1e-6)


def test_the_scale_that_made_the_labels_is_found_again():
    random = np.random.default_rng(0)
    levels = random.normal(0.5, 0.5, (4000, 2))
    truth = PresenceScale(np.array([6.0, 2.0]), np.array([-3.0, -2.0]))
    labels = (random.random(levels.shape) < truth.probabilities(levels)).astype(np.int8)
    labels[random.random(levels.shape) < 0.1] = -1
    scale = fit_presence(levels, labels)
    assert scale.slope == pytest.approx(truth.slope, rel=0.15)
    assert scale.offset == pytest.approx(truth.offset, rel=0.15)


def test_what_is_written_is_read():
    scale = PresenceScale(np.array([4.0, 0.0]), np.array([-2.0, 1.5]))
    again = PresenceScale.from_json(scale.to_json(), 2)
    assert again.slope.tolist() == [4.0, 0.0]
    assert again.offset.tolist() == [-2.0, 1.5]


@pytest.mark.parametrize(
    "record",
    [
        None,
        {"slope": [1.0, 1.0]},
        {"slope": [1.0], "offset": [0.0]},
        {"slope": [1.0, -1.0], "offset": [0.0, 0.0]},
        {"slope": [1.0, float("inf")], "offset": [0.0, 0.0]},
        {"slope": ["a", "b"], "offset": [0.0, 0.0]},
    ],
)
def test_anything_else_is_refused(record):
    with pytest.raises(CalibrationError, match="slope and offset as 2 numbers"):
        PresenceScale.from_json(record, 2)
