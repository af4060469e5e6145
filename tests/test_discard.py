"""Discarding prototypes: what changes, and what does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from quick_training import tiny_network

from csr_core.answers import AnswerWeights
from csr_core.atlas import Atlas, AtlasEntry
from csr_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from csr_core.evidence import Profiles
from csr_core.interventions import ScoredImages
from csr_core.score_model import ScoreModel
from csr_core.training.answers import fit_answers
from csr_core.training.discard import discard_prototypes, fit_head_without
from csr_core.training.heads import fit_head, set_task_head

K, M, N = 2, 3, 120
FIT, VALIDATION = np.arange(90), np.arange(90, N)
ARTEFACT = np.array([[False, True, False], [False, False, False]])


@pytest.fixture
def training() -> ScoredImages:
    """Prototype (0, 0) follows the diagnosis loosely; (0, 1), an artefact's, gives it away."""
    rng = np.random.default_rng(0)
    diagnoses = np.arange(N) % 2
    scores = rng.normal(0.1, 0.05, (N, K, M))
    scores[:, 0, 0] += 0.05 * diagnoses
    scores[:, 0, 1] += 0.9 * diagnoses
    labels = np.stack([diagnoses, 1 - diagnoses], axis=1).astype(np.int8)
    return ScoredImages(scores.astype(np.float32), labels, diagnoses)


@pytest.fixture
def checkpoint(training) -> Checkpoint:
    network = tiny_network()
    flat = training.scores.reshape(N, -1)
    set_task_head(network, fit_head(flat, training.diagnoses, FIT, VALIDATION, 2))
    entries = [[AtlasEntry(k, m, "x", 0, 0, 0.9, 5, 0.5) for m in range(M)] for k in range(K)]
    return Checkpoint(
        network=network,
        concepts=("streaks", "globules"),
        classes=("nevus", "melanoma"),
        profiles=Profiles(np.full((K, M), 0.1, np.float32), np.full((K, M), 0.2, np.float32)),
        atlas=Atlas(entries),
        card={},
        metrics={},
        readme="",
        model_hash="old",
    )


