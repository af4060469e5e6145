"""A simulated reader who knows where things are, by hand and on small phantoms."""

from dataclasses import replace

import numpy as np
import pytest
from situations import build, random_situation

import csr_core
from csr_core import Focus, Force, Ignore, Suppress
from csr_core.datasets import load_dataset, load_image, region_mask
from csr_core.spatial_review import (
    KnownRegions,
    covered_cells,
    grown_cells,
    known_regions,
    review_spatially,
    spatial_edits,
)

GRID = (2, 2)
LEFT, TOP = ((0, 0), (1, 0)), ((0, 0), (0, 1))


class TestCoveredCells:
    def test_a_quarter_of_a_patch_is_enough(self):
        mask = np.zeros((8, 16), bool)  # patches of 4 rows and 4 columns
        mask[:4, 2:10] = True  # half of the first patch, all of the second, half of the third
        mask[4, 12:] = True  # a quarter of the last
        mask[7, :3] = True  # three of the sixteen pixels of the fifth
        assert covered_cells(mask, (2, 4)) == ((0, 0), (0, 1), (0, 2), (1, 3))

    def test_a_small_region_has_the_patch_it_covers_most(self):
        mask = np.zeros((64, 64), bool)
        mask[40, 31:34] = True  # one pixel in one patch, two in the next
        assert covered_cells(mask, (4, 4)) == ((2, 2),)

    def test_nothing_covers_nothing(self):
        assert covered_cells(np.zeros((64, 64), bool), (4, 4)) == ()


class TestSpatialEdits:
    regions = KnownRegions({"streaks": LEFT, "globules": (*LEFT, (0, 1), (1, 1))}, TOP, ((1, 1),))

    def test_each_mark_by_hand(self):
        made = {
            mark: spatial_edits(self.regions, [mark], GRID)
            for mark in ("ignore", "focus", "suppress", "force")
        }
        assert made == {
            "ignore": (Ignore([(1, 1)]),),
            "focus": (Focus(TOP),),
            # Globules are everywhere: nothing lies outside them.
            "suppress": (Suppress("streaks", [(0, 1), (1, 1)]),),
            "force": (
                Force("streaks", LEFT),
                Force("globules", [*LEFT, (0, 1), (1, 1)]),
            ),
        }
        both = spatial_edits(self.regions, ["focus", "ignore"], GRID)
        assert both == (*made["focus"], *made["ignore"])

    def test_what_is_unknown_is_not_marked(self):
        marks = ["ignore", "focus", "suppress", "force"]
        assert spatial_edits(KnownRegions({}), marks, GRID) == ()

    def test_an_unknown_mark_is_refused(self):
        with pytest.raises(ValueError, match="no mark 'paint'"):
            spatial_edits(self.regions, ["paint"], GRID)


class TestGrownCells:
    def test_patches_around_are_added_up_to_the_edge(self):
        corner = tuple((r, c) for r in range(2) for c in range(2))
        assert grown_cells([(0, 0)], (4, 3), 1) == corner
        assert grown_cells([(3, 2)], (4, 3), 2) == tuple(
            (r, c) for r in (1, 2, 3) for c in range(3)
        )

    def test_neighbours_that_meet_are_one(self):
        assert grown_cells([(0, 0), (0, 2)], (1, 4), 1) == ((0, 0), (0, 1), (0, 2), (0, 3))

    def test_no_reach_and_no_patches_add_nothing(self):
        assert grown_cells([(1, 1), (0, 2)], (4, 3), 0) == ((0, 2), (1, 1))
        assert grown_cells([], (4, 3), 2) == ()


