"""Measure what many people at once feel, and the memory they cost, over HTTP as the page speaks it.

    python tests/benchmarks/bench_reviewers.py [--checkpoints DIR] [--reviewers N] [--seconds N]
                                               [--small N] [--large N]

Every reviewer has an own picture and makes one edit a second, more or less. Every second one asks
for advice after each edit, as the page does once its reader pauses, and every fifth one opens its
picture anew every ten edits. Then many small pictures are opened, and some of the largest that are
accepted, several at a time.
"""

import argparse
import http.client
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]
TARGET_P95, TARGET_BYTES = 250, 2e9  # milliseconds, resident bytes of the server
JITTER = 0.3  # seconds
PAUSE = 0.5  # seconds after which a page asks for advice
LARGE_SIDE = 7700  # 59 megapixels
AT_ONCE = 4

Times = dict[str, list[float]]


class Page:
    """One browser's way of calling what the page may call."""

    def __init__(self, url: str, times: Times) -> None:
        address = url.removeprefix("http://").rstrip("/")
        self.connection = http.client.HTTPConnection(address, timeout=120)
        with urllib.request.urlopen(url + "config") as answer:
            components = json.load(answer)["components"]
        (self.component,) = (
            part["id"] for part in components if "start" in part["props"].get("server_fns", ())
        )
        self.session = uuid.uuid4().hex
        self.times = times

    def call(self, name: str, data: dict[str, Any], picture: bytes | None = None) -> Any:
        """Call a function of the server, note the milliseconds, and return its answer."""
        fields = {"component_id": self.component, "session_hash": self.session, "fn_name": name}
        if picture is None:
            kind, body = "application/json", json.dumps({**fields, "data": data}).encode()
        else:
            kind, body = form({**data, **fields}, picture)
        started = time.perf_counter()
        self.connection.request(
            "POST", "/gradio_api/component_server", body, {"Content-Type": kind}
        )
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        self.times[name].append((time.perf_counter() - started) * 1000)
        if response.status != 200 or "error" in answer:
            raise RuntimeError(f"{name} was answered by {response.status}: {answer}")
        return answer


def form(fields: dict[str, Any], picture: bytes) -> tuple[str, bytes]:
    """The content type and body of a form with a file."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="picture"; filename="lesion.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = "".join(parts).encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body


def review(page: Page, number: int, model: str, picture: bytes, seconds: float) -> None:
    """Mark patches one after another, as one reviewer does."""
    chance = random.Random(number)
    opened = page.call("open_case", {"model": model}, picture)
    began = time.monotonic() + chance.random()
    edits: list[dict[str, Any]] = []
    marks: dict[tuple[str, tuple[int, int]], str] = {}
    for count in itertools.count(1):
        due = began + count + chance.uniform(-JITTER, JITTER)
        if due > began + seconds:
            return
        time.sleep(max(due - time.monotonic(), 0))
        if number % 5 == 0 and count % 10 == 0:
            opened = page.call("open_case", {"model": model}, picture)
            edits, marks = [], {}
        kind = chance.choice(["suppress", "force"])
        concept = chance.choice(opened["concepts"])
        cell = tuple(chance.randrange(side) for side in opened["grid"])
        edits.append({"kind": kind, "concept": concept, "cells": [cell]})
        marks[concept, cell] = kind
        asked = {"key": opened["key"], "semantics": "calibrated"}
        page.call("reason", {**asked, "edits": shortest(marks)})
        if number % 2:
            time.sleep(PAUSE)
            page.call("advise", {**asked, "edits": edits})


def shortest(marks: dict[tuple[str, tuple[int, int]], str]) -> list[dict[str, Any]]:
    """The shortest list of edits that leads to the same marks, as the page sends it."""
    together: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for (concept, cell), kind in marks.items():
        together[kind, concept].append(cell)
    return [
        {"kind": kind, "concept": concept, "cells": cells}
        for (kind, concept), cells in together.items()
    ]


def pictures(count: int) -> list[bytes]:
    """As many different synthetic photographs."""
    sys.path.insert(0, str(ROOT))
    from csr_core.datasets.phantom import write_phantom

    with tempfile.TemporaryDirectory() as temporary:
        write_phantom(Path(temporary) / "phantom", count, 1, workers=1)
        return [path.read_bytes() for path in sorted(Path(temporary).rglob("images/**/*.jpg"))]


def enlarged(picture: bytes) -> bytes:
    """A photograph of almost as many pixels as are accepted, grain included."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    pixels = cv2.resize(pixels, (LARGE_SIDE, LARGE_SIDE), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 4, pixels.shape).astype(np.float32)
    noisy = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def open_all(url: str, model: str, given: Sequence[bytes], times: Times) -> None:
    """Open pictures, several at a time."""
    pages = threading.local()

    def open_one(picture: bytes) -> None:
        if not hasattr(pages, "own"):
            pages.own = Page(url, times)
        pages.own.call("open_case", {"model": model}, picture)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(open_one, given))


def report(title: str, times: Times, pid: int) -> None:
    """Print the times of each call and the peak memory of the server up to now."""
    print(title)
    for name, values in times.items():
        median, p95 = statistics.median(values), np.percentile(values, 95)
        target = f"  (p95 at most {TARGET_P95})" if name == "reason" else ""
        print(
            f"  {name:10} {len(values):5} calls, milliseconds: median {median:7.1f}, "
            f"p95 {p95:7.1f}, max {max(values):7.1f}{target}"
        )
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)
    print(f"  server's peak memory {kilobytes / 1e6:.2f} GB  (below {TARGET_BYTES / 1e9:.0f})")


def main() -> None:
    """Serve the studio, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--small", type=int, default=600, help="small pictures to open")
    parser.add_argument("--large", type=int, default=64, help="large pictures to open")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from visit import Server

    own = pictures(arguments.reviewers)
    with tempfile.TemporaryDirectory() as temporary:
        server = Server(arguments.checkpoints, Path(temporary))
        server.start()
        try:
            measure(server.url, server.process.pid, own, arguments)
        finally:
            server.stop()


def measure(url: str, pid: int, own: Sequence[bytes], arguments: argparse.Namespace) -> None:
    """Let the reviewers work, then open pictures."""
    models = [model["name"] for model in Page(url, defaultdict(list)).call("start", {})["models"]]
    times: Times = defaultdict(list)
    for model in models:  # loaded, as they are after the first visitor
        open_all(url, model, own[:1], defaultdict(list))

    def reviewer(number: int) -> Callable[[], None]:
        model = models[number % len(models)]
        return lambda: review(Page(url, times), number, model, own[number], arguments.seconds)

    with ThreadPoolExecutor(len(own)) as pool:
        for work in [pool.submit(reviewer(number)) for number in range(len(own))]:
            work.result()
    report(f"{len(own)} reviewers for {arguments.seconds:.0f} s", times, pid)
    for title, picture, count in (
        ("small", own[0], arguments.small),
        ("large", enlarged(own[0]), arguments.large),
    ):
        opening: Times = defaultdict(list)
        open_all(url, models[0], [picture] * count, opening)
        megabytes = len(picture) / 1e6
        report(f"{title} pictures of {megabytes:.1f} MB, {AT_ONCE} at a time", opening, pid)


if __name__ == "__main__":
    main()
