"""Where people have to sign in, everybody reads under the name they signed in by."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, annotation
from playwright.sync_api import BrowserContext, expect
from visit import Server


@pytest.fixture
def accounts(tiny_checkpoints: Path, tmp_path: Path) -> Iterator[tuple[Server, str]]:
    file, store = tmp_path / "accounts", str(tmp_path / "annotations.db")
    file.write_text("Ann:correct horse\nBen:battery staple\n")
    options = ("--store", store, "--accounts", str(file))
    server = Server(tiny_checkpoints, tmp_path / "gradio", options=options)
    server.start()
    yield server, store
    server.stop()


def test_an_account_is_a_reader(context: BrowserContext, accounts: tuple[Server, str]):
    server, store = accounts
    refused = context.request.post(
        server.url + "gradio_api/component_server",
        data={"fn_name": "annotate_start", "component_id": 1, "session_hash": "x", "data": {}},
    )
    assert refused.status == 401
    form = {"username": "Ann", "password": "wrong"}
    assert context.request.post(server.url + "login", form=form).status == 400
    form["password"] = "correct horse"
    assert context.request.post(server.url + "login", form=form).ok
    desk = Desk(context, server)
    expect(desk.part("accountNote")).to_have_text("You are signed in as Ann.", timeout=60_000)
    expect(desk.part("name")).to_be_hidden()
    desk.press("Enter")
    desk.wait_for_case("phantom-1")
    expect(desk.part("who")).to_have_text("Ann · Demo")
    desk.press("y")
    desk.saved()
    assert annotation(store, "Ann", "phantom-1").concepts["pigment_network"].presence == "yes"
    assert desk.complaints == []
