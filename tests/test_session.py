"""The session file: round trip, refusal of damaged files, and replay."""

import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import CLASSES, CONCEPTS, edit_lists, random_situation, seeds, semantics

from csr_core import Force, Reject, Suppress
from csr_core.session import (
    SOFTWARE,
    Numbers,
    Session,
    Step,
    Tally,
    numbers_of,
    record_steps,
    replay,
)
from csr_core.session_file import SessionError, from_json, picture_type, to_json

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PNG, JPEG = b"\x89PNG\r\n\x1a\n and so on", b"\xff\xd8\xff and so on"


def times(count):
    return [NOON + timedelta(seconds=second) for second in range(count)]


def review(reasoner, case, edits, meaning="calibrated", **others):
    """A session as the studio would save it."""
    return Session(
        software=SOFTWARE,
        checkpoint_name="isic2017",
        checkpoint_hash=reasoner.model_hash,
        image_hash=case.image_hash,
        image_size=case.image_size,
        picture=None,
        concepts=reasoner.concepts,
        classes=reasoner.classes,
        semantics=meaning,
        before=numbers_of(reasoner.reason(case)),
        steps=record_steps(reasoner, case, edits, times(len(edits)), meaning),
        **others,
    )


EDITS = [Suppress("streaks", [(0, 1)]), Force("globules", [(1, 1)]), Reject("streaks")]


def example(**others):
    return review(*random_situation(1), EDITS, **others)


class TestRoundTrip:
    @settings(max_examples=50)
    @given(
        seed=seeds,
        edits=edit_lists,
        meaning=semantics,
        comment=st.text(max_size=300),
        call=st.none() | st.sampled_from(CLASSES),
        blind=st.booleans(),
        picture=st.none() | st.binary(max_size=50).map(lambda tail: PNG + tail) | st.just(JPEG),
        counts=st.tuples(*[st.integers(0, 10**6)] * 3),
    )
    def test_it_comes_back_as_it_was(
        self, seed, edits, meaning, comment, call, blind, picture, counts
    ):
        reasoner, case = random_situation(seed)
        session = review(
            reasoner,
            case,
            edits,
            meaning,
            comment=comment,
            own_call=call,
            blind=blind,
            verdict=call,
            tally=Tally(*counts),
        )
        session = replace(session, picture=picture)
        assert from_json(to_json(session)) == session
        assert from_json(to_json(session).encode()) == session
        assert replay(reasoner, case, session) == ()

    def test_the_file_says_what_the_module_says_it_does(self):
        record = json.loads(to_json(replace(example(), picture=PNG)))
        assert (record["format"], record["version"]) == ("csr-studio session", 1)
        assert record["edits"][0]["time"] == "2026-01-31T12:00:00Z"
        assert record["edits"][0]["edit"] == {
            "kind": "suppress",
            "concept": "streaks",
            "cells": [[0, 1]],
        }
        assert record["image"]["picture"].startswith("data:image/png;base64,iVBORw0KGgo")

    def test_a_picture_left_out_leaves_no_trace(self):
        assert json.loads(to_json(example()))["image"]["picture"] is None

    def test_half_a_surrogate_pair_in_a_comment_becomes_a_question_mark(self):
        assert from_json(to_json(example(comment="a\ud800b"))).comment == "a?b"

    def test_the_version_is_that_of_the_project(self):
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
        assert f"{project['project']['name']} {project['project']['version']}" == SOFTWARE


def paths_in(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(inner, (*path, key))


def put(record, path, value):
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


class TestRefusals:
    @settings(max_examples=400)
    @given(data=st.data())
    def test_anything_anywhere_is_read_or_refused_in_one_sentence(self, data):
        record = json.loads(to_json(replace(example(own_call="nevus"), picture=PNG)))
        path = data.draw(st.sampled_from(list(paths_in(record))[1:]))
        hostile = [None, True, -1, 10**30, 1.5, 1e300, "", "x" * 300, "\ud800", [], [[]], {}]
        put(record, path, data.draw(st.sampled_from(hostile)))
        try:
            session = from_json(json.dumps(record))
        except SessionError as refusal:
            assert str(refusal).endswith(".") and len(str(refusal)) < 400
        else:
            assert from_json(to_json(session)) == session

    @pytest.mark.parametrize(
        ("path", "value", "word"),
        [
            (("format",), "another", "not a session"),
            (("version",), 2, "another version"),
            (("software",), "x" * 201, "software"),
            (("image", "height"), True, "height"),
            (("image", "picture"), "data:text/html;base64,AAAA", "JPEG or PNG"),
            (("image", "picture"), "data:image/png;base64,!!!!", "damaged"),
            (("image", "picture"), "data:image/png;base64,PHN2Zz4=", "JPEG or a PNG"),
            (("image", "picture"), "data:image/png;base64,/9j/", "kind it says"),
            (("concepts",), ["a", "a"], "concepts"),
            (("classes", 0), "\ud800", "classes"),
            (("semantics",), "other", "semantics"),
            (("before", "probabilities"), [0.5], "probabilities"),
            (("edits", 1, "edit", "cells", 0, 0), "1", "Edit 2"),
            (("edits", 1, "time"), "2026-01-31T12:00:00", "UTC"),
            (("edits", 1, "time"), "2026-01-31T12:00:00+01:00", "UTC"),
            (("edits", 1, "time"), "noon", "UTC"),
            (("edits", 1, "edit", "concept"), "blue veil", "Edit 2 is of a concept"),
            (("edits", 1, "edit", "concept"), 2, "Edit 2 is of a concept"),
            (("edits", 0, "after"), None, "Edit 1's field 'after'"),
            (("comment",), "x" * 20_001, "comment"),
            (("own_call",), "no class", "own_call"),
            (("blind",), 1, "blind"),
            (("tally", "fixed"), -1, "fixed"),
        ],
    )
    def test_the_refusal_names_the_field(self, path, value, word):
        record = json.loads(to_json(example()))
        put(record, path, value)
        with pytest.raises(SessionError, match=word):
            from_json(json.dumps(record))

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "null", '{"version": NaN}', "[" * 100_000, b"\xff\xfe\xfa", "9" * 5000],
    )
    def test_what_is_no_session_is_refused(self, text):
        with pytest.raises(SessionError):
            from_json(text)

    def test_too_many_edits_are_refused(self):
        record = json.loads(to_json(example()))
        record["edits"] = record["edits"] * 2000
        with pytest.raises(SessionError, match="at most"):
            from_json(json.dumps(record))

    def test_other_pictures_are_not_written(self):
        with pytest.raises(SessionError):
            to_json(replace(example(), picture=b"<svg>"))
        assert picture_type(JPEG) == "image/jpeg"


