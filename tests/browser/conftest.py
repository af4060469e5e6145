"""The studio served on a free port, and Chromium to visit it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from visit import FLAGS, Server, Studio


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed, and CI must run the browser tests.")
        pytest.skip("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tiny_checkpoints, tmp_path_factory.mktemp("gradio"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    yield context
    context.close()


@pytest.fixture
def studio(context: BrowserContext, server: Server) -> Iterator[Studio]:
    """A visit during which nothing may be asked of another host and nothing may go wrong."""
    studio = Studio(context.new_page(), server.url)
    yield studio
    own = (server.url, "data:", "blob:")
    assert [url for url in studio.requests if not url.startswith(own)] == []
    assert studio.complaints == []
