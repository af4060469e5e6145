"""Edits as values, their merging into one map, and Eqs. 12-13 cell by cell."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_core import (
    Confirm,
    EditError,
    Erase,
    Focus,
    Force,
    Ignore,
    Reject,
    Suppress,
    edit_to_json,
    edits_from_json,
)
from csr_core.evidence import ALPHA, EvidenceMap, Profiles, apply_evidence, merge_edits

CONCEPTS = ("streaks", "globules")
GRID = (2, 3)
EVERYWHERE = tuple((row, column) for row in range(2) for column in range(3))
SEMANTICS = ("calibrated", "paper")

cells = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), max_size=6)
concepts = st.sampled_from([*CONCEPTS, 0, 1])
edits = st.one_of(
    st.builds(Suppress, concepts, cells),
    st.builds(Force, concepts, cells),
    st.builds(Ignore, cells),
    st.builds(Focus, cells),
    st.builds(Reject, concepts),
    st.builds(Confirm, concepts),
    st.builds(Erase, cells, st.none() | concepts),
)

SIMILARITY = np.array([[[[0.5, 0.1, -0.4]]]], dtype=np.float32)  # (1, 1, 1, 3): one prototype
PROFILES = Profiles(np.array([[0.2]], np.float32), np.array([[0.3]], np.float32))


def edited(*edits_made, semantics="calibrated", similarity=SIMILARITY, share=1.0):
    """Maps and score of the only concept and prototype after the edits."""
    evidence = merge_edits(edits_made, ("streaks",), similarity.shape[2:])
    maps, scores = apply_evidence(
        similarity, evidence.marks, evidence.focus, PROFILES, semantics, share
    )
    return maps[0, 0, 0].tolist(), scores[0, 0]


def refused(*edits_made, concepts=CONCEPTS, grid=GRID):
    with pytest.raises(EditError) as error:
        merge_edits(edits_made, concepts, grid)
    return str(error.value)


class TestCalibratedFormulas:
    def test_suppress_is_the_minimum_with_the_absent_profile(self):
        maps, score = edited(Suppress(0, [(0, 0), (0, 2)]))
        # min(0.5, 0.2), 0.1 unmarked, min(-0.4, 0.2)
        assert maps == pytest.approx([0.2, 0.1, -0.4])
        assert score == pytest.approx(0.2)

    def test_force_is_the_maximum_with_the_present_profile(self):
        maps, score = edited(Force(0, [(0, 0), (0, 1)]))
        # max(0.5, 0.3), max(0.1, 0.3), -0.4 unmarked
        assert maps == pytest.approx([0.5, 0.3, -0.4])
        assert score == pytest.approx(0.5)

    def test_focus_pulls_the_other_cells_towards_the_absent_profile(self):
        maps, score = edited(Focus([(0, 1)]))
        # 0.2 + 0.2 (0.5 - 0.2) = 0.26; 0.1 in focus; 0.2 + 0.2 (-0.4 - 0.2) = 0.08
        assert maps == pytest.approx([0.26, 0.1, 0.08])
        assert score == pytest.approx(0.26)

    def test_reject_is_the_minimum_everywhere_and_confirm_the_maximum(self):
        assert edited(Reject(0))[0] == pytest.approx([0.2, 0.1, -0.4])
        assert edited(Confirm(0))[0] == pytest.approx([0.5, 0.3, 0.3])

    def test_answers_may_go_only_a_share_of_the_way(self):
        # 0.5 + 0.4 (0.2 - 0.5) = 0.38; 0.1 + 0.4 (0.3 - 0.1) = 0.18; -0.4 + 0.4 (0.3 + 0.4) = -0.12
        assert edited(Reject(0), share=0.4)[0] == pytest.approx([0.38, 0.1, -0.4])
        assert edited(Confirm(0), share=0.4)[0] == pytest.approx([0.5, 0.18, -0.12])
        assert edited(Reject(0), share=0.0)[0] == pytest.approx(SIMILARITY[0, 0, 0].tolist())

    def test_marks_of_patches_go_all_the_way_whatever_the_share(self):
        marks = [Suppress(0, [(0, 0)]), Force(0, [(0, 1)])]
        assert edited(*marks, share=0.4) == edited(*marks)

    def test_of_an_answer_in_part_the_rest_is_dampened_outside_the_focus(self):
        for marks in ([Focus([(0, 1)]), Reject(0)], [Reject(0), Focus([(0, 1)]), Reject(0)]):
            maps, _ = edited(*marks, share=0.4)
            # Outside 0.6 · 0.26 + 0.4 · 0.2 and 0.6 · 0.08 - 0.4 · 0.4; 0.1 lies in the focus.
            assert maps == pytest.approx([0.236, 0.1, -0.112])

    def test_reject_falls_to_the_absent_score_and_confirm_rises_to_the_present_one(self):
        low = np.full_like(SIMILARITY, 0.25)
        assert edited(Reject(0), similarity=low)[1] == pytest.approx(0.2)
        assert edited(Confirm(0), similarity=low)[1] == pytest.approx(0.3)

    def test_each_prototype_has_its_own_profile(self):
        similarity = np.array([[[[0.5]], [[0.6]]]], dtype=np.float32)  # (1, 2, 1, 1)
        profiles = Profiles(np.array([[0.1, 0.4]], np.float32), np.array([[0.9, 0.5]], np.float32))
        for edit, expected in ((Reject(0), [0.1, 0.4]), (Confirm(0), [0.9, 0.6])):
            evidence = merge_edits([edit], ("streaks",), (1, 1))
            _, scores = apply_evidence(similarity, evidence.marks, evidence.focus, profiles)
            assert scores[0].tolist() == pytest.approx(expected)


class TestPaperFormulas:
    def test_a_negative_box_is_zero(self):
        maps, score = edited(Suppress(0, [(0, 0)]), semantics="paper")
        assert maps == pytest.approx([0.0, 0.1, -0.4])  # A = 0, 1, 1
        assert score == pytest.approx(0.1)

    def test_outside_a_positive_box_evidence_counts_alpha_and_negatives_are_clamped(self):
        maps, score = edited(Focus([(0, 1)]), semantics="paper")
        assert maps == pytest.approx([0.2 * 0.5, 0.1, 0.0])  # A = α, 1, α with max(-0.4, 0) = 0
        assert score == pytest.approx(0.1)

    def test_inside_a_positive_box_a_negative_value_keeps_its_sign(self):
        maps, _ = edited(Focus([(0, 2)]), semantics="paper")
        assert maps == pytest.approx([0.1, 0.02, -0.4])

    def test_rejecting_sets_a_positive_score_to_zero(self):
        assert edited(Reject(0), semantics="paper") == ([0.0, 0.0, 0.0], 0.0)

    def test_a_forced_cell_is_one_nothing_dampens(self):
        maps, _ = edited(Focus([(0, 1)]), Force(0, [(0, 0)]), semantics="paper")
        assert maps == pytest.approx([0.5, 0.1, 0.0])
        assert edited(Confirm(0), semantics="paper")[0] == pytest.approx([0.5, 0.1, -0.4])

    def test_shrinking_a_negative_score_does_not_raise_it(self):
        negative = np.array([[[[-0.3, -0.1, -0.4]]]], dtype=np.float32)
        for edit in (Reject(0), Focus([(0, 0)]), Suppress(0, [(0, 1)])):
            assert edited(edit, semantics="paper", similarity=negative)[1] == np.float32(-0.1)

    def test_alpha_is_the_paper_value(self):
        assert ALPHA == 0.2

    def test_another_semantics_is_refused_by_name(self):
        with pytest.raises(EditError, match=r"'zeroing'.*calibrated, paper"):
            edited(semantics="zeroing")


class TestMerging:
    @pytest.mark.parametrize("semantics", SEMANTICS)
    def test_two_disjoint_focus_regions_both_keep_their_evidence(self, semantics):
        maps, _ = edited(Focus([(0, 0)]), Focus([(0, 2)]), semantics=semantics)
        assert (maps[0], maps[2]) == (SIMILARITY[0, 0, 0, 0], SIMILARITY[0, 0, 0, 2])
        assert maps[1] != SIMILARITY[0, 0, 0, 1]

    def test_suppressing_twice_is_suppressing(self):
        assert edited(Suppress(0, [(0, 0)]), Suppress(0, [(0, 0)])) == edited(Suppress(0, [(0, 0)]))

    @pytest.mark.parametrize(
        ("made", "value"),
        [
            ([Force(0, [(0, 0)]), Suppress(0, [(0, 0)])], 0.2),
            ([Suppress(0, [(0, 1)]), Force(0, [(0, 1)])], 0.3),
            ([Ignore([(0, 1)]), Confirm(0)], 0.3),
            ([Confirm(0), Ignore([(0, 1)])], 0.1),
            ([Suppress(0, [(0, 0)]), Focus([(0, 0)])], 0.5),
            ([Focus([(0, 0)]), Suppress(0, [(0, 0)])], 0.2),
            ([Reject(0), Erase([(0, 0)])], 0.5),
            ([Reject(0), Erase([(0, 0)], 0)], 0.5),
        ],
    )
    def test_the_later_edit_wins_in_a_cell(self, made, value):
        cell = next(edit.cells[0] for edit in made if hasattr(edit, "cells"))
        assert edited(*made)[0][cell[1]] == pytest.approx(value)

    def test_erasing_every_mark_leaves_the_focus(self):
        assert edited(Focus([(0, 1)]), Erase([(0, 1)])) == edited()

    def test_restoring_one_concept_in_the_focus_keeps_the_focus(self):
        restored = edited(Focus([(0, 0)]), Suppress(0, [(0, 0)]), Erase([(0, 0)], 0))
        assert restored == edited(Focus([(0, 0)]))

    @given(st.lists(edits, max_size=4), st.lists(edits, max_size=4))
    def test_merging_onto_what_is_merged_already_is_merging_all(self, earlier, later):
        at_once = merge_edits([*earlier, *later], CONCEPTS, GRID)
        before = merge_edits(earlier, CONCEPTS, GRID)
        kept = before.marks.copy(), before.focus.copy()
        after = merge_edits(later, CONCEPTS, GRID, onto=before)
        assert (after.marks == at_once.marks).all()
        assert (after.focus == at_once.focus).all()
        assert after.focused == at_once.focused
        assert (before.marks == kept[0]).all() and (before.focus == kept[1]).all()

    def test_an_edit_without_cells_changes_nothing(self):
        for edit in (Suppress(0, []), Force(0, []), Ignore([]), Focus([]), Erase([])):
            merged = merge_edits([edit], CONCEPTS, GRID)
            assert not merged.marks.any()
            assert not merged.focused

    def test_only_concepts_whose_maps_differ_are_touched(self):
        def touched(*edits_made):
            return merge_edits(edits_made, CONCEPTS, GRID).touched.tolist()

        assert touched() == []
        assert touched(Suppress("globules", [(0, 0)])) == [1]
        assert touched(Suppress("globules", [(0, 0)]), Erase([(0, 0)])) == []
        assert touched(Ignore([(0, 0)])) == [0, 1]
        assert touched(Focus([(0, 0)])) == [0, 1]

    def test_concepts_are_known_by_name_and_by_index(self):
        by_name = merge_edits([Reject("globules")], CONCEPTS, GRID)
        by_index = merge_edits([Reject(1)], CONCEPTS, GRID)
        by_numpy = merge_edits([Reject(np.int64(1))], CONCEPTS, GRID)
        assert by_name.marks.tolist() == by_index.marks.tolist() == by_numpy.marks.tolist()
        assert by_name.marks[1].all()
        assert not by_name.marks[0].any()


class TestRefusals:
    @pytest.mark.parametrize("concept", ["vessels", "Streaks", "", -1, 2, 10**30, None])
    def test_an_unknown_concept(self, concept):
        message = refused(Reject(concept))
        assert "no concept" in message
        assert "streaks, globules" in message

    @pytest.mark.parametrize("concept", [True, False, 0.0, float("nan"), [], {"a": 1}, b"streaks"])
    def test_a_concept_that_is_neither_name_nor_index(self, concept):
        with pytest.raises(EditError, match="by its name or its index"):
            Suppress(concept, [(0, 0)])

    def test_a_truth_value_is_no_row(self):
        with pytest.raises(EditError, match="pairs of integers"):
            Suppress("streaks", [(True, False)])

    @pytest.mark.parametrize(
        "cell", [(2, 0), (0, 3), (-1, 0), (0, -1), (10**30, 0), (0, -(10**30))]
    )
    @pytest.mark.parametrize(
        "edit", [lambda c: Suppress(0, c), lambda c: Force(0, c), Ignore, Focus, Erase]
    )
    def test_a_patch_outside_the_grid(self, edit, cell):
        assert "outside the grid of 2 rows and 3 columns" in refused(edit([(0, 0), cell]))

    def test_numbers_too_long_to_print(self):
        huge = 10**5000
        for made in (lambda: Reject(huge), lambda: Suppress(0, [(huge, 0)])):
            with pytest.raises(EditError) as error:
                merge_edits([made()], CONCEPTS, GRID)
            assert len(str(error.value)) < 500

    @pytest.mark.parametrize(
        "wrong",
        [None, 3, "34", [3, 4], [(1,)], [(1, 2, 3)], [(1.0, 2)], [(float("nan"), 0)], [("1", "2")]],
    )
    def test_cells_that_are_no_pairs_of_integers(self, wrong):
        with pytest.raises(EditError, match="pairs of integers"):
            Suppress("streaks", wrong)

    def test_something_that_is_no_edit(self):
        assert "is not an edit" in refused("reject")

    def test_messages_are_one_short_sentence(self):
        for made in (Reject("x" * 100_000), Suppress(0, [(9, 9)])):
            message = refused(made)
            assert "\n" not in message
            assert len(message) < 500


class TestValues:
    @given(edits)
    def test_edits_are_frozen_and_hashable_and_equal_by_value(self, edit):
        assert hash(edit) == hash(edits_from_json([edit_to_json(edit)])[0])
        field = next(iter(edit.__dataclass_fields__))
        with pytest.raises(FrozenInstanceError):
            setattr(edit, field, None)

    def test_cells_are_copied_from_whatever_held_them(self):
        given_cells = [[0, 1]]
        edit = Suppress("streaks", given_cells)
        given_cells[0][0] = given_cells[0][1] = 9
        given_cells.append([5, 5])
        assert edit.cells == ((0, 1),)

    def test_cells_may_come_from_numpy(self):
        marked = np.argwhere(np.array([[True, False, False], [False, False, True]]))
        assert Focus(marked) == Focus([(0, 0), (1, 2)])

    def test_merged_maps_are_values_of_their_own(self):
        first = merge_edits([Reject(0)], CONCEPTS, GRID)
        second = merge_edits([Reject(0)], CONCEPTS, GRID)
        assert isinstance(first, EvidenceMap)
        assert not np.shares_memory(first.marks, second.marks)

    @pytest.mark.parametrize("semantics", SEMANTICS)
    def test_applying_does_not_write_into_the_case(self, semantics):
        before = SIMILARITY.copy()
        edited(Focus([(0, 1)]), Suppress(0, [(0, 0)]), Force(0, [(0, 2)]), semantics=semantics)
        assert np.array_equal(before, SIMILARITY)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["suppress", "erase", "focus", "reject", "streaks"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["kind", "concept", "cells"]) | st.text(max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)
almost_edits = st.fixed_dictionaries(
    {"kind": st.sampled_from(["suppress", "force", "ignore", "focus", "reject", "erase"])},
    optional={
        "concept": st.sampled_from(["streaks", 0, None, True, 1.5]) | json_values,
        "cells": st.lists(st.lists(st.integers(-2, 9), min_size=1, max_size=3), max_size=3)
        | json_values,
    },
)


class TestJson:
    @given(st.lists(edits, max_size=6))
    def test_round_trip(self, made):
        text = json.dumps([edit_to_json(edit) for edit in made])
        assert edits_from_json(json.loads(text)) == tuple(made)

    def test_what_is_written(self):
        assert edit_to_json(Suppress("streaks", [(3, 4)])) == {
            "kind": "suppress",
            "concept": "streaks",
            "cells": [[3, 4]],
        }
        assert edit_to_json(Focus([(1, 2)])) == {"kind": "focus", "cells": [[1, 2]]}
        assert edit_to_json(Confirm(1)) == {"kind": "confirm", "concept": 1}
        assert edit_to_json(Erase([(0, 0)])) == {
            "kind": "erase",
            "concept": None,
            "cells": [[0, 0]],
        }

    def test_indices_of_numpy_are_written_as_numbers(self):
        edit = Suppress(np.int64(1), np.array([[0, 1]]))
        assert json.loads(json.dumps(edit_to_json(edit)))["concept"] == 1

    @given(json_values | st.lists(json_values | almost_edits, max_size=3))
    def test_anything_else_is_an_edit_error_and_nothing_else(self, value):
        try:
            made = edits_from_json(value)
        except EditError as error:
            message = str(error)
            assert message.endswith(".")
            assert "\n" not in message
            return
        assert isinstance(made, tuple)
        try:
            merge_edits(made, CONCEPTS, GRID)
        except EditError as error:
            assert str(error)

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ({"kind": "reject", "concept": 0}, "Edits are a list"),
            (None, "Edits are a list"),
            (["reject"], "Edit 1 is not an object"),
            ([{"kind": "reject", "concept": 0}, {}], "Edit 2 has kind None"),
            ([{"kind": "Suppress"}], "Edit 1 has kind 'Suppress'"),
            ([{"kind": ["suppress"]}], "must be one of suppress, force"),
            ([{"kind": "reject"}], "needs a concept"),
            ([{"kind": "reject", "concept": True}], "needs a concept"),
            ([{"kind": "reject", "concept": 1.0}], "needs a concept"),
            ([{"kind": "suppress", "concept": "streaks"}], "needs its cells"),
            ([{"kind": "focus", "cells": {}}], "needs its cells"),
            ([{"kind": "focus", "cells": "ab"}], "needs its cells"),
            ([{"kind": "focus", "cells": [[1]]}], "has a cell that is not"),
            ([{"kind": "focus", "cells": [[1, 2, 3]]}], "has a cell that is not"),
            ([{"kind": "focus", "cells": [[1, True]]}], "has a cell that is not"),
            ([{"kind": "focus", "cells": [[1.0, 2]]}], "has a cell that is not"),
            ([{"kind": "focus", "cells": [[float("nan"), 2]]}], "has a cell that is not"),
            ([{"kind": "focus", "cells": [["1", "2"]]}], "has a cell that is not"),
            ([{"kind": "focus", "cells": [[0, 0]] * (128 * 128 + 1)}], "at most 16384"),
            ([{"kind": "reject", "concept": 0}] * 1001, "more than one review may have"),
        ],
    )
    def test_each_fault_is_named(self, value, reason):
        with pytest.raises(EditError) as error:
            edits_from_json(value)
        assert reason in str(error.value)

    def test_all_cells_together_are_bounded(self):
        with pytest.raises(EditError, match="cells"):
            edits_from_json([{"kind": "ignore", "cells": [[0, 0]] * 16_384}] * 62)

    def test_a_long_kind_is_not_echoed_whole(self):
        with pytest.raises(EditError) as error:
            edits_from_json([{"kind": "x" * 1_000_000}])
        assert len(str(error.value)) < 500
