"""The pieces of the shortcut measurement, by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from measure_shortcut import ARMS, artefact_prototypes, compare


def test_a_prototype_is_an_artefacts_by_its_exemplar_or_by_most_of_its_nearest_patches():
    scores = np.array([[0.9, 0.1, 0.1], [0.5, 0.9, 0.2], [0.2, 0.8, 0.9], [0.1, 0.2, 0.8]])
    on_artefact = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 0]], bool)
    found = artefact_prototypes(scores[:, None].astype(np.float32), on_artefact[:, None], nearest=3)
    # Nearest first: 1 0 0 has the exemplar; 0 1 1 is two of three; 0 0 1 is neither.
    assert found.tolist() == [[True, True, False]]


def test_the_share_of_the_loss_by_hand():
    truth = np.tile([0, 0, 1, 1], 20)
    tied = {arm: truth for arm in ARMS}
    wrong, half = np.tile([0, 1, 0, 1], 20), np.tile([0, 0, 0, 1], 20)
    untied = {arm: wrong for arm in ARMS} | {"ignore artefact": half, "focus on lesion": truth}
    figures = compare(truth, tied, untied, 2)
    # Plain 1 and 1/2; with half of the mistakes gone F1 is 4/5 and 2/3.
    assert figures["as it is"]["tied"][0] == 1
    assert figures["as it is"]["untied"][0] == pytest.approx(0.5)
    assert figures["as it is"]["loss"][0] == pytest.approx(0.5)
    gained = (4 / 5 + 2 / 3) / 2 - 0.5
    assert figures["ignore artefact"]["regained"][0] == pytest.approx(gained / 0.5)
    assert figures["focus on lesion"]["regained"] == pytest.approx((1, 1, 1))
    assert figures["discard"]["regained"] == pytest.approx((0, 0, 0))
    low, high = figures["ignore artefact"]["untied"][1:]
    assert low < (4 / 5 + 2 / 3) / 2 < high
