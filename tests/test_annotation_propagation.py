"""Similar patches are proposed, corrections respected; values by hand."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from situations import random_situation

from csr_core.annotation import propagation
from csr_core.annotation.masks import Mask
from csr_core.annotation.propagation import PatchMarks, ProjectedMaps, patch_marks, propose
from csr_core.annotation.records import Annotation, ConceptMark
from csr_core.datasets.regions import Box

SIDE = 3
CELLS = [(row, column) for row in range(SIDE) for column in range(SIDE)]


def directions(*degrees):
    """A map of one row: unit vectors in the plane at these angles, (2, 1, n)."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)])[:, None]


def accepted(*cells):
    return PatchMarks(frozenset(cells))


class TestPropose:
    def test_scores_are_cosines_to_the_accepted_less_those_to_the_rejected(self):
        maps = {7: directions(0, 60, 90), 8: directions(10, 80)}
        marks = {7: PatchMarks(frozenset({(0, 0)}), frozenset({(0, 2)}))}
        (found,) = propose(maps.__getitem__, marks, [7, 8])
        # In case 7 the patch between lies nearer to the rejected one. In case 8 the first lies 10°
        # from the accepted and 80° from the rejected, the other the other way round.
        assert found.case == 8
        assert found.cells == found.added == ((0, 0),)
        assert found.scores == pytest.approx([np.cos(np.deg2rad(10)) - np.cos(np.deg2rad(80))])

    def test_nothing_is_proposed_before_anything_is_accepted(self):
        maps = {1: directions(0, 10)}
        assert propose(maps.__getitem__, {}, [1]) == []
        marks = {1: PatchMarks(rejected=frozenset({(0, 0)}))}
        assert propose(maps.__getitem__, marks, [1]) == []

    def test_without_rejections_a_likeness_of_0_42_is_needed(self):
        # cos 64° = 0.438, cos 66° = 0.407; what is asked is 0.02 above 0.4.
        maps = {1: directions(0, 64, 66)}
        (found,) = propose(maps.__getitem__, {1: accepted((0, 0))}, [1])
        assert found.cells == ((0, 0), (0, 1))
        assert found.added == ((0, 1),)
        assert found.scores == pytest.approx([0.6, np.cos(np.deg2rad(64)) - 0.4])

    def test_the_likest_case_comes_first_and_cases_without_any_not_at_all(self):
        maps = {1: directions(0), 2: directions(50), 3: directions(20), 4: directions(90)}
        found = propose(maps.__getitem__, {1: accepted((0, 0))}, [1, 2, 3, 4])
        assert [proposal.case for proposal in found] == [3, 2]

    def test_the_five_nearest_count_alike(self):
        # Six accepted patches: to 0° the five nearest have cosines 1, 1, 1, 1 and 0.
        maps = {1: directions(0, 0, 0, 0, 90, 180), 2: directions(0)}
        marks = {1: accepted(*((0, column) for column in range(6)))}
        (found,) = propose(maps.__getitem__, marks, [2])
        assert found.scores == pytest.approx([0.8 - 0.4])

    def test_clicks_saved_are_the_patches_added_less_the_key(self):
        maps = {1: directions(0), 2: directions(1, 2, 3, 90)}
        (found,) = propose(maps.__getitem__, {1: accepted((0, 0))}, [2])
        assert (len(found.added), found.clicks_saved) == (3, 2)

    def test_many_examples_are_thinned_out_evenly(self, monkeypatch):
        monkeypatch.setattr(propagation, "MAX_EXAMPLES", 2)
        maps = {1: directions(0, 90, 180), 2: directions(80)}
        # The middle one, which alone is like case 2, is left out: cosines to 0° and 180° cancel.
        marks = {1: accepted((0, 0), (0, 1), (0, 2))}
        assert propose(maps.__getitem__, marks, [2]) == []

    @pytest.mark.parametrize("cell", [(1, 0), (0, -1), (-1, 0), (0, 9)])
    def test_marks_outside_the_image_are_refused(self, cell):
        with pytest.raises(ValueError, match="outside the 1 × 2 patches"):
            propose({1: directions(0, 1)}.__getitem__, {1: accepted(cell)}, [])

    def test_a_patch_is_not_both(self):
        with pytest.raises(ValueError, match="both"):
            PatchMarks(frozenset({(0, 0)}), frozenset({(0, 0)}))


