"""The rules of test-time interaction, as properties of `Reasoner.reason`, and encoding."""

import functools
import io
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from csr_core import (
    Confirm,
    EditError,
    EncodedCase,
    Erase,
    Focus,
    Force,
    Ignore,
    ImageError,
    Reasoner,
    Reject,
    Suppress,
    Verdict,
)
from csr_core.atlas import Atlas, AtlasEntry
from csr_core.evidence import Profiles
from csr_core.network import CSRNetwork, NetworkConfig

CONCEPTS = ("streaks", "globules", "blue veil")
CLASSES = ("nevus", "melanoma")
K, M, SIDE = len(CONCEPTS), 2, 3
EVERYWHERE = [(row, column) for row in range(SIDE) for column in range(SIDE)]
ALPHA = np.float32(0.2)


@functools.cache
def tiny_network() -> CSRNetwork:
    torch.manual_seed(0)
    return CSRNetwork(
        NetworkConfig(
            K, len(CLASSES), "test_resnet", image_size=16 * SIDE, prototypes=M, projection=8
        )
    )


def empty_atlas() -> Atlas:
    return Atlas(
        [[AtlasEntry(k, m, "image", 0, 0, 1.0, 1, 0.0) for m in range(M)] for k in range(K)]
    )


def build_reasoner(
    weight, bias, mean=0.0, deviation=1.0, absent=0.0, present=0.0, model_hash="model"
) -> Reasoner:
    network = tiny_network()
    with torch.no_grad():
        network.task_head.weight.copy_(torch.as_tensor(weight))
        network.task_head.bias.copy_(torch.as_tensor(bias))
        network.task_head.score_mean.copy_(torch.as_tensor(mean))
        network.task_head.score_deviation.copy_(torch.as_tensor(deviation))
    absent, present = (np.full((K, M), value, np.float32) for value in (absent, present))
    return Reasoner(
        network, CONCEPTS, CLASSES, Profiles(absent, present), empty_atlas(), {}, model_hash
    )


def build_case(maps) -> EncodedCase:
    maps = np.asarray(maps, dtype=np.float32)
    pooled = np.zeros(4, np.float32)
    return EncodedCase(maps, maps.max(axis=(2, 3)), pooled, "image", (48, 48), "model")


@dataclass(frozen=True, eq=False)
class Situation:
    """A model, a case it encoded, and what its network says of the case by itself."""

    reasoner: Reasoner
    case: EncodedCase
    plain_logits: np.ndarray

    def scores(self, edits, semantics):
        return self.reasoner.reason(self.case, edits, semantics).scores


def floats(low, high):
    return st.floats(low, high, width=32)


@st.composite
def situations(draw, low=-1.0) -> Situation:
    def table(shape, low, high):
        return draw(arrays(np.float32, shape, elements=floats(low, high)))

    absent = table((K, M), -1, 1)
    reasoner = build_reasoner(
        weight=table((len(CLASSES), K, M), -8, 8),
        bias=table(len(CLASSES), -8, 8),
        mean=table((K, M), -1, 1),
        deviation=table((K, M), 0.0625, 1),
        absent=absent,
        present=np.maximum(absent, table((K, M), -1, 1)),
    )
    case = build_case(table((K, M, SIDE, SIDE), low, 1))
    with torch.inference_mode():
        plain = reasoner.network.task_head(torch.from_numpy(case.similarity_scores)[None])
    return Situation(reasoner, case, plain[0].numpy())


semantics = st.sampled_from(["calibrated", "paper"])
cell = st.sampled_from(EVERYWHERE)
cells = st.lists(cell, max_size=9)
concept_indices = st.integers(0, K - 1)
concepts = concept_indices | st.sampled_from(CONCEPTS)


def region_edits(region):
    return st.one_of(
        st.builds(Suppress, concepts, region),
        st.builds(Force, concepts, region),
        st.builds(Ignore, region),
        st.builds(Focus, region),
        st.builds(Erase, region, st.none() | concepts),
    )


def edits_of(concept, region=cells):
    """Every edit that speaks of one concept alone."""
    return st.one_of(
        st.builds(Suppress, st.just(concept), region),
        st.builds(Force, st.just(concept), region),
        st.builds(Erase, region, st.just(concept)),
        st.just(Reject(concept)),
        st.just(Confirm(concept)),
    )


edit_lists = st.lists(
    region_edits(cells) | st.builds(Reject, concepts) | st.builds(Confirm, concepts), max_size=6
)