def logits(checkpoint: Checkpoint, scores: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return checkpoint.network.task_head(torch.from_numpy(scores)).numpy()


class TestHead:
    def test_it_is_the_head_of_the_kept_scores_and_deaf_to_the_others(self, training):
        head = fit_head_without(ARTEFACT, [training.scores], training.diagnoses, FIT, VALIDATION, 2)
        flat = training.scores.reshape(N, -1)
        kept = [0, 2, 3, 4, 5]
        alone = fit_head(flat[:, kept], training.diagnoses, FIT, VALIDATION, 2)
        assert np.array_equal(head.weight[:, kept], alone.weight)
        assert np.array_equal(head.weight[:, 1], [0, 0])
        assert head.logits(flat) == pytest.approx(alone.logits(flat[:, kept]))
        assert (head.validation, head.strength) == (alone.validation, alone.strength)

    def test_nothing_left_is_refused(self, training):
        everything = np.ones((K, M), bool)
        with pytest.raises(ValueError, match="keep at least one"):
            fit_head_without(everything, [training.scores], training.diagnoses, FIT, VALIDATION, 2)


class TestDiscard:
    def test_what_answers_are_worth_is_learned_anew_beside_the_new_head(self, checkpoint, training):
        stale = AnswerWeights(np.full((2, K), 7.0), np.full((2, K), 7.0), 0.5)
        answering = replace(checkpoint, answers=stale)
        refined = discard_prototypes(answering, ARTEFACT, training, FIT, VALIDATION)
        weight, bias = (part.detach().numpy() for part in refined.network.task_head.folded())
        expected = fit_answers(
            ScoreModel(weight, bias, refined.profiles).ledger(training.scores, "calibrated"),
            training.labels,
            training.diagnoses,
            np.concatenate([FIT, VALIDATION]),
            VALIDATION,
        )
        assert refined.answers is not None
        assert refined.answers.rejected == pytest.approx(expected.rejected, abs=1e-3)
        assert refined.answers.share == expected.share
        assert refined.answers.confirmed == pytest.approx(expected.confirmed, abs=1e-3)
        # Without the artefact the answers say more than the model: confirmed streaks melanoma.
        answering = ScoreModel(weight, bias, refined.profiles, refined.answers)
        ledger = answering.ledger(training.scores, "calibrated")
        added = (ledger.confirmed - ledger.left)[:, 0].mean(axis=0)
        assert added[1] > 0.5 > -0.5 > added[0]
        assert discard_prototypes(checkpoint, ARTEFACT, training, FIT, VALIDATION).answers is None

    def test_the_diagnosis_no_longer_moves_with_it_and_with_others_as_the_weights_say(
        self, checkpoint, training
    ):
        refined = discard_prototypes(checkpoint, ARTEFACT, training, FIT, VALIDATION)
        scores = training.scores[:5]
        artefact, other = scores.copy(), scores.copy()
        artefact[:, 0, 1] -= 0.4
        other[:, 0, 0] -= 0.4
        weight = checkpoint.network.task_head.folded()[0].detach().numpy()
        moved = logits(checkpoint, artefact) - logits(checkpoint, scores)
        assert moved == pytest.approx(np.tile(-0.4 * weight[:, 0, 1], (5, 1)), rel=1e-5)
        assert np.abs(moved).min() > 0.1
        assert np.array_equal(logits(refined, artefact), logits(refined, scores))
        refitted = refined.network.task_head.folded()[0].detach().numpy()
        moved = logits(refined, other) - logits(refined, scores)
        assert moved == pytest.approx(np.tile(-0.4 * refitted[:, 0, 0], (5, 1)), rel=1e-5)
        assert (refitted[0, 0, 0] < 0) and (refitted[1, 0, 0] > 0)

    def test_scores_profiles_and_the_model_it_came_from_stay(self, checkpoint, training):
        before = {k: v.clone() for k, v in checkpoint.network.state_dict().items()}
        refined = discard_prototypes(checkpoint, ARTEFACT, training, FIT, VALIDATION, copies=2)
        for key, value in refined.network.state_dict().items():
            assert torch.equal(checkpoint.network.state_dict()[key], before[key])
            assert key.startswith("task_head") or torch.equal(value, before[key])
        image = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            plain, after = (c.network.eval()(image) for c in (checkpoint, refined))
        assert torch.equal(plain.similarity_maps, after.similarity_maps)
        assert refined.profiles is checkpoint.profiles
        assert refined.model_hash == ""

    def test_the_atlas_marks_it_and_measures_reliance_anew(self, checkpoint, training):
        refined = discard_prototypes(checkpoint, ARTEFACT, training, FIT, VALIDATION)
        assert np.array_equal(refined.atlas.discarded, ARTEFACT)
        assert refined.atlas[0, 1].hits == 5
        assert refined.atlas[0, 1].reliance == 0
        assert 0 < refined.atlas[0, 0].reliance != checkpoint.atlas[0, 0].reliance
        assert not checkpoint.atlas.discarded.any()

    def test_it_can_be_taken_back(self, checkpoint, training):
        nothing = np.zeros((K, M), bool)
        refined = discard_prototypes(checkpoint, ARTEFACT, training, FIT, VALIDATION)
        restored = discard_prototypes(refined, nothing, training, FIT, VALIDATION)
        scores = training.scores
        assert not restored.atlas.discarded.any()
        assert np.array_equal(logits(restored, scores), logits(checkpoint, scores))

    def test_it_survives_being_saved(self, checkpoint, training, tmp_path):
        refined = discard_prototypes(checkpoint, ARTEFACT, training, FIT, VALIDATION)
        save_checkpoint(refined, tmp_path / "refined")
        loaded = load_checkpoint(tmp_path / "refined")
        assert np.array_equal(loaded.atlas.discarded, ARTEFACT)
        assert np.array_equal(logits(loaded, training.scores), logits(refined, training.scores))

    @pytest.mark.parametrize("shape", [(M, K), (K, M + 1)])
    def test_marks_of_another_shape_are_refused(self, checkpoint, training, shape):
        with pytest.raises(ValueError, match=r"\(2, 3\) prototypes"):
            discard_prototypes(checkpoint, np.zeros(shape, bool), training, FIT, VALIDATION)