class TestReview:
    def artefact_situation(self):
        """Class 1 wins by log-odds 2·s₀ - 1; a real 0.2 at (0, 0), an artefact's 0.9 at (1, 1)."""
        maps = np.zeros((1, 1, 2, 2))
        maps[0, 0, 0, 0], maps[0, 0, 1, 1] = 0.2, 0.9
        return build(maps, [[[0.0]], [[2.0]]], [0.0, -1.0], 0.0, 1.0)

    def test_ignoring_the_artefact_by_hand(self):
        reasoner, case = self.artefact_situation()
        edits = {0: [Ignore([(1, 1)])], 1: [], 2: [Ignore([(1, 1)])], 3: [Ignore([(0, 0)])]}
        revision = review_spatially(
            reasoner,
            ((row, case) for row in edits),
            lambda row: edits[row],
            np.array([0, 0, 1, -1]),
        )
        # Log-odds 0.8 → -0.6: the first is fixed, the third broken; the fourth is not known.
        effect = revision.effect()
        assert (effect.images, effect.fixed, effect.broken, effect.net) == (3, 1, 1, 0)
        assert effect.edits == pytest.approx(2 / 3)
        assert revision.margins == pytest.approx([np.tanh(0.4)] * 3)
        # Said 1, 1, 1 of 0, 0, 1 before: F1 0 and 2 / (2 + 2); 0, 1, 0 after: 2 / (2 + 1 + 1), 0.
        assert effect.macro_f1_before == pytest.approx(0.25)
        assert effect.macro_f1 == pytest.approx(0.25)

    @pytest.mark.parametrize(
        ("mark", "regions", "said"),
        [
            ("ignore", KnownRegions({}, artefact=((1, 1),)), 0),
            # What lies outside the focus counts a fifth: max(0.2, 0.18) = 0.2 < 0.5.
            ("focus", KnownRegions({}, lesion=((0, 0),)), 0),
            ("suppress", KnownRegions({"concept 0": ((0, 0),)}), 0),
            ("force", KnownRegions({"concept 0": ((0, 0),)}), 1),
        ],
    )
    def test_each_mark_takes_the_artefact_away(self, mark, regions, said):
        reasoner, case = self.artefact_situation()
        edits = spatial_edits(regions, [mark], GRID)
        revision = review_spatially(reasoner, [(0, case)], lambda _: edits, np.array([0]))
        assert (revision.before[0], revision.after[0]) == (1, said)

    def test_without_edits_nothing_changes(self):
        situations = [random_situation(0)[0], *(random_situation(seed)[1] for seed in range(5))]
        reasoner, *cases = situations
        for meaning in ("calibrated", "paper"):
            revision = review_spatially(
                reasoner, enumerate(cases), lambda _: (), np.zeros(5, int), meaning
            )
            assert np.array_equal(revision.before, revision.after)
            assert not revision.edits.any()

    def test_nothing_known_is_refused(self):
        reasoner, case = random_situation(0)
        with pytest.raises(ValueError, match="no review can be judged"):
            review_spatially(reasoner, [(0, case)], lambda _: (), np.array([-1]))


class TestOnPhantoms:
    @pytest.fixture
    def dataset(self, phantom_folder):
        return load_dataset(phantom_folder, for_training=False)

    def test_regions_are_those_of_the_masks(self, dataset):
        grid = (4, 4)
        found = [known_regions(dataset, row, grid) for row in range(12)]
        for row, regions in enumerate(found):
            present = {
                name
                for name, label in zip(dataset.concepts, dataset.concept_labels[row], strict=True)
                if label == 1
            }
            assert set(regions.concepts) <= present
            assert regions.lesion
            assert regions.artefact == ()
        assert any(regions.concepts for regions in found)

    def test_the_artefacts_named_are_those_marked(self, dataset):
        grid = (4, 4)
        for row in range(12):
            name = dataset.image_ids[row]
            shown = [
                covered_cells(mask, grid)
                for artefact in ("patches", "ruler")
                if (mask := region_mask(dataset, artefact, name, 256)) is not None
            ]
            regions = known_regions(dataset, row, grid, ["patches", "ruler"])
            assert set(regions.artefact) == {cell for cells in shown for cell in cells}
            assert replace(regions, artefact=()) == known_regions(dataset, row, grid)
        with pytest.raises(ValueError, match="No concept or artefact 'thumb'"):
            known_regions(dataset, 0, grid, ["thumb"])

    def test_a_review_streams_over_images(self, dataset, tiny_checkpoints):
        reasoner = csr_core.load(tiny_checkpoints / "first")
        opened = []

        def encoded():
            for row in range(4):
                opened.append(row)
                yield row, reasoner.encode(load_image(dataset, row))

        edits = [
            spatial_edits(known_regions(dataset, row, reasoner.grid), ["focus"], reasoner.grid)
            for row in range(4)
        ]

        def edits_of(row):
            assert opened[-1] == row  # only one image is in memory at a time
            return edits[row]

        revision = review_spatially(
            reasoner, encoded(), edits_of, np.array([0, 1, 0, 1]), semantics="paper"
        )
        assert revision.edits.tolist() == [1, 1, 1, 1]
        for row in range(4):
            case = reasoner.encode(load_image(dataset, row))
            plain, edited = (reasoner.reason(case, e, "paper") for e in ((), edits[row]))
            assert revision.before[row] == plain.probabilities.argmax()
            assert revision.after[row] == edited.probabilities.argmax()
