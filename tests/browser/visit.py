"""A studio to visit, and its page as a person uses it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Server:
    """A running studio that can be taken down and brought back on the same port."""

    checkpoints: Path
    temporary: Path
    port: int = 0
    data: Path | None = None
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        command = [sys.executable, "app.py", "--port", str(self.port)]
        command += ["--checkpoints", str(self.checkpoints)]
        command += [] if self.data is None else ["--data", str(self.data)]
        self.process = subprocess.Popen(
            [*command, *self.options],
            cwd=ROOT,
            env={**os.environ, "GRADIO_TEMP_DIR": str(self.temporary)},
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.url).close()
                return
            except OSError:
                assert self.process.poll() is None, "app.py ended early"
                time.sleep(0.1)
        raise TimeoutError("app.py did not serve its page within two minutes")

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Studio:
    """The page as a person uses it: real clicks, drags and keys, and what can be read."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: message.type == "error" and self.complaints.append(message.text),
        )
        page.goto(url)
        page.wait_for_selector("[data-ref=studio][data-painted]", timeout=60_000)

    @property
    def painted(self) -> int:
        return int(self.page.locator("[data-ref=studio]").get_attribute("data-painted"))

    def after(self, act: Callable[[], object]) -> None:
        """Do something and wait until what follows from it is painted."""
        before = self.painted
        act()
        self.wait_for_paint_after(before)

    def wait_for_paint_after(self, painted: int) -> None:
        studio = "document.querySelector('[data-ref=studio]')"
        self.page.wait_for_function(
            f"painted => Number({studio}.dataset.painted) > painted", arg=painted, timeout=60_000
        )

    def centre(self, row: float, column: float) -> tuple[float, float]:
        box = self.page.locator("[data-ref=frame]").bounding_box()
        x = box["x"] + (column + 0.5) * box["width"] / 14
        return x, box["y"] + (row + 0.5) * box["height"] / 14

    def click(self, row: int, column: int) -> None:
        self.after(lambda: self.page.mouse.click(*self.centre(row, column)))

    def drag(self, *cells: tuple[int, int]) -> None:
        def stroke() -> None:
            self.page.mouse.move(*self.centre(*cells[0]))
            self.page.mouse.down()
            for cell in cells[1:]:
                self.page.mouse.move(*self.centre(*cell), steps=3)
            self.page.mouse.up()

        self.after(stroke)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def wait_for_layout(self) -> None:
        """Wait until what observes sizes has followed a change of them, which takes a frame."""
        frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.page.evaluate(frame)

    def numbers(self) -> list[str]:
        """Every figure of the evidence panel."""
        rows = ".diagnoses [aria-label], .concepts [aria-label]"
        labels = f"[...document.querySelectorAll('{rows}')].map(n => n.ariaLabel)"
        return self.page.evaluate(labels)

    def overlay(self) -> str:
        return self.page.evaluate("document.querySelector('[data-ref=heat]').toDataURL()")

    def chips(self) -> list[str]:
        return self.page.locator("[data-ref=chips] button").all_inner_texts()

    def toast(self) -> str:
        return self.page.locator("[data-ref=toasts] p").last.inner_text()