def same(first: Verdict, second: Verdict) -> bool:
    """Whether two verdicts agree bit for bit."""
    return all(
        getattr(first, name).tobytes() == getattr(second, name).tobytes()
        for name in ("scores", "logits", "probabilities", "contributions", "answers", "base")
    )


def by_hand(situation: Situation, edits, semantics) -> np.ndarray:
    """Scores (K, M) worked out cell by cell from the last edit that speaks of each cell."""

    def index(concept):
        return CONCEPTS.index(concept) if isinstance(concept, str) else concept

    last: dict[tuple[int, tuple[int, int]], str] = {}
    focus: set[tuple[int, int]] = set()
    for edit in edits:
        kind = type(edit).__name__
        region = getattr(edit, "cells", EVERYWHERE)
        concept = getattr(edit, "concept", None)
        if kind == "Focus":
            focus |= set(region)
        if kind == "Erase" and concept is None:
            focus -= set(region)
        for k in range(K) if concept is None else [index(concept)]:
            last |= {(k, where): kind for where in region}
    scores = np.empty((K, M), np.float32)
    for k in range(K):
        for m in range(M):
            absent = situation.reasoner.profiles.absent[k, m]
            present = situation.reasoner.profiles.present[k, m]
            values = []
            for where in EVERYWHERE:
                s = situation.case.similarity_maps[k, m][where]
                kind = last.get((k, where), "Erase")
                if kind in ("Suppress", "Ignore", "Reject"):
                    values.append(min(s, absent) if semantics == "calibrated" else 0.0)
                elif kind in ("Force", "Confirm"):
                    values.append(max(s, present) if semantics == "calibrated" else s)
                elif not focus or where in focus:
                    values.append(s)
                elif semantics == "calibrated":
                    values.append(absent + ALPHA * (s - absent))
                else:
                    values.append(ALPHA * max(s, 0.0))
            scores[k, m] = max(values)
            if semantics == "paper":
                scores[k, m] = min(scores[k, m], situation.case.similarity_scores[k, m])
    return scores


class TestIdentity:
    @given(situations(), semantics)
    def test_no_edits_are_the_plain_forward_pass(self, situation, semantics):
        verdict = situation.reasoner.reason(situation.case, (), semantics)
        assert np.array_equal(verdict.scores, situation.case.similarity_scores)
        assert np.abs(verdict.logits - situation.plain_logits).max() <= 1e-6

    @given(situations(), edit_lists, semantics)
    def test_erasing_everything_restores_it_bit_for_bit(self, situation, edits, semantics):
        plain = situation.reasoner.reason(situation.case)
        erased = situation.reasoner.reason(situation.case, [*edits, Erase(EVERYWHERE)], semantics)
        assert same(plain, erased)

    @given(situations(), edit_lists, semantics)
    def test_focusing_on_everything_restores_it_bit_for_bit(self, situation, edits, semantics):
        plain = situation.reasoner.reason(situation.case)
        focused = situation.reasoner.reason(situation.case, [*edits, Focus(EVERYWHERE)], semantics)
        assert same(plain, focused)

    @given(situations(), concepts)
    def test_confirming_in_paper_semantics_alone_changes_nothing(self, situation, concept):
        plain = situation.reasoner.reason(situation.case)
        assert same(plain, situation.reasoner.reason(situation.case, [Confirm(concept)], "paper"))

    def test_the_default_semantics_is_calibrated(self):
        reasoner = build_reasoner(np.ones((2, K, M)), [0, 0], absent=0.25, present=0.5)
        case = build_case(np.full((K, M, SIDE, SIDE), 0.75))
        verdict = reasoner.reason(case, [Reject(0)])
        assert same(verdict, reasoner.reason(case, [Reject(0)], "calibrated"))
        assert not same(verdict, reasoner.reason(case, [Reject(0)], "paper"))


