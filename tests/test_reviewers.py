"""Many reviewers at once: each gets exactly the numbers it would get alone."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csr_core.cases import CaseStore
from csr_core.models import Models
from csr_core.service import ReviewService

ROOT = Path(__file__).parents[1]
REVIEWERS, EDITS = 20, 6


@pytest.fixture(scope="module")
def service(tiny_checkpoints: Path) -> ReviewService:
    return ReviewService(Models(tiny_checkpoints), ROOT / "assets" / "cases", CaseStore())


def reviewing(service: ReviewService, number: int) -> Callable[[], list[Any]]:
    """One reviewer's work on a case of its own, and all that the server answers, keys aside."""
    rng = np.random.default_rng(number)
    cases = service.start()["cases"]
    name, model = cases[number % len(cases)]["name"], ("first", "second")[number % 2]
    strokes = [
        {
            "kind": str(rng.choice(["suppress", "force"])),
            "concept": int(rng.integers(3)),
            "cells": rng.integers(0, 14, (5, 2)).tolist(),
        }
        for _ in range(EDITS)
    ]

    def review() -> list[Any]:
        opened = service.open_bundled(model, name)
        key = opened.pop("key")
        answers: list[Any] = [opened]
        for count in range(1, EDITS + 1):
            answers.append(service.reason(key, strokes[:count], "calibrated"))
            if number % 2:
                answers.append(service.advise(key, strokes[:count], "calibrated"))
            if number % 5 == 0:
                answers.append(service.change_answer(key, strokes[:count], "calibrated"))
        return answers

    return review


def test_everyone_gets_the_numbers_they_would_get_alone(service: ReviewService):
    works = [reviewing(service, number) for number in range(REVIEWERS)]
    alone = [work() for work in works]
    gate = threading.Barrier(REVIEWERS)

    def start(work: Callable[[], list[Any]]) -> list[Any]:
        gate.wait()
        return work()

    with ThreadPoolExecutor(REVIEWERS) as pool:
        together = list(pool.map(start, works))
    assert together == alone
    finals = {str(answers[1]) for answers in alone}
    assert len(finals) == REVIEWERS, "equal answers could be mixed up unseen"
