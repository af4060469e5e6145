"""How readers agree; textbook examples and values by hand."""

import json
import warnings
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest

from csr_core.annotation.agreement import agreement, agreement_lines, agreement_to_json
from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, ConceptMark, Vocabulary
from csr_core.annotation.store import CONSENSUS, Case, Read
from csr_core.datasets.regions import Box

WORDS = Vocabulary(("streaks",), ("a", "b", "c", "d", "e"))
AT = datetime(2026, 1, 2, tzinfo=UTC)

FLEISS = [  # Fleiss 1971 in the form of many textbooks: 10 cases, 14 readers, 5 categories
    *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
    *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
]


def read(case, reader, diagnosis=None, streaks=None, status="done"):
    marks = {} if streaks is None else {"streaks": streaks}
    annotation = Annotation(MappingProxyType(marks), diagnosis, status=status)
    place = Case(case, "P", f"image_{case}", "x.png", "train", 4, 4, case)
    return Read(place, reader, annotation, AT)


def by_two(*pairs):
    """Anna's and Ben's diagnoses, case by case."""
    return [
        read(case, reader, said)
        for case, pair in enumerate(pairs)
        for reader, said in zip(("Anna", "Ben"), pair, strict=True)
        if said
    ]


def test_fleiss_textbook_example():
    reads = [
        read(case, f"reader {number}", diagnosis)
        for case, votes in enumerate(FLEISS)
        for number, diagnosis in enumerate(
            letter for letter, votes in zip("abcde", votes, strict=True) for _ in range(votes)
        )
    ]
    found = agreement(reads, WORDS)
    assert len(found.readers) == 14
    assert len(found.pairs) == 91
    assert found.diagnosis.value == pytest.approx(0.210, abs=0.0005)
    assert found.diagnosis.cases == found.cases == 10
    low, high = found.diagnosis.interval
    assert 0 < low < 0.21 < high < 0.5


def test_cohen_textbook_example():
    # 50 proposals: 20 both yes, 5 and 10 differ, 15 both no: p_o 0.7, p_e 0.5.
    said = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    [pair] = agreement(by_two(*said), WORDS).pairs
    assert pair.readers == ("Anna", "Ben")
    assert pair.diagnosis.value == pytest.approx(0.4)
    assert pair.diagnosis.cases == 50
    low, high = pair.diagnosis.interval
    assert low == pytest.approx(0.4 - 1.96 * 0.1275, abs=0.04)  # large-sample error by hand
    assert high == pytest.approx(0.4 + 1.96 * 0.1275, abs=0.04)


def test_kappa_of_readers_who_agree_or_oppose():
    same = agreement(by_two(("a", "a"), ("b", "b")), WORDS).pairs[0].diagnosis
    assert same.value == 1
    opposed = agreement(by_two(("a", "b"), ("b", "a")), WORDS).pairs[0].diagnosis
    assert opposed.value == -1


def test_unsure_is_a_category_and_silence_is_none():
    said = [("yes", "yes"), ("yes", "unsure"), ("no", "no"), ("unsure", "unsure"), ("yes", None)]
    reads = [
        read(case, reader, None, ConceptMark(presence) if presence else None)
        for case, pair in enumerate(said)
        for reader, presence in zip(("Anna", "Ben"), pair, strict=True)
    ]
    found = agreement(reads, WORDS)
    cohen = found.pairs[0].presence["streaks"]
    # p_o 3/4; p_e = (2*1 + 1*1 + 1*2)/16 = 5/16; kappa = (12/16 - 5/16)/(11/16)
    assert cohen.value == pytest.approx(7 / 11)
    assert cohen.cases == 4
    fleiss = found.presence["streaks"]
    # P 3/4; shares 3/8, 2/8, 3/8: P_e 22/64; kappa = (48/64 - 22/64)/(42/64)
    assert fleiss.value == pytest.approx(26 / 42)
    assert fleiss.cases == 4
    assert found.cases == 5


def test_showing_a_place_says_yes():
    mask = Mask.of(np.eye(4, dtype=bool))
    marks = [(ConceptMark(None, mask), ConceptMark("yes")), (ConceptMark("no"), ConceptMark("no"))]
    reads = [
        read(case, reader, None, mark)
        for case, pair in enumerate(marks)
        for reader, mark in zip(("Anna", "Ben"), pair, strict=True)
    ]
    assert agreement(reads, WORDS).pairs[0].presence["streaks"].value == 1


