"""Hit counts, reliance, entries and exemplar pictures of the atlas (Eq. 11)."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from csr_core.atlas import (
    Atlas,
    AtlasEntry,
    atlas_from_json,
    atlas_to_json,
    prototype_hits,
    reliance_of_prototypes,
)
from csr_core.overlays import concept_maps, exemplar_crop


def entry(concept, prototype, hits=1):
    return AtlasEntry(concept, prototype, "image", 0, 0, 0.9, hits, 0.0)


class TestAtlas:
    def test_entries_are_found_by_concept_and_prototype(self):
        atlas = Atlas([[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1, hits=7)]])
        assert atlas.shape == (2, 2)
        assert atlas[1, 1].hits == 7

    def test_a_prototype_without_hits_is_dead(self):
        atlas = Atlas([[entry(0, 0, hits=0), entry(0, 1, hits=3)]])
        assert atlas.alive.tolist() == [[False, True]]
        assert not atlas[0, 0].alive

    def test_a_discarded_prototype_is_not_alive_however_many_hits_it_has(self):
        out = replace(entry(0, 1, hits=3), discarded=True)
        atlas = Atlas([[entry(0, 0, hits=3), out]])
        assert atlas.discarded.tolist() == [[False, True]]
        assert atlas.alive.tolist() == [[True, False]]

    def test_what_was_discarded_is_written_and_read(self, tmp_path):
        atlas = Atlas([[entry(0, 0), replace(entry(0, 1), discarded=True)]])
        written = atlas_to_json(atlas)
        read = atlas_from_json(written, tmp_path, (1, 2), (1, 1))
        assert read.discarded.tolist() == [[False, True]]
        del written["entries"][1]["discarded"]  # as older atlases are
        assert not atlas_from_json(written, tmp_path, (1, 2), (1, 1)).discarded.any()
        written["entries"][1]["discarded"] = 1
        with pytest.raises(ValueError, match="neither true nor false"):
            atlas_from_json(written, tmp_path, (1, 2), (1, 1))

    @pytest.mark.parametrize("misplaced", [entry(1, 0), entry(0, 1)])
    def test_a_misplaced_entry_is_refused(self, misplaced):
        with pytest.raises(ValueError, match="stands at 0/0"):
            Atlas([[misplaced]])

    def test_later_changes_of_what_it_was_built_from_do_not_reach_it(self):
        rows = [[entry(0, 0)]]
        atlas = Atlas(rows)
        rows[0][0] = entry(0, 0, hits=99)
        assert atlas[0, 0].hits == 1


class TestHits:
    def test_each_vector_is_won_by_the_nearest_prototype_of_its_own_concept(self):
        prototypes = np.array(
            [[[1, 0], [0, 1], [-1, 0]], [[0, 1], [0, -1], [1, 0]]], dtype=np.float32
        )
        vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [0.6, -0.8]], np.float32)
        concepts = np.array([0, 0, 0, 1, 1])
        hits = prototype_hits(vectors, concepts, prototypes)
        # Concept 0: cosines (1, 0, -1), (.8, .6, -.8), (.6, .8, -.6); concept 1: (1, -1, 0) and
        # (-.8, .8, .6).
        assert hits.tolist() == [[2, 1, 0], [1, 1, 0]]

    def test_a_concept_without_vectors_has_no_hits(self):
        prototypes = np.eye(2, dtype=np.float32)[None].repeat(2, axis=0)
        hits = prototype_hits(np.array([[1, 0]], np.float32), np.array([1]), prototypes)
        assert hits.tolist() == [[0, 0], [1, 0]]


class TestReliance:
    def test_by_hand(self):
        # One image, two classes, one concept with two prototypes. Logits (ln 3, 0): p = (3/4, 1/4).
        # Silencing the first takes ln 3 away: p = (1/2, 1/2), moved by (1/4 + 1/4) / 2.
        scores = np.array([[[0.5, 0.3]]], np.float32)
        absent = np.array([[0.25, 0.0]], np.float32)
        weight = np.array([[[4 * math.log(3), 0.0]], [[0.0, 0.0]]])
        bias = np.array([-math.log(3), 0.0])
        reliance = reliance_of_prototypes(scores, absent, weight, bias)
        assert reliance[0] == pytest.approx([0.25, 0.0])

    def test_it_is_averaged_over_images(self):
        scores = np.array([[[0.5]], [[0.25]]], np.float32)
        absent = np.array([[0.25]], np.float32)
        weight = np.array([[[4 * math.log(3)]], [[0.0]]])
        bias = np.array([-math.log(3), 0.0])
        # The second image scores as when absent: silencing does nothing to it.
        assert reliance_of_prototypes(scores, absent, weight, bias)[0, 0] == pytest.approx(0.125)

    def test_turning_every_diagnosis_round_is_one(self):
        weight = np.array([[[100.0]], [[-100.0]]])
        reliance = reliance_of_prototypes(
            np.full((3, 1, 1), 1.0, np.float32), np.array([[-1.0]], np.float32), weight, np.zeros(2)
        )
        assert reliance[0, 0] == pytest.approx(1.0)


class TestPictures:
    def test_a_concept_map_is_the_best_prototype_at_each_patch(self):
        maps = np.array([[[[0.1, 0.9]], [[0.5, -0.2]]]], np.float32)  # (1, 2, 1, 2)
        assert concept_maps(maps)[0, 0].tolist() == pytest.approx([0.5, 0.9])
        assert concept_maps(maps[None].repeat(3, axis=0)).shape == (3, 1, 1, 2)

    @pytest.mark.parametrize("side", [14, 5, 4, 1])
    @pytest.mark.parametrize("corner", [(0, 0), (1, 0), (-1, -1), (0, -1)])
    def test_a_crop_shows_the_whole_patch_and_outlines_it(self, side, corner):
        cell = (corner[0] % side, corner[1] % side)
        image = np.zeros((side * 20, side * 30, 3), np.uint8)  # squashed to a square of patches
        rows = slice(cell[0] * 20, cell[0] * 20 + 20)
        image[rows, cell[1] * 30 : cell[1] * 30 + 30] = (0, 200, 0)
        data = np.frombuffer(exemplar_crop(image, cell, side), np.uint8)
        crop = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert crop.shape == (128, 128, 3)
        shown = min(side, 5)
        green = (crop[:, :, 1] > 120) & (crop[:, :, 0] < 80)
        # All of the patch is there but for its outline, and nothing else is green.
        assert 0.5 < green.mean() * shown**2 < 1.1
        outline = crop.min(axis=2) > 160
        assert outline.any()
        ys, xs = np.nonzero(outline)
        inside_y, inside_x = np.nonzero(green)
        assert ys.min() - 3 <= inside_y.min()
        assert inside_y.max() <= ys.max() + 3
        assert xs.min() - 3 <= inside_x.min()
        assert inside_x.max() <= xs.max() + 3

    def test_colours_are_kept(self):
        image = np.full((70, 70, 3), (200, 40, 10), np.uint8)
        data = np.frombuffer(exemplar_crop(image, (3, 3), 7), np.uint8)
        blue, green, red = cv2.imdecode(data, cv2.IMREAD_COLOR)[5, 5].tolist()
        assert (red, green, blue) == pytest.approx((200, 40, 10), abs=12)