class TestLedger:
    @given(situations(), edit_lists, semantics)
    def test_base_and_contributions_sum_to_the_logits(self, situation, edits, semantics):
        verdict = situation.reasoner.reason(situation.case, edits, semantics)
        total = verdict.base + verdict.contributions.sum(axis=1)
        assert np.abs(total - verdict.logits).max() <= 1e-5
        with torch.inference_mode():
            head = situation.reasoner.network.task_head(torch.tensor(verdict.scores)[None])[0]
        assert np.abs(head.numpy() - verdict.logits).max() <= 1e-5

    @given(situations(), edit_lists, semantics)
    def test_contributions_are_measured_from_the_absent_profile(self, situation, edits, semantics):
        verdict = situation.reasoner.reason(situation.case, edits, semantics)
        head = situation.reasoner.network.task_head
        weight = head.weight.double().numpy() / head.score_deviation.double().numpy()
        step = verdict.scores.astype(float) - situation.reasoner.profiles.absent
        expected = (weight * step).sum(axis=2)
        assert np.allclose(verdict.contributions, expected, atol=1e-9)

    @given(situations(), edit_lists, semantics)
    def test_probabilities_are_the_softmax_of_the_logits(self, situation, edits, semantics):
        verdict = situation.reasoner.reason(situation.case, edits, semantics)
        ratio = 1 / (1 + np.exp(np.clip(verdict.logits[1] - verdict.logits[0], -700, 700)))
        assert verdict.probabilities == pytest.approx([ratio, 1 - ratio], abs=1e-9)

    @given(situations(), edit_lists, semantics)
    def test_scores_are_those_worked_out_by_hand(self, situation, edits, semantics):
        expected = by_hand(situation, edits, semantics)
        assert np.allclose(situation.scores(edits, semantics), expected, rtol=0, atol=1e-6)

    @given(situations(), edit_lists, semantics)
    def test_maps_show_what_the_scores_say(self, situation, edits, semantics):
        maps = situation.reasoner.concept_maps(situation.case, edits, semantics)
        verdict = situation.reasoner.reason(situation.case, edits, semantics)
        assert maps.shape == (K, SIDE, SIDE)
        # In paper semantics a score never passes the plain one, though clamped cells may.
        peak = np.minimum(maps.max(axis=(1, 2)), situation.case.similarity_scores.max(axis=1))
        if semantics == "calibrated":
            peak = maps.max(axis=(1, 2))
        assert np.array_equal(peak, situation.reasoner.concept_scores(verdict))

    def test_by_hand(self):
        weight = np.zeros((2, K, M))
        weight[0, 1], weight[1, 1] = (2.0, 1.0), (-1.0, 4.0)
        reasoner = build_reasoner(
            weight, [0.5, -0.5], mean=0.125, deviation=0.5, absent=0.25, present=0.75
        )
        maps = np.full((K, M, SIDE, SIDE), 0.0)
        maps[1, 0, 0, 0], maps[1, 1, 2, 1] = 0.5, 1.0
        verdict = reasoner.reason(build_case(maps))
        # W = (4, 2) and (-2, 8). b = 0.5 - 0.125·6 = -0.25 and -0.5 - 0.125·6 = -1.25.
        # base = b + W·0.25: -0.25 + 1.5 = 1.25 and -1.25 + 1.5 = 0.25
        assert verdict.base == pytest.approx([1.25, 0.25])
        # (0.5 - 0.25, 1 - 0.25) = (0.25, 0.75): 4·0.25 + 2·0.75 = 2.5, -2·0.25 + 8·0.75 = 5.5
        assert verdict.contributions[:, 1] == pytest.approx([2.5, 5.5])
        assert verdict.logits == pytest.approx([3.75, 5.75])
        # 1 / (1 + e²) = 0.1192
        assert verdict.probabilities == pytest.approx([0.1192029, 0.8807971])
        # Rejected, both prototypes score as when absent: nothing but the base is left.
        assert reasoner.reason(build_case(maps), [Reject(1)]).logits == pytest.approx([1.25, 0.25])


class TestMonotone:
    @given(situations(), edit_lists, concept_indices, cells, semantics)
    def test_suppression_never_raises_a_score(self, situation, edits, concept, region, semantics):
        before = situation.scores(edits, semantics)
        for edit in (Suppress(concept, region), Reject(concept), Ignore(region)):
            after = situation.scores([*edits, edit], semantics)
            assert (after[concept] <= before[concept]).all()

    @given(situations(), edit_lists, concept_indices, cells, semantics)
    def test_forcing_never_lowers_a_score(self, situation, edits, concept, region, semantics):
        before = situation.scores(edits, semantics)
        for edit in (Force(concept, region), Confirm(concept)):
            after = situation.scores([*edits, edit], semantics)
            assert (after[concept] >= before[concept]).all()

    @given(situations(), edit_lists, concept_indices)
    def test_a_rejected_concept_scores_at_most_as_when_absent(self, situation, edits, concept):
        scores = situation.scores([*edits, Reject(concept)], "calibrated")
        assert (scores[concept] <= situation.reasoner.profiles.absent[concept]).all()

    @given(situations(), edit_lists, concept_indices)
    def test_a_confirmed_concept_scores_at_least_as_when_present(self, situation, edits, concept):
        scores = situation.scores([*edits, Confirm(concept)], "calibrated")
        assert (scores[concept] >= situation.reasoner.profiles.present[concept]).all()

    @given(situations(low=0.0), edit_lists, concept_indices)
    def test_a_concept_rejected_as_in_the_paper_scores_zero(self, situation, edits, concept):
        assert not situation.scores([*edits, Reject(concept)], "paper")[concept].any()

    @given(situations(), edit_lists)
    def test_in_paper_semantics_no_edit_passes_the_plain_score(self, situation, edits):
        assert (situation.scores(edits, "paper") <= situation.case.similarity_scores).all()