def test_fleiss_where_not_everybody_read_everything():
    reads = [
        *[read(0, reader, said) for reader, said in zip("XYZ", "aab", strict=True)],
        *[read(1, reader, "b") for reader in "XY"],
        read(2, "Z", "a"),
    ]
    found = agreement(reads, WORDS)
    # Shares of agreeing pairs 1/3 and 1, mean 2/3; votes a 2, b 3 of 5: P_e 13/25.
    assert found.diagnosis.value == pytest.approx((2 / 3 - 13 / 25) / (1 - 13 / 25))
    assert found.diagnosis.cases == found.cases == 2
    assert {pair.readers: pair.diagnosis.cases for pair in found.pairs} == {
        ("X", "Y"): 2,
        ("X", "Z"): 1,
        ("Y", "Z"): 1,
    }


def test_one_category_only_is_not_defined_and_said_so():
    found = agreement(by_two(("a", "a"), ("a", "a")), WORDS)
    for figure in (found.diagnosis, found.pairs[0].diagnosis):
        assert (figure.value, figure.interval, figure.cases) == (None, None, 2)
        assert "not defined" in figure.note
    assert found.presence["streaks"].note == "no case to compare"
    assert "not defined" in "\n".join(agreement_lines(found))


def test_dice_of_mask_and_box():
    left = Mask.of(np.arange(4) < np.full((4, 1), 2))  # 8 pixels
    half = Box("streaks", 0, 0, 1, 0.5)  # the upper 8 pixels, 4 of them in common
    reads = [
        read(0, "Anna", None, ConceptMark("yes", left)),
        read(0, "Ben", None, ConceptMark("yes", None, (half,))),
        read(1, "Anna", None, ConceptMark("yes", left)),
        read(1, "Ben", None, ConceptMark("yes", left)),
        read(2, "Anna", None, ConceptMark("yes", left)),
        read(2, "Ben", None, ConceptMark("no")),
    ]
    dice = agreement(reads, WORDS).pairs[0].regions["streaks"]
    assert dice.value == pytest.approx((0.5 + 1) / 2)
    assert dice.cases == 2
    assert dice.interval == pytest.approx((0.5, 1))


def test_only_what_readers_have_done_is_compared():
    reads = [
        *by_two(("a", "b"), ("b", "b"), ("a", "a")),
        read(3, "Anna", "a"),
        read(3, "Ben", "a", status="open"),
        read(4, "Anna", "a"),
        read(4, CONSENSUS, "b"),
        read(5, "Carl", "a", status="skipped"),
    ]
    found = agreement(reads, WORDS)
    assert found.readers == ("Anna", "Ben")
    assert found.cases == 3
    assert found.pairs[0].diagnosis.value == pytest.approx(0.4)  # p_o 2/3, p_e 4/9


def test_readers_with_nothing_in_common():
    found = agreement([read(0, "Anna", "a"), read(1, "Ben", "b")], WORDS)
    [pair] = found.pairs
    assert (pair.diagnosis.cases, pair.diagnosis.note) == (0, "no case to compare")
    assert pair.regions["streaks"].value is None
    for reads in ([], [read(0, "Anna", "a")], [read(0, "Anna", "a"), read(1, "Ben", "b")]):
        [line] = agreement_lines(agreement(reads, WORDS))
        assert "nothing to compare" in line


def test_json_and_lines():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = agreement(by_two(("a", "b"), ("b", "b"), ("a", "a"), ("a", None)), WORDS)
    told = json.loads(json.dumps(agreement_to_json(found), allow_nan=False))
    assert told["pairs"][0]["diagnosis"]["value"] == pytest.approx(0.4)
    assert "bootstrap" in told["intervals"]
    text = "\n".join(agreement_lines(found))
    assert "3 cases done by two readers or more, of Anna, Ben." in text
    assert "Anna and Ben, Cohen's kappa; Dice of regions\n  diagnosis: 0.400 (" in text
    assert "streaks: no case to compare; no case to compare" in text
