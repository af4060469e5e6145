"""Pictures of an evaluation: each can be read, is small, and shows what was measured."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from csr_core.evaluation import Evaluation
from csr_core.evaluation_pictures import evaluation_pictures
from csr_core.figures import Observations, observed_figures
from csr_core.interventions import Curve, Plan
from csr_core.metrics import PointingGame
from csr_core.revision import Effect

CLASSES, CONCEPTS = ("nevus", "melanoma", "seborrheic_keratosis"), ("streaks", "veil")
NAMES = {
    *("reliability.png", "confusion.png", "f1_by_class.png", "concept_auc.png", "roc.png"),
    "interventions.png",
}
N = 60


def evaluation(seed=0, models=("csr", "black_box", "concept_bottleneck"), **changes) -> Evaluation:
    rng = np.random.default_rng(seed)
    none = np.zeros((N, len(CONCEPTS)), bool)
    truth = np.arange(N) % 3
    seen = Observations(
        truth=truth,
        labels=rng.integers(-1, 2, (N, 2)).astype(np.int8),
        logits={name: rng.normal(size=(N, 3)) + np.eye(3)[truth] for name in models},
        presence=rng.normal(size=(N, 2)),
        concept_logits=rng.normal(size=(N, 2)).astype(np.float32),
        games={"best_prototype": PointingGame(none, none, none.astype(float))},
        outside=np.full(N, np.nan),
        area_outside=np.full(N, np.nan),
    )
    seen = replace(seen, **changes)
    points = tuple(Effect(N, 0.5, 0.5 + rng.uniform(0, 0.5), asked, 0, asked) for asked in range(3))
    curves = (Curve(Plan(), points),)
    return Evaluation(observed_figures(seen, CLASSES, CONCEPTS), seen, CLASSES, curves)


@pytest.fixture(scope="module")
def pictures():
    return evaluation_pictures(evaluation())


def test_there_is_one_for_each_question(pictures):
    assert set(pictures) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_is_a_small_png_with_something_on_it(pictures, name):
    assert len(pictures[name]) < 100_000
    with Image.open(BytesIO(pictures[name])) as picture:
        assert picture.format == "PNG"
        assert 300 <= min(picture.size) <= max(picture.size) <= 800
        assert len(picture.convert("RGB").getcolors(100_000)) > 10


def test_other_figures_give_other_pictures_and_the_same_the_same(pictures):
    again, other = evaluation_pictures(evaluation()), evaluation_pictures(evaluation(seed=1))
    assert again == pictures
    assert not [name for name in NAMES if other[name] == pictures[name]]


def test_models_that_were_not_kept_are_left_out(pictures):
    alone = evaluation_pictures(evaluation(models=("csr",)))
    assert set(alone) == NAMES
    assert alone["f1_by_class.png"] != pictures["f1_by_class.png"]


def test_a_class_and_a_concept_that_can_not_be_ranked_are_no_obstacle():
    truth = np.arange(N) % 2
    labels = np.ones((N, 2), np.int8)
    assert set(evaluation_pictures(evaluation(truth=truth, labels=labels))) == NAMES