class TestUndoAndReplay:
    @given(situations(), edit_lists, region_edits(cells), semantics)
    def test_removing_the_last_edit_restores_the_earlier_verdict(
        self, situation, edits, last, semantics
    ):
        before = situation.reasoner.reason(situation.case, edits, semantics)
        situation.reasoner.reason(situation.case, [*edits, last], semantics)
        assert same(before, situation.reasoner.reason(situation.case, edits, semantics))

    def test_edits_may_come_from_any_iterable(self):
        reasoner = build_reasoner(np.ones((2, K, M)), [0, 0], absent=0.25, present=0.5)
        case = build_case(np.full((K, M, SIDE, SIDE), 0.75))
        edits = [Reject(0), Focus([(0, 0)])]
        assert same(reasoner.reason(case, edits), reasoner.reason(case, iter(tuple(edits))))


class TestOrder:
    @given(situations(), edit_lists, concept_indices, semantics)
    def test_the_later_edit_wins(self, situation, edits, concept, semantics):
        for last in (
            Reject(concept),
            Confirm(concept),
            Suppress(concept, EVERYWHERE),
            Force(concept, EVERYWHERE),
        ):
            alone = situation.scores([last], semantics)[concept]
            assert np.array_equal(situation.scores([*edits, last], semantics)[concept], alone)

    @given(
        situations(),
        edit_lists,
        st.permutations(EVERYWHERE),
        st.integers(1, 8),
        st.data(),
        semantics,
    )
    def test_edits_on_different_cells_commute(
        self, situation, edits, shuffled, cut, data, semantics
    ):
        first = data.draw(region_edits(st.just(shuffled[:cut])))
        second = data.draw(region_edits(st.just(shuffled[cut:])))
        one = situation.reasoner.reason(situation.case, [*edits, first, second], semantics)
        other = situation.reasoner.reason(situation.case, [*edits, second, first], semantics)
        assert same(one, other)

    @given(situations(), edit_lists, edits_of(0), edits_of("blue veil"), edit_lists, semantics)
    def test_edits_on_different_concepts_commute(
        self, situation, before, first, second, after, semantics
    ):
        one = situation.reasoner.reason(situation.case, [*before, first, second, *after], semantics)
        other = situation.reasoner.reason(
            situation.case, [*before, second, first, *after], semantics
        )
        assert same(one, other)

    @given(situations(), edit_lists, cells, cells, semantics)
    def test_two_focus_regions_are_one_focus_on_their_union(
        self, situation, edits, first, second, semantics
    ):
        apart = [*edits, Focus(first), Focus(second)]
        union = [*edits, Focus([*first, *second])]
        assert same(
            situation.reasoner.reason(situation.case, apart, semantics),
            situation.reasoner.reason(situation.case, union, semantics),
        )

    @given(situations(), cells, cells, semantics)
    def test_both_focus_regions_keep_their_evidence(self, situation, first, second, semantics):
        maps = situation.reasoner.concept_maps(
            situation.case, [Focus(first), Focus(second)], semantics
        )
        plain = situation.reasoner.concept_maps(situation.case)
        for where in {*first, *second}:
            assert np.array_equal(maps[:, *where], plain[:, *where])

    @given(situations(), edit_lists, concept_indices, cells, cells, semantics)
    def test_a_region_may_be_marked_in_pieces(
        self, situation, edits, concept, first, second, semantics
    ):
        for kind in (Suppress, Force):
            pieces = [*edits, kind(concept, first), kind(concept, second)]
            whole = [*edits, kind(concept, [*second, *first])]
            assert same(
                situation.reasoner.reason(situation.case, pieces, semantics),
                situation.reasoner.reason(situation.case, whole, semantics),
            )


