"""What the model offers a reader; values by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from situations import build

from csr_core import Reasoner
from csr_core.annotation.assist import (
    EncodedCases,
    Suggestion,
    diversity_order,
    rank_cases,
    suggestions,
    undecidedness,
)
from csr_core.annotation.records import Vocabulary
from csr_core.annotation.store import NewCase, Project, QueueView, Store
from csr_core.calibration import Calibration
from csr_core.presence import PresenceScale

# Both patches of the left column show the first concept; the second is nowhere.
SHOWN = [[[[1.0, 0.0], [0.3, 0.2]]] * 3, [[[0.0, -0.5], [0.0, 0.0]]] * 3]


def situation(maps=SHOWN, weight=0.0):
    return build(maps, np.full((3, 2, 3), weight), np.zeros(3), 0.0, 1.0)


def with_scale(reasoner, slope, offset):
    scale = PresenceScale(np.array(slope, float), np.array(offset, float))
    calibration = Calibration(None, None, "by hand", scale)  # only the scale is looked at
    return Reasoner(
        reasoner.network, reasoner.concepts, reasoner.classes, reasoner.profiles, reasoner.atlas,
        {}, reasoner.model_hash, calibration,
    )  # fmt: skip


class TestSuggestions:
    def test_presence_and_patches(self):
        # Levels are 1 and 0, so probabilities σ(±2); 0.3 is above a quarter of the way, 0.2 is not.
        found = suggestions(*situation())
        assert list(found) == ["streaks", "globules"]
        streaks, globules = found.values()
        assert streaks.presence == "yes"
        assert streaks.probability == pytest.approx(0.8808, abs=1e-4)
        assert streaks.cells == ((0, 0), (1, 0))
        assert globules == Suggestion("no", pytest.approx(0.1192, abs=1e-4), ())

    def test_an_undecided_concept_says_where_it_would_be(self):
        reasoner, case = situation([[[[0.5, 0.0], [0.1, 0.0]]] * 3, SHOWN[1]])
        assert suggestions(reasoner, case)["streaks"] == Suggestion("unsure", 0.5, ((0, 0),))

    def test_a_concept_that_may_be_there_has_at_least_its_best_patch(self):
        reasoner, case = situation([[[[0.2, 0.0], [0.1, 0.0]]] * 3, SHOWN[1]])
        streaks = suggestions(reasoner, case)["streaks"]
        assert (streaks.presence, streaks.cells) == ("unsure", ((0, 0),))

    def test_the_scale_measured_on_the_model_counts(self):
        reasoner, case = situation()
        sceptical = with_scale(reasoner, [1, 0], [-4, 0])
        streaks, globules = suggestions(sceptical, case).values()
        assert (streaks.presence, streaks.cells) == ("no", ())
        assert streaks.probability == pytest.approx(1 / (1 + np.exp(3)))
        assert (globules.presence, globules.probability) == ("unsure", 0.5)

    def test_a_case_of_another_model_is_refused(self):
        reasoner, case = situation()
        with pytest.raises(ValueError, match="another model"):
            suggestions(reasoner, replace(case, model_hash="other"))


class TestUndecidedness:
    def test_nothing_known_is_one(self):
        reasoner, case = situation()
        assert undecidedness(with_scale(reasoner, [0, 0], [0, 0]), case) == pytest.approx(1)

    def test_everything_known_is_none(self):
        case = situation()[1]
        weight = np.zeros((3, 2, 3))
        weight[0] = 100
        sure = build(SHOWN, weight, np.zeros(3), 0.0, 1.0)[0]
        assert undecidedness(with_scale(sure, [0, 0], [99, -99]), case) == pytest.approx(0)

    def test_it_is_the_mean_over_concepts_and_diagnosis(self):
        reasoner, case = situation()
        # One concept certain, one open, the diagnosis open.
        found = undecidedness(with_scale(reasoner, [0, 0], [99, 0]), case)
        assert found == pytest.approx(2 / 3)


class TestDiversity:
    def test_each_is_as_unlike_those_before_as_can_be(self):
        # The mean points to 45°: (1, 1) first; both axes are as far from it, the first goes first.
        pooled = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 2.0], [2.9, 0.1]])
        assert diversity_order(pooled).tolist() == [1, 0, 2, 3]

    def test_length_does_not_matter(self):
        pooled = np.random.default_rng(0).normal(size=(20, 5))
        scaled = pooled * np.arange(1, 21)[:, None]
        assert diversity_order(pooled).tolist() == diversity_order(scaled).tolist()

    def test_past_the_leading_cases_the_farthest_goes_first(self, monkeypatch):
        monkeypatch.setattr("csr_core.annotation.assist.LEADING", 1)
        angles = np.deg2rad([0, 40, 10, 85])
        pooled = np.column_stack([np.cos(angles), np.sin(angles)])
        assert diversity_order(pooled).tolist() == [2, 0, 3, 1]

    @given(
        arrays(
            np.float32,
            st.tuples(st.integers(0, 12), st.just(3)),
            elements=st.floats(-9, 9, width=32),
        )
    )
    def test_every_case_has_its_own_rank(self, pooled):
        assert sorted(diversity_order(pooled).tolist()) == list(range(len(pooled)))


@pytest.fixture
def pictures(tmp_path):
    """Paths of three pictures of one colour each."""
    paths = [tmp_path / f"image_{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 32), (80 * number, 90, 120)).save(path)
    return paths


class Counting:
    """A model that counts what it encodes."""

    def __init__(self):
        self.reasoner, self.case = situation()
        self.model_hash = "model"
        self.encoded = []

    def encode(self, path):
        self.encoded.append(path.name)
        return self.case


class TestEncodedCases:
    def test_an_image_is_encoded_once(self, pictures):
        model = Counting()
        cases = EncodedCases(model)
        assert cases.encoded(pictures[0]) is cases.encoded(pictures[0])
        assert model.encoded == ["image_0.png"]

    def test_an_image_that_changed_is_encoded_again(self, pictures):
        model = Counting()
        cases = EncodedCases(model)
        cases.encoded(pictures[0])
        Image.new("RGB", (50, 50)).save(pictures[0])
        cases.encoded(pictures[0])
        assert len(model.encoded) == 2

    def test_the_longest_unused_goes_when_there_is_no_room(self, pictures):
        model = Counting()
        cases = EncodedCases(model, limit=2 * model.case.similarity_maps.nbytes)
        for index in (0, 1, 0, 2, 0, 1):
            cases.encoded(pictures[index])
        assert model.encoded == ["image_0.png", "image_1.png", "image_2.png", "image_1.png"]


def test_a_model_ranks_the_cases_it_can_read(tmp_path, pictures):
    reasoner = situation()[0]
    store = Store(tmp_path / "annotations.db")
    cases = [NewCase(path.stem, path.name, "train", 32, 40) for path in pictures]
    cases.insert(0, NewCase("lost", "lost.png", "train", 32, 40))
    store.create_project(Project("P", tmp_path, Vocabulary(("a",), ("b", "c"))), cases)
    assert rank_cases(store, "P", EncodedCases(reasoner)) == 3
    assert store.ranked_by("P") == reasoner.model_hash
    rows = store.queue("P", "Anna", QueueView(order="undecided")).rows
    assert rows[-1].case.image_id == "lost"
    encoded = {case.image_id: reasoner.encode(tmp_path / case.path) for case in cases[1:]}
    doubts = [undecidedness(reasoner, encoded[row.case.image_id]) for row in rows[:-1]]
    assert doubts == sorted(doubts, reverse=True)
    store.close()
