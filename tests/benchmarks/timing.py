"""Timing, for all benchmarks."""

import time
from collections.abc import Callable


def milliseconds(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