class TestFocus:
    @given(situations(), st.lists(cell, min_size=1, max_size=8, unique=True))
    def test_the_first_mark_pulls_every_other_cell_to_the_absent_profile(self, situation, region):
        maps, profiles = situation.case.similarity_maps, situation.reasoner.profiles
        absent = profiles.absent[:, :, None, None]
        expected = absent + ALPHA * (maps - absent)
        for where in region:
            expected[:, :, *where] = maps[:, :, *where]
        assert np.allclose(
            situation.scores([Focus(region)], "calibrated"), expected.max(axis=(2, 3)), atol=1e-6
        )

    @given(situations(), st.lists(cell, min_size=1, max_size=8, unique=True))
    def test_in_the_paper_every_other_cell_counts_alpha(self, situation, region):
        plain = situation.reasoner.concept_maps(situation.case)
        maps = situation.reasoner.concept_maps(situation.case, [Focus(region)], "paper")
        for where in EVERYWHERE:
            expected = plain[:, *where] if where in region else ALPHA * plain[:, *where].clip(0)
            assert np.allclose(maps[:, *where], expected, atol=1e-6)


class TestLocality:
    @given(situations(), edit_lists, concept_indices, st.data(), semantics)
    def test_an_edit_of_one_concept_leaves_the_others_alone(
        self, situation, edits, concept, data, semantics
    ):
        edit = data.draw(edits_of(concept))
        before = situation.reasoner.reason(situation.case, edits, semantics)
        after = situation.reasoner.reason(situation.case, [*edits, edit], semantics)
        others = [k for k in range(K) if k != concept]
        assert np.array_equal(before.scores[others], after.scores[others])
        assert np.array_equal(before.contributions[:, others], after.contributions[:, others])
        assert np.array_equal(before.base, after.base)

    @given(situations(), semantics, concept_indices, st.lists(cell, min_size=1), st.data())
    def test_suppressing_patches_below_the_maximum_changes_nothing(
        self, situation, semantics, concept, region, data
    ):
        maps = situation.case.similarity_maps[concept].copy()
        for row, column in region:
            maps[:, row, column] = -np.inf
        outside = maps.max(axis=(1, 2))
        assume((outside == situation.case.similarity_scores[concept]).all() and (outside > 0).all())
        edited = situation.scores([Suppress(concept, region)], semantics)
        assert np.array_equal(edited, situation.case.similarity_scores)


class TestRefusals:
    @pytest.fixture(scope="class")
    @staticmethod
    def reasoner():
        return build_reasoner(np.ones((2, K, M)), [0, 0])

    @pytest.mark.parametrize(
        ("edit", "said"),
        [
            (Reject("vessels"), "no concept 'vessels'; the model knows streaks, globules"),
            (Suppress(3, [(0, 0)]), "no concept 3"),
            (Force("streaks", [(0, SIDE)]), "outside the grid of 3 rows and 3 columns"),
            (Erase([(-1, 0)]), "outside the grid"),
            (Focus([(10**40, 0)]), "grid"),
        ],
    )
    def test_edits_that_do_not_fit_the_case(self, reasoner, edit, said):
        with pytest.raises(EditError) as error:
            reasoner.reason(build_case(np.zeros((K, M, SIDE, SIDE))), [edit])
        assert said in str(error.value)

    def test_another_semantics(self, reasoner):
        case = build_case(np.zeros((K, M, SIDE, SIDE)))
        for edits in ([], [Reject(0)]):
            with pytest.raises(EditError, match="calibrated, paper"):
                reasoner.reason(case, edits, "Calibrated")

    def test_a_case_of_another_model(self, reasoner):
        other = build_reasoner(np.ones((2, K, M)), [0, 0], model_hash="other")
        case = build_case(np.zeros((K, M, SIDE, SIDE)))
        with pytest.raises(ValueError, match="another model"):
            other.reason(case)
        with pytest.raises(ValueError, match="another model"):
            other.concept_maps(case)

    def test_names_and_profiles_must_fit_the_network(self):
        profiles = Profiles(np.zeros((K, M), np.float32), np.zeros((K, M), np.float32))
        wrong = Profiles(profiles.absent[:, :1], profiles.present)
        for names, classes, values in (
            (CONCEPTS[:2], CLASSES, profiles),
            (CONCEPTS, CLASSES[:1], profiles),
            (CONCEPTS, CLASSES, wrong),
        ):
            with pytest.raises(ValueError):
                Reasoner(tiny_network(), names, classes, values, empty_atlas(), {}, "")


