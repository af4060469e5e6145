"""What marks on patches are worth in cross-validation: by hand, and beside single reviews."""

import json
import shutil

import numpy as np
import pytest
import torch
from quick_training import tiny_network

from csr_core.atlas import Atlas
from csr_core.datasets import load_dataset, load_image
from csr_core.evidence import Profiles
from csr_core.reasoner import Reasoner
from csr_core.spatial_review import known_regions, review_spatially, spatial_edits
from csr_core.training.fold_marks import REVIEWS, mark_figures, review_marks


@pytest.fixture
def reasoner(phantom):
    torch.manual_seed(0)
    network = tiny_network(concepts=len(phantom.concepts), classes=len(phantom.classes))
    with torch.no_grad():
        network.task_head.weight.normal_(0, 20)
    shape = network.prototypes.shape[:2]
    profiles = Profiles(np.full(shape, -0.2, np.float32), np.full(shape, 0.6, np.float32))
    return Reasoner(network, phantom.concepts, phantom.classes, profiles, Atlas([]), {}, "")


class TestMarks:
    def test_every_image_is_reviewed_as_it_would_be_alone(self, phantom, reasoner):
        rows = np.array([5, 40, 2, 11])
        found = review_marks(reasoner, phantom, rows)
        assert set(found) == {
            f"marks/{semantics}/{name}" for semantics in ("calibrated", "paper") for name in REVIEWS
        }
        for key, seen in found.items():
            _, semantics, name = key.split("/")
            for place, row in enumerate(rows):
                regions = known_regions(phantom, row, reasoner.grid)
                edits = spatial_edits(regions, REVIEWS[name], reasoner.grid)
                case = reasoner.encode(load_image(phantom, row))
                alone = review_spatially(
                    reasoner,
                    [(row, case)],
                    lambda _, edits=edits: edits,
                    phantom.diagnoses,
                    semantics,
                )
                assert seen[place].tolist() == [alone.after[0], len(edits)]
        assert any((seen[:, 1] > 0).any() for seen in found.values())

    def test_reviews_without_any_region_are_left_out(self, phantom_folder, reasoner, tmp_path):
        folder = tmp_path / "bare"
        shutil.copytree(phantom_folder, folder, ignore=shutil.ignore_patterns("masks"))
        found = review_marks(reasoner, load_dataset(folder), np.arange(4))
        assert set(found) == {
            "marks/calibrated/focus on the lesion",
            "marks/paper/focus on the lesion",
        }
        shutil.rmtree(folder / "lesion_masks")
        assert review_marks(reasoner, load_dataset(folder), np.arange(4)) == {}


class TestFigures:
    def test_by_hand(self):
        # Margins by probability: 0.76, 0.10, 0.24 and of the last, whose truth is unknown, nothing.
        logits = np.array([[2.0, 0.0], [0.2, 0.0], [0.0, 0.5], [0.0, 0.0]])
        figures = mark_figures(
            {
                "truth": np.array([1, 1, 0, -1]),
                "logits_csr": logits,
                "marks/calibrated/force inside": np.array([[1, 2], [1, 1], [1, 0], [0, 0]]),
            }
        )
        assert set(figures) == {"calibrated", "protocol"}
        whole = figures["calibrated"]["force inside"]
        # Said 0, 0, 1 of 1, 1, 0: nothing right; after it 1, 1, 1: F1 of class 1 is 4 / 5.
        assert (whole["images"], whole["fixed"], whole["broken"]) == (3, 2, 0)
        assert whole["macro_f1_change"] == pytest.approx(0.4)
        assert whole["edits"] == pytest.approx(1)
        undecided = figures["calibrated"]["force inside, margin 0.3"]
        assert (undecided["fixed"], undecided["broken"]) == (1, 0)
        assert undecided["edits"] == pytest.approx(1 / 3)
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures

    def test_nothing_marked_says_nothing(self):
        assert mark_figures({"truth": np.zeros(2, int), "logits_csr": np.zeros((2, 2))}) == {}
