"""Reviews of many edits: they cost no more to answer, and their length is bounded."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect
from visit import ROOT, Studio

from csr_core.cases import CaseStore
from csr_core.edits import MAX_EDITS
from csr_core.models import Models
from csr_core.service import ReviewService


def test_an_answer_costs_no_more_to_ask_for_after_many_strokes(studio: Studio):
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.post_data or ""))
    for _ in range(4):
        studio.press("f")
        studio.click(5, 5)
        studio.press("s")
        studio.click(5, 5)
    assert len(studio.chips()) == 8
    reasons = [text for text in asked if '"fn_name":"reason"' in text]
    assert len(reasons) == 8
    assert reasons[1::2] == [reasons[1]] * 4


def test_a_review_can_be_full(studio: Studio, tiny_checkpoints: Path):
    service = ReviewService(Models(tiny_checkpoints), ROOT / "assets" / "cases", CaseStore())
    opened = service.open_bundled("first", service.start()["cases"][0]["name"])
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    review = {
        "kind": "json",
        "key": opened["key"],
        "edits": [{"kind": "force", "concept": "streaks", "cells": [[5, 5]]}] * MAX_EDITS,
        "times": [(noon + timedelta(seconds=second)).isoformat() for second in range(MAX_EDITS)],
        "semantics": "calibrated",
        "with_image": True,
    }
    data = base64.b64decode(service.keep(review)["data"])
    file = {"name": "full.json", "mimeType": "application/json", "buffer": data}
    studio.after(lambda: studio.page.locator("[data-ref=file]").set_input_files(file))
    assert len(studio.chips()) == MAX_EDITS
    numbers = studio.numbers()
    studio.press("s")
    studio.page.mouse.click(*studio.centre(5, 5))
    expect(studio.page.locator("[data-ref=toasts] p").last).to_contain_text(
        f"A review holds {MAX_EDITS} edits"
    )
    assert len(studio.chips()) == MAX_EDITS
    assert studio.numbers() == numbers
    studio.after(lambda: studio.press("z"))
    studio.click(2, 2)
    assert len(studio.chips()) == MAX_EDITS