class TestImmutability:
    def test_verdicts_and_cases_are_read_only(self):
        reasoner = build_reasoner(np.ones((2, K, M)), [0, 0])
        case = reasoner.encode(np.zeros((64, 64, 3), np.uint8))
        verdict = reasoner.reason(case, [Reject(0)])
        for value, names in (
            (case, ("similarity_maps", "similarity_scores", "pooled")),
            (verdict, ("scores", "logits", "probabilities", "contributions", "answers", "base")),
        ):
            for name in names:
                with pytest.raises(ValueError, match="read-only"):
                    getattr(value, name)[...] = 0
                with pytest.raises(FrozenInstanceError):
                    setattr(value, name, None)

    def test_profiles_shared_by_all_users_are_read_only(self):
        reasoner = build_reasoner(np.ones((2, K, M)), [0, 0])
        for profile in (reasoner.profiles.absent, reasoner.profiles.present):
            with pytest.raises(ValueError, match="read-only"):
                profile[0, 0] = 1


class TestEncode:
    @pytest.fixture(scope="class")
    @staticmethod
    def reasoner():
        rng = np.random.default_rng(0)
        return build_reasoner(rng.normal(size=(2, K, M)), [0.1, -0.1], mean=0.2, deviation=0.5)

    @pytest.fixture(scope="class")
    @staticmethod
    def picture():
        return np.random.default_rng(1).integers(0, 256, (80, 60, 3), dtype=np.uint8)

    def test_no_edits_are_the_plain_forward_pass_of_the_network(self, reasoner, picture):
        exact = picture[:48, :48]  # the size of the input, so that nothing is resized
        case = reasoner.encode(exact)
        with torch.inference_mode():
            image = torch.from_numpy(exact.copy()).permute(2, 0, 1)[None].float() / 255
            output = reasoner.network(image)
        verdict = reasoner.reason(case)
        assert np.abs(output.similarity_maps[0].numpy() - case.similarity_maps).max() <= 1e-6
        assert np.abs(output.logits[0].numpy() - verdict.logits).max() <= 1e-6

    def test_shapes_and_names(self, reasoner, picture):
        case = reasoner.encode(picture)
        assert case.similarity_maps.shape == (K, M, SIDE, SIDE)
        assert case.similarity_maps.dtype == np.float32
        assert case.image_size == (80, 60)
        assert reasoner.grid == (SIDE, SIDE)
        assert case.model_hash == reasoner.model_hash
        assert np.array_equal(case.similarity_scores, case.similarity_maps.max(axis=(2, 3)))

    def test_the_same_picture_by_array_pillow_and_path_is_the_same_case(
        self, reasoner, picture, tmp_path
    ):
        path = tmp_path / "picture.png"
        Image.fromarray(picture).save(path)
        first = reasoner.encode(picture)
        for source in (Image.fromarray(picture), path, str(path)):
            other = reasoner.encode(source)
            assert np.array_equal(first.similarity_maps, other.similarity_maps)
            assert first.image_hash == other.image_hash

    def test_other_pixels_are_another_case(self, reasoner, picture):
        changed = picture.copy()
        changed[0, 0, 0] ^= 1
        assert reasoner.encode(changed).image_hash != reasoner.encode(picture).image_hash

    def test_encoding_does_not_depend_on_what_was_encoded_before(self, reasoner, picture):
        first = reasoner.encode(picture)
        reasoner.encode(255 - picture)
        assert np.array_equal(first.similarity_maps, reasoner.encode(picture).similarity_maps)

    def test_weights_are_frozen_and_in_evaluation_mode(self, reasoner):
        assert not reasoner.network.training
        assert not any(p.requires_grad for p in reasoner.network.parameters())

    def test_what_is_no_picture_is_refused(self, reasoner, tmp_path):
        text = tmp_path / "notes.jpg"
        text.write_text("not a picture")
        cut_short = io.BytesIO()
        Image.new("RGB", (64, 64)).save(cut_short, "PNG")
        (tmp_path / "cut.png").write_bytes(cut_short.getvalue()[:60])
        for source in (
            text,
            tmp_path / "missing.png",
            tmp_path / "cut.png",
            np.zeros((64, 64), np.uint8),
            np.zeros((64, 64, 3), np.float32),
        ):
            with pytest.raises(ImageError):
                reasoner.encode(source)