@st.composite
def situations(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    maps = random.normal(size=(3, 4, SIDE, SIDE))
    maps /= np.linalg.norm(maps, axis=1, keepdims=True)
    marks = {}
    for case in range(2):
        said = draw(st.lists(st.sampled_from(["accept", "reject", None]), min_size=9, max_size=9))
        both = dict(zip(CELLS, said, strict=True))
        marks[case] = PatchMarks(
            *(frozenset(c for c in CELLS if both[c] == word) for word in ("accept", "reject"))
        )
    return maps, marks


class TestCorrections:
    @given(situations())
    def test_accepted_patches_stay_and_rejected_ones_never_come(self, situation):
        maps, marks = situation
        for proposal in propose(maps.__getitem__, marks, range(3)):
            own = marks.get(proposal.case, PatchMarks())
            assert own.accepted <= set(proposal.cells)
            assert not own.rejected & set(proposal.cells)
            assert set(proposal.added) == set(proposal.cells) - own.accepted
            assert proposal.added

    @given(situations())
    def test_cells_come_once_and_best_first(self, situation):
        maps, marks = situation
        found = propose(maps.__getitem__, marks, range(3))
        for proposal in found:
            assert len(set(proposal.cells)) == len(proposal.cells) == len(proposal.scores)
            assert list(proposal.scores) == sorted(proposal.scores, reverse=True)
        best = [
            max(s for c, s in zip(p.cells, p.scores, strict=True) if c in p.added) for p in found
        ]
        assert best == sorted(best, reverse=True)

    @given(situations(), st.sampled_from(CELLS))
    def test_what_is_rejected_is_not_proposed_again(self, situation, cell):
        maps, marks = situation
        for proposal in propose(maps.__getitem__, marks, [0]):
            if cell in proposal.added:
                refused = PatchMarks(marks[0].accepted, marks[0].rejected | {cell})
                again = propose(maps.__getitem__, marks | {0: refused}, [0])
                assert all(cell not in other.cells for other in again)

    @given(situations())
    def test_one_more_rejection_makes_nothing_more_like(self, situation):
        maps, marks = situation
        if not any(mark.rejected for mark in marks.values()):
            return
        last = maps[2].reshape(4, -1)
        positive, negative = last[:, :2].T.astype(np.float32), last[:, 2:7].T.astype(np.float32)
        before = propagation._likeness(maps[0].astype(np.float32), positive, negative)
        more = np.concatenate([negative, last[:, 7:].T.astype(np.float32)])
        after = propagation._likeness(maps[0].astype(np.float32), positive, more)
        assert (after <= before + 1e-6).all()


def annotated(status="open", **mark):
    return Annotation(MappingProxyType({"streaks": ConceptMark(**mark)}), status=status)


def painted(*cells, size=4, grid=2):
    region = np.zeros((size, size), bool)
    for row, column in cells:
        step = size // grid
        region[row * step : (row + 1) * step, column * step : (column + 1) * step] = True
    return region


class TestPatchMarks:
    def test_patches_painted_by_half_are_accepted(self):
        region = painted((0, 0))
        region[2:4, 0] = True  # half of patch (1, 0)
        region[0, 2] = True  # a quarter of patch (0, 1)
        marks = patch_marks(annotated(mask=Mask.of(region)), "streaks", (2, 2))
        assert marks == PatchMarks(frozenset({(0, 0), (1, 0)}))

    def test_what_is_left_out_of_a_case_that_is_done_is_rejected(self):
        region = painted((0, 0))
        region[0, 2] = True  # neither painted nor left out
        marks = patch_marks(annotated("done", mask=Mask.of(region)), "streaks", (2, 2))
        assert marks == PatchMarks(frozenset({(0, 0)}), frozenset({(1, 0), (1, 1)}))

    def test_an_absent_concept_is_nowhere(self):
        everything = frozenset({(0, 0), (0, 1), (1, 0), (1, 1)})
        done = patch_marks(annotated("done", presence="no"), "streaks", (2, 2))
        assert done == PatchMarks(frozenset(), everything)

    @pytest.mark.parametrize(
        "annotation",
        [
            annotated("open", presence="no"),
            annotated("done", presence="yes"),
            annotated("done", presence="yes", boxes=(Box("streaks", 0, 0, 0.5, 0.5),)),
            Annotation(status="done"),
        ],
    )
    def test_where_no_place_is_told_nothing_is_rejected(self, annotation):
        assert patch_marks(annotation, "streaks", (2, 2)) == PatchMarks()

    def test_a_patch_taken_out_and_painted_again_is_accepted(self):
        annotation = annotated(mask=Mask.of(painted((0, 0))))
        marks = patch_marks(annotation, "streaks", (2, 2), rejected=[(0, 0), (1, 1)])
        assert marks == PatchMarks(frozenset({(0, 0)}), frozenset({(1, 1)}))


class TestProjectedMaps:
    @pytest.fixture
    def reasoner(self):
        return random_situation(0)[0]

    @pytest.fixture
    def picture(self, tmp_path):
        path = tmp_path / "image.png"
        Image.effect_noise((40, 33), 80).convert("RGB").save(path)
        return path

    def test_they_are_unit_vectors_of_the_projected_space(self, reasoner, picture, tmp_path):
        maps = ProjectedMaps(reasoner, tmp_path / "cache").of(picture)
        assert maps.dtype == np.float16
        assert maps.shape == (8, *reasoner.grid)
        assert np.linalg.norm(maps.astype(float), axis=0) == pytest.approx(1, abs=5e-3)
        assert maps == pytest.approx(reasoner.project(picture), abs=1e-3)

    def test_similarity_maps_follow_from_them(self, reasoner, picture):
        prototypes = reasoner.network.prototypes.numpy()
        unit = prototypes / np.linalg.norm(prototypes, axis=-1, keepdims=True)
        cosines = np.einsum("kmd,dhw->kmhw", unit, reasoner.project(picture))
        assert cosines == pytest.approx(reasoner.encode(picture).similarity_maps, abs=1e-5)

    def test_they_are_worked_out_once_and_outlast_the_program(
        self, reasoner, picture, tmp_path, monkeypatch
    ):
        first = np.array(ProjectedMaps(reasoner, tmp_path / "cache").of(picture))
        monkeypatch.setattr(reasoner, "project", None)
        again = ProjectedMaps(reasoner, tmp_path / "cache").of(picture)
        assert isinstance(again, np.memmap)
        assert (again == first).all()

    def test_another_picture_or_model_has_its_own(self, reasoner, picture, tmp_path):
        maps = ProjectedMaps(reasoner, tmp_path / "cache")
        maps.of(picture)
        Image.effect_noise((50, 33), 80).convert("RGB").save(picture)
        maps.of(picture)
        reasoner.model_hash = "another"
        ProjectedMaps(reasoner, tmp_path / "cache").of(picture)
        assert len(list((tmp_path / "cache" / "model").glob("*.npy"))) == 2
        assert len(list((tmp_path / "cache" / "another").glob("*.npy"))) == 1
