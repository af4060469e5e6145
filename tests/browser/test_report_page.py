"""The report as a page: what is printed of a review with the largest bundled checkpoint."""

import base64
import re
from pathlib import Path

from playwright.sync_api import Browser
from visit import ROOT

from csr_core.cases import CaseStore
from csr_core.models import Models
from csr_core.service import ReviewService

EDITS = 10


def report(kind: str) -> bytes:
    service = ReviewService(Models(ROOT / "checkpoints"), ROOT / "assets" / "cases", CaseStore())
    opened = service.open_bundled("dermoscopy-phantom", "phantom-1")
    edits = [
        {"kind": "suppress", "concept": "streaks", "cells": [[row, 9], [row, 10]]}
        for row in range(EDITS)
    ]
    asked = {
        **{"key": opened["key"], "kind": kind, "concept": 3, "semantics": "calibrated"},
        **{"edits": edits, "times": ["2026-01-31T12:00:00+00:00"] * EDITS},
        **{"comment": "The veil decides.\nSecond opinion asked for.", "with_image": True},
        **{"own_call": opened["classes"][0], "blind": True, "verdict": opened["classes"][1]},
    }
    return base64.b64decode(service.keep(asked)["data"])


def test_the_report_of_a_long_review_prints_on_one_page(browser: Browser, tmp_path: Path):
    page = browser.new_page()
    path = tmp_path / "report.html"
    path.write_bytes(report("html"))
    page.goto(path.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
