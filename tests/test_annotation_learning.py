"""From marks to model: counting by hand, and one small run from the store to a checkpoint."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from quick_training import QUICK, tiny_network
from typer.testing import CliRunner

import csr_core
from csr_core.__main__ import app
from csr_core.annotation.exports.gathering import gathered
from csr_core.annotation.learning import Learnt, tally, train_from_store, training_status
from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, Change, ConceptMark, Vocabulary
from csr_core.annotation.store import Case, NewCase, Project, Read, Store
from csr_core.checkpoint import load_checkpoint, save_checkpoint
from csr_core.datasets import load_image, region_mask
from csr_core.datasets.regions import Box
from csr_core.files import read_json
from csr_core.network import CSRNetwork
from csr_core.training import fine_tune, train
from csr_core.training.features import FrozenFeatures, marked_vectors
from csr_core.training.heads import LinearHead, fit_head, tune_head
from csr_core.training.regions import SIZE, Regions
from csr_core.training.tuning import LEAST_EACH, LabelCounts

WORDS = Vocabulary(("streaks", "globules"), ("nevus", "melanoma"))
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CORNER = Mask.of(np.array([[True, False], [False, False]]))


def read(number, hour=0, split="train", diagnosis=None, status="done", **marks):
    case = Case(number, "P", f"image_{number}", "a.png", split, 2, 2, number)
    said = Annotation(MappingProxyType(marks), diagnosis=diagnosis, status=status)
    return Read(case, "Anna", said, NOON + timedelta(hours=hour))


class TestTally:
    READS = (
        read(1, 0, diagnosis="nevus", streaks=ConceptMark("yes", CORNER)),
        read(2, 1, streaks=ConceptMark("no"), globules=ConceptMark("unsure")),
        read(3, 2, "test", "melanoma", globules=ConceptMark("yes")),
        read(4, 3, streaks=ConceptMark(boxes=(Box("streaks", 0, 0, 1, 1),))),
        read(5, 4, status="open", diagnosis="nevus", streaks=ConceptMark("yes")),
    )

    def test_what_is_done_is_counted(self):
        found = tally(gathered(self.READS), WORDS)
        # Diagnosis, concept and place in case 1; a concept in 2; two judgements in 3; in 4 a place,
        # which says that the concept is there.
        assert (found.cases, found.marks, found.regions) == (4, 3 + 1 + 2 + 2, 2)
        assert (found.new_cases, found.new_marks) == (4, 8)
        assert found.latest == NOON + timedelta(hours=3)

    def test_what_came_later_is_new(self):
        found = tally(gathered(self.READS), WORDS, NOON + timedelta(hours=1))
        assert (found.new_cases, found.new_marks) == (2, 4)

    def test_only_split_train_is_learnt_from(self):
        labels = tally(gathered(self.READS), WORDS).labels
        assert labels.present == {"streaks": 2, "globules": 0}
        assert labels.absent == {"streaks": 1, "globules": 0}
        assert labels.diagnosed == {"nevus": 1, "melanoma": 0}

    def test_nothing_done_is_nothing(self):
        found = tally(gathered(self.READS[4:]), WORDS)
        assert (found.cases, found.marks, found.latest) == (0, 0, None)


class TestLabelCounts:
    def test_enough_of_everything_misses_nothing(self):
        counts = LabelCounts({"a": LEAST_EACH}, {"a": LEAST_EACH}, {"b": LEAST_EACH})
        assert counts.missing is None

    def test_the_sentence_names_all_that_is_rare(self):
        counts = LabelCounts({"a": 2, "b": 9}, {"a": 9, "b": 0}, {"c": 4, "d": 5})
        assert counts.missing == (
            "Too few marks to learn from: it takes 5 finished images of split train for each, but "
            "there is a present in 2, b absent in 0, c in 4."
        )


def test_what_was_learnt_is_told_in_json():
    learnt = Learnt("P", 3, 9, 2, NOON)
    assert Learnt.from_json(learnt.to_json()) == learnt
    for other in (None, {}, learnt.to_json() | {"cases": "3"}, learnt.to_json() | {"until": "x"},
                  learnt.to_json() | {"until": "2026-01-02T12:00:00"}):  # fmt: skip
        assert Learnt.from_json(other) is None


class TestTunedHead:
    ROWS = np.arange(40)
    FIT, VALIDATION = ROWS[:20], ROWS[20:]
    START = LinearHead(
        np.array([[-1.0, 0.0], [1.0, 0.0]]), np.zeros(2), np.zeros(2), np.ones(2), 0.0, 1.0, 0.0
    )

    def given(self, column):
        """Inputs of which one column tells the two classes apart."""
        inputs = np.random.default_rng(0).normal(size=(40, 2))
        return inputs, (inputs[:, column] > 0).astype(np.int64)

    def test_without_examples_it_stays(self):
        inputs, classes = self.given(0)
        found = tune_head(self.START, inputs, classes, self.ROWS[:0], self.VALIDATION)
        assert (found.weight == self.START.weight).all()
        assert (found.strength, found.validation) == (0.0, 1.0)

    def test_it_learns_what_it_did_not_know(self):
        inputs, classes = self.given(1)
        found = tune_head(self.START, inputs, classes, self.FIT, self.VALIDATION)
        assert found.strength > 0
        moved = found.weight - self.START.weight
        assert moved[1, 1] - moved[0, 1] > abs(moved[1, 0] - moved[0, 0])
        before = (self.START.logits(inputs[20:]).argmax(axis=1) == classes[20:]).mean()
        assert (found.logits(inputs[20:]).argmax(axis=1) == classes[20:]).mean() > before

    def test_examples_that_validation_contradicts_are_not_followed(self):
        inputs, classes = self.given(0)
        wrong = np.where(self.ROWS < 20, 1 - classes, classes)
        found = tune_head(self.START, inputs, wrong, self.FIT, self.VALIDATION)
        assert (found.weight == self.START.weight).all()

    def test_unknown_diagnoses_are_left_out(self):
        inputs, classes = self.given(1)
        some = np.where(self.ROWS % 2, classes, -1)
        found = tune_head(self.START, inputs, some, self.FIT, self.VALIDATION)
        rows = self.ROWS[self.ROWS % 2 == 1]
        again = tune_head(self.START, inputs, classes, rows[rows < 20], rows[rows >= 20])
        assert found.weight == pytest.approx(again.weight)

    def test_from_nothing_it_points_where_a_fresh_head_does(self):
        inputs, classes = self.given(1)
        nothing = replace(self.START, weight=np.zeros((2, 2)))
        tuned = tune_head(nothing, inputs, classes, self.FIT, self.VALIDATION).weight
        fresh = fit_head(inputs, classes, self.FIT, self.VALIDATION, 2).weight
        directions = [w[1] - w[0] for w in (tuned, fresh)]
        cosine = directions[0] @ directions[1] / np.prod([np.linalg.norm(d) for d in directions])
        assert cosine > 0.98


def test_vectors_are_pooled_where_a_concept_is_marked():
    network = tiny_network()  # 4 × 4 patches, two concepts
    channels = network.concept_head.in_channels
    maps = np.zeros((2, channels, 4, 4), np.float16)
    maps[:, 0] = 1
    maps[0, :2, 0, 0] = 3, 5
    before = np.full((2, 2, channels), 7, np.float32)
    masks = np.zeros((2, 2, SIZE, SIZE), bool)
    masks[0, 0, : SIZE // 4, : SIZE // 4] = True
    known = np.array([[True, False], [True, False]])
    features = FrozenFeatures(maps, before, np.zeros((2, channels)), np.zeros((2, 2)))
    after = marked_vectors(network, features, Regions(masks, known)).vectors
    assert after[0, 0, :2].tolist() == pytest.approx([3, 5])
    assert not after[0, 0, 2:].any()
    assert (after[0, 1] == 7).all()  # its place is not known
    assert (after[1] == 7).all()  # nothing is marked there


# From here on: a phantom, a model of it, and readers who know the truth.


@pytest.fixture(scope="module")
def parent(phantom, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    return train(phantom, folder / "model", replace(QUICK, epochs=1), title="The parent")


@pytest.fixture(scope="module")
def store_path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store") / "annotations.db"


@pytest.fixture(scope="module")
def store(phantom, store_path):
    """All cases of the phantom, read by one who knows the truth; a few not finished."""
    opened = Store(store_path)
    cases = [
        NewCase(name, path.relative_to(phantom.root).as_posix(), split, 64, 64)
        for name, path, split in zip(
            phantom.image_ids, phantom.image_paths, phantom.splits, strict=True
        )
    ]
    words = Vocabulary(phantom.concepts, phantom.classes)
    opened.create_project(Project("Moles", phantom.root, words, "", phantom.name), cases)
    for row, case in enumerate(opened.cases("Moles")):
        for number, change in enumerate(true_changes(phantom, row)):
            opened.save(case.id, "Anna", change, f"{number}")
    yield opened
    opened.close()


def true_changes(phantom, row):
    for concept, label in zip(phantom.concepts, phantom.concept_labels[row], strict=True):
        region = region_mask(phantom, concept, phantom.image_ids[row], 64) if label else None
        mask = Mask.of(region) if region is not None and region.any() else None
        yield Change("concept", ConceptMark("yes" if label else "no", mask), concept)
    yield Change("diagnosis", phantom.classes[phantom.diagnoses[row]])
    yield Change("status", "done")


@pytest.fixture(scope="module")
def tuned(store, parent, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "model"
    return train_from_store(store, "moles", parent, out)


@pytest.mark.usefixtures("one_thread")
class TestFromStoreToCheckpoint:
    def test_answers_are_learned_only_if_the_parent_weighs_them(
        self, store, parent, tuned, tmp_path
    ):
        known, learned = csr_core.load(parent).answers, csr_core.load(tuned).answers
        assert learned.share == known.share  # too much for a few images to tell
        assert not np.array_equal(learned.rejected, known.rejected)
        taking_marks = tmp_path / "parent"
        save_checkpoint(replace(load_checkpoint(parent), answers=None), taking_marks)
        made = train_from_store(store, "moles", taking_marks, tmp_path / "model")
        assert csr_core.load(made).answers is None

    def test_the_new_model_reasons(self, tuned, phantom):
        reasoner = csr_core.load(tuned)
        assert (reasoner.concepts, reasoner.classes) == (phantom.concepts, phantom.classes)
        verdict = reasoner.reason(reasoner.encode(load_image(phantom, 0)))
        assert verdict.probabilities.sum() == pytest.approx(1)

    def test_its_card_names_the_parent_and_what_it_learnt_from(self, tuned, parent, store):
        card = csr_core.load(tuned).card
        assert card["title"] == "The parent, tuned on Moles"
        assert card["synthetic"] is True
        assert card["parent"]["title"] == "The parent"
        assert card["parent"]["model_hash"] == csr_core.load(parent).model_hash
        learnt = Learnt.from_json(card["learnt_from"])
        reads = list(store.annotations("Moles"))
        assert (learnt.project, learnt.cases) == ("Moles", 96)
        assert learnt.until == max(read.at for read in reads)
        assert learnt.marks == 96 * 9 + learnt.regions  # eight concepts and a diagnosis each
        text = (tuned / "README.md").read_text(encoding="utf-8")
        assert f"Tuned from: The parent ({card['parent']['model_hash'][:12]})" in text

    def test_stages_2_and_3_leave_backbone_and_concept_head(self, tuned, parent):
        before, after = (load_checkpoint(path).network.state_dict() for path in (parent, tuned))
        for name, value in before.items():
            if name.startswith(("backbone.", "concept_head.")):
                assert torch.equal(value, after[name]), name

    def test_both_models_are_measured_on_the_same_images_kept_back(self, tuned, phantom):
        metrics = read_json(tuned / "metrics.json", 10**6)
        found = metrics["tuned"]
        kept = metrics["held"]["images"]
        assert found["images"] == kept + len(phantom) - len(phantom.rows_of("train"))
        for figures in (found["before"], found["after"]):
            assert set(figures) == {"macro_f1", "concept_precision", "pointing_game"}
            assert all(0 <= value <= 1 for value in figures.values())
        assert found["parent_may_have_seen_them"] is True
        assert metrics["protocol"]["stages"] == [2, 3]
        assert metrics["protocol"]["fit_images"] + kept < len(phantom.rows_of("train"))

    def test_the_work_folders_are_gone(self, tuned):
        assert [path.name for path in tuned.parent.iterdir()] == ["model"]

    def test_where_nothing_is_better_the_parents_atlas_and_profiles_stay(self, tuned, parent):
        before, after = load_checkpoint(parent), load_checkpoint(tuned)
        stage2 = after.metrics["stages"]["stage2"]
        kept = torch.equal(before.network.prototypes, after.network.prototypes)
        assert kept == (stage2["epoch"] == 0)
        assert (before.atlas.hits.sum() == after.atlas.hits.sum()) == kept
        assert np.array_equal(before.profiles.absent, after.profiles.absent) == kept

    def test_the_status_before_and_after(self, tuned, parent, store):
        before = training_status(store, "a b.db", "Moles", parent)
        assert (before.cases, before.new_cases, before.missing) == (96, 96, None)
        assert before.worthwhile
        assert (before.changed, before.before, before.after) == (None, None, None)
        assert shlex.split(before.command) == [
            "python", "-m", "csr_core", "train", "--store", "a b.db", "--project", "Moles",
            "--checkpoint", str(parent), "--out", str(parent.with_name("moles-1")),
        ]  # fmt: skip
        after = training_status(store, "a b.db", "Moles", tuned)
        assert (after.cases, after.new_cases, after.new_marks) == (96, 0, 0)
        assert not after.worthwhile
        assert "10 cases" in after.rule  # a tenth of 96 is less
        figures = read_json(tuned / "metrics.json", 10**6)["tuned"]
        assert (after.before, after.after) == (figures["before"], figures["after"])
        values = (figures[when]["macro_f1"] for when in ("before", "after"))
        assert "(which the model before may have been trained on)" in after.changed
        assert "macro-F1 of the diagnosis {:.3f} → {:.3f}".format(*values) in after.changed

    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            (
                "postgresql://anna:secret@host:5432/marks",
                "postgresql://anna:***@host:5432/marks",
            ),
            ("postgresql://anna:to/secret@host/marks", "postgresql://anna:***@host/marks"),
            (
                "postgresql://host/marks?user=anna&password=secret",
                "postgresql://host/marks?user=anna",
            ),
        ],
    )
    def test_a_password_is_not_shown(self, store, parent, address, shown):
        command = training_status(store, address, "Moles", parent).command
        assert "secret" not in command
        assert shown in shlex.split(command)


@pytest.mark.usefixtures("one_thread")
class TestOtherWays:
    def test_stage_1_learns_other_concepts_and_classes(self, phantom, parent, tmp_path):
        names = tuple(f"sign_{number}" for number in range(len(phantom.concepts)))
        rows = phantom.rows_of("train")
        other = replace(phantom.select(rows), concepts=names, classes=("a", "b", "c"))
        with pytest.raises(ValueError, match="take stage 1 as well"):
            fine_tune(load_checkpoint(parent), other, tmp_path / "model")
        folder = fine_tune(load_checkpoint(parent), other, tmp_path / "model", stage1=True)
        reasoner = csr_core.load(folder)
        assert (reasoner.concepts, reasoner.classes) == (names, ("a", "b", "c"))
        metrics = read_json(folder / "metrics.json", 10**6)
        assert metrics["protocol"]["stages"] == [1, 2, 3]
        assert metrics["protocol"]["recipe"]["region_weight"] == 1
        assert set(metrics["tuned"]["before"].values()) == {None}
        assert metrics["tuned"]["after"]["macro_f1"] is not None

    def test_features_are_looked_at_and_whitened_as_by_the_parent(self, phantom, parent, tmp_path):
        checkpoint = load_checkpoint(parent)
        network = CSRNetwork(replace(checkpoint.network.config, mirrored=True))
        network.load_state_dict(checkpoint.network.state_dict())
        metrics = {"protocol": {"recipe": {"shrinkage": 0.75}}}
        checkpoint = replace(checkpoint, network=network, metrics=metrics)
        dataset = phantom.select(phantom.rows_of("train"))
        folder = fine_tune(checkpoint, dataset, tmp_path / "model", stage1=True)
        assert csr_core.load(folder).network.config.mirrored
        recipe = read_json(folder / "metrics.json", 10**6)["protocol"]["recipe"]
        assert (recipe["mirrored"], recipe["shrinkage"]) == (True, 0.75)

    def test_other_classes_get_a_head_of_their_own(self, phantom, parent, tmp_path):
        other = replace(phantom.select(phantom.rows_of("train")), classes=("a", "b", "c"))
        reasoner = csr_core.load(fine_tune(load_checkpoint(parent), other, tmp_path / "model"))
        assert reasoner.classes == ("a", "b", "c")
        assert reasoner.network.task_head.weight.any()

    def test_a_command_that_finds_too_few_marks_says_which(self, parent, store, tmp_path):
        path = tmp_path / "few.db"
        few = Store(path)
        words = store.project("Moles").vocabulary
        few.create_project(
            Project("Few", tmp_path, words), [NewCase("a", "a.png", "train", 64, 64)]
        )
        (case,) = few.cases("Few")
        few.save(case.id, "Anna", Change("concept", ConceptMark("no"), "streaks"), "1")
        few.save(case.id, "Anna", Change("status", "done"), "2")
        few.close()
        options = [
            "--store",
            path,
            "--project",
            "Few",
            "--checkpoint",
            parent,
            "--out",
            tmp_path / "o",
        ]
        result = CliRunner().invoke(app, ["train", *map(str, options)])
        assert result.exit_code == 2
        assert "Too few marks to learn from" in result.output
        assert "streaks present in 0" in result.output.replace("\n", " ")
        assert not (tmp_path / "o").exists()

    def test_a_store_that_is_not_there_is_not_made(self, parent, tmp_path):
        options = ["--store", tmp_path / "no.db", "--project", "P", "--checkpoint", parent]
        result = CliRunner().invoke(
            app, ["train", "--out", str(tmp_path / "o"), *map(str, options)]
        )
        assert result.exit_code == 2
        assert "There are no annotations" in result.output
        assert not (tmp_path / "no.db").exists()

    def test_a_command_lets_the_model_rank_the_cases(self, parent, store, store_path):
        options = ["--store", str(store_path), "--project", "Moles", "--checkpoint", str(parent)]
        result = CliRunner().invoke(app, ["annotate", "rank", *options])
        assert "96 cases of Moles are in order." in result.output
        assert store.ranked_by("Moles") == csr_core.load(parent).model_hash

    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--data", "d", "--store", "s", "--project", "p", "--checkpoint", "c"],
            ["--store", "s", "--project", "p"],
        ],
    )
    def test_a_command_names_data_or_a_store(self, options, tmp_path):
        result = CliRunner().invoke(app, ["train", "--out", str(tmp_path / "o"), *options])
        assert result.exit_code == 2
        assert "either --data, or --store" in result.output

    def test_a_project_of_other_words_or_a_model_of_another_kind_is_all_new(
        self, store, parent, tmp_path
    ):
        checkpoint = load_checkpoint(parent)
        learnt = Learnt("Another", 5, 5, 5, datetime.now(UTC)).to_json()
        card = {**checkpoint.card, "learnt_from": learnt}
        save_checkpoint(replace(checkpoint, card=card), tmp_path / "model")
        assert training_status(store, "s", "Moles", tmp_path / "model").new_cases == 96
