"""The one-page report: what it says, that nothing from outside acts on it, and that it fits."""

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import random_situation
from test_session import EDITS, review

from csr_core import Force, Suppress
from csr_core.evidence import FORCED, RESTORED, SUPPRESSED, UNMARKED
from csr_core.report import make_report, report_html
from csr_core.report_pdf import report_pdf
from csr_core.report_pictures import LEGEND, SIDE, paint_evidence
from csr_core.safety import Notice
from csr_core.session import Step, Tally

HOSTILE = "<script>alert(1)</script> \" onload='x' &amp; $\\frac{1$ {0} %s \u202e\x07 漢"
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


class Reader(HTMLParser):
    """Collects tags, attributes and text as a browser reads them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def situation(**names):
    reasoner, case = random_situation(1)
    for field, value in names.items():
        setattr(reasoner, field, value)
    return reasoner, case


def a_report(pixels=PIXELS, comment="Seen twice.", edits=EDITS, **names):
    reasoner, case = situation(**names)
    session = review(reasoner, case, edits, comment=comment, own_call=reasoner.classes[0])
    notice = Notice("note", "model", f"Means {comment}.", "Do this.")
    return make_report(reasoner, case, session, pixels, 0, 0.6, [notice])


def pages_of(pdf):
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


class TestContent:
    def test_the_ledger_adds_up_to_what_is_shown(self):
        table = a_report().tables[1]
        assert [row[0] for row in table.rows] == [
            "streaks",
            "globules",
            "base: no concept",
            "sum",
        ]
        for column in range(2, len(table.head)):
            *parts, total = (row[column].split(" → ")[-1] for row in table.rows)
            assert sum(map(float, parts)) == pytest.approx(float(total), abs=0.02)

    def test_of_many_concepts_the_strongest_are_listed_and_the_rest_summed(self):
        reasoner, case = random_situation(2, k=30, m=2, side=2)
        session = review(reasoner, case, [])
        table = make_report(reasoner, case, session, None, 0, 0.6).tables[1]
        assert len(table.rows) == 23 and table.rows[20][0] == "10 weaker concepts"
        *parts, total = (row[2].split(" → ")[-1] for row in table.rows)
        assert sum(map(float, parts)) == pytest.approx(float(total), abs=0.15)

    def test_numbers_are_those_of_the_model(self):
        reasoner, case = situation()
        after = reasoner.reason(case, EDITS).probabilities
        rows = a_report().tables[0].rows
        assert [float(row[2]) for row in rows] == sorted(after.round(3), reverse=True)

    def test_edits_are_told_in_words(self):
        rows = a_report().tables[2].rows
        assert rows[0][:2] == ("1. Suppress streaks, 1 patch", "2026-01-31 12:00:00")
        assert rows[2][0] == "3. Reject streaks"

    def test_only_the_last_of_many_edits_are_listed(self):
        table = a_report(edits=[Force(1, [(0, 0), (0, 1)])] * 20).tables[2]
        assert len(table.rows) == 12 and table.rows[0][0] == "9. Force globules, 2 patches"
        assert table.note == "The 8 edits before these are in the session file."

    def test_decisions_and_tally_are_told(self):
        reasoner, case = situation()
        session = review(reasoner, case, [], own_call="nevus", blind=True, verdict="melanoma")
        session = replace(session, tally=Tally(3, 1, 2))
        facts = dict(make_report(reasoner, case, session, None, 0, 0.6).facts)
        assert facts["Reviewer's own call"] == "nevus, made before the model's answer was shown"
        assert facts["Agreed diagnosis"] == "melanoma"
        assert facts["Meeting so far"] == "3 fixed, 1 broken, 2 unchanged"

    def test_the_model_line_names_card_and_weights(self):
        card = {"title": "A title", "licence": "CC0-1.0", "synthetic": True, "intended_use": "Fun."}
        line = a_report(card=card).model
        assert line.startswith("Model: A title (isic2017, SHA-256 model…); licence: CC0-1.0;")
        assert "synthetic" in line and line.endswith("not a medical device.")


class TestHtml:
    def test_everything_is_on_the_page(self):
        page = Reader(report_html(a_report()))
        for words in ("streaks", "melanoma", "Seen twice.", "Ledger", "Research use only", "Do th"):
            assert words in page.text
        assert page.tags.count("img") == 2
        alternatives = [value for name, value in page.attributes if name == "alt"]
        assert alternatives[0] == "Before: similarity to streaks, dark blue 0 to yellow 0.60."

    def test_pictures_are_data_that_decodes(self):
        for url in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', report_html(a_report())):
            pixels = cv2.imdecode(np.frombuffer(base64.b64decode(url), np.uint8), cv2.IMREAD_COLOR)
            assert pixels.shape == (320 + LEGEND, SIDE, 3)

    def test_hostile_names_and_comments_stay_text(self):
        plain = Reader(report_html(a_report()))
        page = Reader(
            report_html(
                a_report(
                    comment=HOSTILE,
                    edits=[Suppress(0, [(0, 0)])],
                    concepts=(HOSTILE, "b"),
                    classes=(HOSTILE, "b", "c"),
                    card={"title": HOSTILE, "data": HOSTILE, "licence": [HOSTILE]},
                )
            )
        )
        assert set(page.tags) == set(plain.tags) and "script" not in page.tags
        assert {name for name, _ in page.attributes} == {name for name, _ in plain.attributes}
        assert "<script>alert(1)</script>" in page.text

    @settings(max_examples=30)
    @given(st.text(max_size=200))
    def test_any_comment_is_text(self, comment):
        plain = Reader(report_html(a_report(pixels=None, comment="x")))
        assert Reader(report_html(a_report(pixels=None, comment=comment or "x"))).tags == plain.tags

    def test_half_a_surrogate_pair_is_written_as_a_question_mark(self):
        assert "a?b" in report_html(a_report(pixels=None, comment="a\ud800b"))

    def test_the_page_asks_nobody_for_anything(self):
        page = report_html(a_report())
        assert "http:" not in page and "https:" not in page and "default-src 'none'" in page
        links = {name for name, _ in Reader(page).attributes} & {"href", "action", "srcset"}
        assert not links

    def test_an_image_left_out_leaves_no_image(self):
        page = report_html(a_report(pixels=None))
        assert "data:image" not in page and "img" not in Reader(page).tags
        assert "the image was left out" in Reader(page).text


class TestPdf:
    def test_it_is_one_page_with_both_pictures(self):
        pdf = report_pdf(a_report())
        assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
        assert pages_of(pdf) == 1 and pdf.count(b"/Subtype /Image") >= 2

    def test_an_image_left_out_leaves_no_image(self):
        pdf = report_pdf(a_report(pixels=None))
        assert pages_of(pdf) == 1 and b"/Subtype /Image" not in pdf

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize(
        "comment", [HOSTILE, "$x^{$", "line\n" * 500, "x" * 20_000, "漢字" * 99, "\ud800"]
    )
    def test_hostile_and_long_texts_fit(self, comment):
        names = {"concepts": (comment[:200], "b"), "classes": (comment[:200], "b", "c")}
        report = a_report(comment=comment, edits=[Suppress(0, [(0, 0)])], **names)
        assert pages_of(report_pdf(report)) == 1

    def test_the_same_review_gives_the_same_file(self):
        assert report_pdf(a_report()) == report_pdf(a_report())


class TestPainting:
    def paint(self, values, marks=None, top=0.5):
        grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
        marks = np.zeros((2, 2), np.int8) if marks is None else np.asarray(marks, np.int8)
        return paint_evidence(grey, np.asarray(values, np.float32), top, marks)

    def test_nothing_similar_leaves_the_image_as_it_is(self):
        assert (self.paint(np.full((2, 2), -0.3))[:SIDE] == 128).all()

    def test_the_scale_is_fixed_and_saturates(self):
        full, beyond = self.paint(np.full((2, 2), 0.5)), self.paint(np.full((2, 2), 0.9))
        assert np.array_equal(full[:SIDE], beyond[:SIDE])
        # 30 % of grey 128 and 70 % of the yellow at the end of cividis, (254, 232, 56).
        assert full[10, 10] == pytest.approx([216, 201, 78], abs=4)

    def test_the_legend_stands_below(self):
        painted = self.paint(np.zeros((2, 2)))
        assert painted.shape == (SIDE + LEGEND, SIDE, 3)
        ramp = painted[SIDE + 10].astype(int)
        assert ramp[0, 2] > ramp[0, 0] and ramp[-1, 0] > ramp[-1, 2]

    def test_each_mark_has_a_pattern_of_its_own_in_its_own_cells(self):
        marked = self.paint(np.zeros((2, 2)), [[SUPPRESSED, FORCED], [RESTORED, UNMARKED]])
        half = SIDE // 2
        changed = (marked[:SIDE] != 128).any(axis=2)
        parts = [changed[:half, :half], changed[:half, half:], changed[half:, :half]]
        assert not changed[half:, half:].any()
        inner = [part[8:-8, 8:-8] for part in parts]
        assert inner[0].any() and inner[1].any() and not inner[2].any()
        assert parts[2].any() and not np.array_equal(inner[0], inner[1])


def test_times_are_printed_in_utc():
    reasoner, case = situation()
    session = review(reasoner, case, EDITS[:1])
    later = datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(hours=1)
    session = replace(session, steps=(Step(EDITS[0], later, session.before),))
    row = make_report(reasoner, case, session, None, 0, 0.6).tables[2].rows[0]
    assert row[1] == "2026-01-31 13:00:00"