class TestReplay:
    def differences(self, **changes):
        reasoner, case = random_situation(1)
        return replay(reasoner, case, replace(example(), **changes))

    @pytest.mark.parametrize(
        ("changes", "what", "words"),
        [
            ({"software": "csr-studio 9"}, "software", "csr-studio 9"),
            ({"checkpoint_hash": "0123456789abcdef"}, "checkpoint", "0123456789ab…"),
            ({"image_hash": "fedcba98"}, "image", "fedcba98…"),
            ({"image_size": (7, 9)}, "image", "9 × 7"),
            ({"concepts": ("streaks", "blue veil")}, "names", "blue veil"),
        ],
    )
    def test_what_differs_is_named(self, changes, what, words):
        (difference,) = self.differences(**changes)
        assert difference.what == what and words in difference.sentence

    def test_a_number_that_differs_is_named_with_its_place(self):
        step = example().steps[1]
        similarities = (step.after.similarities[0], step.after.similarities[1] + 2e-6)
        changed = Step(step.edit, step.time, Numbers(step.after.probabilities, similarities))
        steps = (example().steps[0], changed, example().steps[2])
        (difference,) = self.differences(steps=steps)
        assert difference.what == "numbers"
        assert f"The similarity of {CONCEPTS[1]} after edit 2" in difference.sentence

    def test_a_number_within_rounding_does_not_differ(self):
        before = example().before
        moved = Numbers(tuple(p + 5e-7 for p in before.probabilities), before.similarities)
        assert self.differences(before=moved) == ()

    def test_another_image_gives_other_numbers(self):
        reasoner, case = random_situation(1)
        other = replace(case, similarity_maps=-case.similarity_maps, image_hash="other")
        other = replace(other, similarity_scores=other.similarity_maps.max(axis=(2, 3)))
        kinds = {difference.what for difference in replay(reasoner, other, example())}
        assert kinds == {"image", "numbers"}

    def test_edits_that_do_not_fit_are_told(self):
        step = Step(Suppress("streaks", [(9, 9)]), NOON, example().before)
        difference = self.differences(steps=(example().steps[0], step))[-1]
        assert difference.what == "edits" and "Patch (9, 9)" in difference.sentence

    def test_another_semantics_gives_other_numbers(self):
        assert {d.what for d in self.differences(semantics="paper")} == {"numbers"}

    def test_a_very_long_session_is_compared_to_its_end(self):
        reasoner, case = random_situation(1)
        edit = Suppress("streaks", [(0, 0)])
        after = numbers_of(reasoner.reason(case, [edit]))
        steps = (Step(edit, NOON, after),) * 999
        wrong = Step(edit, NOON, Numbers((1.0, 0.0, 0.0), after.similarities))
        session = review(reasoner, case, [])
        assert replay(reasoner, case, replace(session, steps=steps)) == ()
        differences = replay(reasoner, case, replace(session, steps=(*steps, wrong)))
        assert [difference.what for difference in differences] == ["numbers"]


class TestSession:
    def test_the_numbers_after_are_those_of_the_last_edit(self):
        reasoner, case = random_situation(1)
        assert example().after == numbers_of(reasoner.reason(case, EDITS))
        assert replace(example(), steps=()).after == example().before
        assert example().edits == tuple(EDITS)

    def test_numbers_are_plain(self):
        found = numbers_of(random_situation(1)[0].reason(random_situation(1)[1]))
        assert all(type(value) is float for value in found.probabilities + found.similarities)
        assert np.isclose(sum(found.probabilities), 1)

    def test_every_edit_has_its_time(self):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            record_steps(*random_situation(1), EDITS, times(2), "calibrated")
