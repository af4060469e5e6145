"""Nothing a reader does is lost: not by a closed tab, not by a server that is killed."""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from desk import CONCEPTS, Desk, annotation
from playwright.sync_api import Browser, BrowserContext, expect
from visit import Server

from csr_core.annotation.records import ConceptMark
from csr_core.annotation.store import Store


@dataclass
class Studio:
    server: Server
    store: str

    def kill(self) -> None:
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait()


@pytest.fixture(scope="module")
def studio(tiny_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One for all tests: each has readers of its own."""
    folder = tmp_path_factory.mktemp("annotate")
    store = str(folder / "annotations.db")
    server = Server(tiny_checkpoints, folder / "gradio", options=("--store", store))
    server.start()
    yield Studio(server, store)
    server.stop()


def test_what_was_marked_is_what_the_store_has(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server).sign_in("Ann")
    desk.press("2", "y", "3", "n", "1", "p")
    desk.page.mouse.click(*desk.at(0.25, 0.75))
    desk.press("Shift+Digit2", "+", "+", "f", "c")
    desk.page.keyboard.type("hairs")
    desk.press("Escape")
    desk.saved()
    said = annotation(studio.store, "Ann", "phantom-1")
    mark = said.concepts["pigment_network"]
    assert mark.presence == "yes" and mark.mask is not None
    rows, columns = np.nonzero(mark.mask.pixels())
    height, width = mark.mask.height, mark.mask.width
    # One patch of fourteen by fourteen: the one with the point that was clicked.
    assert rows.min() == pytest.approx(10 / 14 * height, abs=1)
    assert rows.max() + 1 == pytest.approx(11 / 14 * height, abs=1)
    assert columns.min() == pytest.approx(3 / 14 * width, abs=1)
    assert columns.max() + 1 == pytest.approx(4 / 14 * width, abs=1)
    assert said.concepts["streaks"] == ConceptMark("yes")
    assert said.concepts[CONCEPTS[2]] == ConceptMark("no")
    assert (said.diagnosis, said.confidence, said.comment) == ("melanoma", 2, "hairs")
    assert said.flagged and said.status == "open"
    desk.press("z")
    desk.saved()
    undone = annotation(studio.store, "Ann", "phantom-1")
    assert "pigment_network" not in undone.concepts
    assert desk.complaints == []


def test_an_absent_concept_keeps_its_region_until_that_is_erased(
    context: BrowserContext, studio: Studio
):
    desk = Desk(context, studio.server).sign_in("Bea")
    desk.page.mouse.click(*desk.at(0.25, 0.75))
    desk.press("n")
    expect(desk.part("toasts")).to_contain_text("erase")
    desk.saved()
    assert annotation(studio.store, "Bea", "phantom-1").concepts[CONCEPTS[0]].presence == "yes"


def test_keys_pressed_while_a_case_opens_are_meant_for_it(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server)
    desk.page.route(
        "**/component_server/**",
        lambda route: (desk.page.wait_for_timeout(50), route.continue_()),
    )
    desk.sign_in("Hal")
    desk.press("1", "y", "d", "2", "n", "Shift+Digit1", "d", "1", "u")
    desk.wait_for_case("phantom-3")
    expect(desk.page.locator(".mark-row [aria-pressed=true]")).to_have_text("?")
    desk.saved()
    first, second, third = (
        annotation(studio.store, "Hal", f"phantom-{number}") for number in (1, 2, 3)
    )
    assert first.concepts == {CONCEPTS[0]: ConceptMark("yes")} and first.diagnosis is None
    assert second.concepts == {CONCEPTS[1]: ConceptMark("no")} and second.diagnosis == "nevus"
    assert third.concepts == {CONCEPTS[0]: ConceptMark("unsure")}
    assert [said.status for said in (first, second, third)] == ["done", "done", "open"]


def test_a_closed_tab_loses_nothing(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server).sign_in("Cid")
    desk.press("2", "y")
    desk.done("phantom-2")
    desk.press("1", "u", "b")
    desk.drag((0.2, 0.2), (0.4, 0.3), (0.4, 0.5))
    desk.press("Shift+Digit1", "+")
    before = desk.shown()
    desk.page.close()
    again = Desk(context, studio.server).wait_for_case("phantom-2")
    assert again.shown() == before
    again.saved()
    expect(again.row("phantom-1")).to_contain_text(re.compile("^done"))
    expect(again.row("phantom-2")).to_contain_text(re.compile("^open"))
    assert annotation(studio.store, "Cid", "phantom-1").status == "done"


def test_a_killed_server_loses_nothing(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server).sign_in("Dan")
    desk.press("y")
    desk.saved()
    studio.kill()
    desk.press("2", "y", "1")
    desk.drag((0.2, 0.2), (0.5, 0.5))
    desk.press("Shift+Digit2")
    expect(desk.part("saved")).to_contain_text("kept here")
    before = desk.shown()
    desk.page.close()
    studio.server.start()
    again = Desk(context, studio.server).wait_for_case("phantom-1")
    again.saved()
    assert again.shown() == before
    said = annotation(studio.store, "Dan", "phantom-1")
    assert said.concepts["streaks"].presence == "yes"
    assert said.concepts["pigment_network"].mask is not None
    assert said.diagnosis == "melanoma"


def test_a_killed_server_is_caught_up_with_by_an_open_page(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server).sign_in("Eva")
    desk.saved()
    studio.kill()
    for key in ("1", "y", "2", "n", "3", "u"):
        desk.press(key)
    desk.press("d")
    expect(desk.part("saved")).to_contain_text("4 changes kept here")
    studio.server.start()
    desk.wait_for_case("phantom-2")
    desk.saved()
    said = annotation(studio.store, "Eva", "phantom-1")
    assert [said.concepts[name].presence for name in CONCEPTS] == ["yes", "no", "unsure"]
    assert said.status == "done"


def test_each_change_is_kept_once_however_often_it_is_sent(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server)
    lost = {"answers": 3}

    def lose_answer(route: object) -> None:
        request = route.request
        if "annotate_save" in (request.post_data or "") and lost["answers"]:
            lost["answers"] -= 1
            route.fetch()
            route.abort()
        else:
            route.continue_()

    desk.page.route("**/component_server/**", lose_answer)
    desk.sign_in("Fay")
    desk.press("1", "y", "2", "y", "3", "n")
    desk.saved()
    assert lost["answers"] == 0
    store = Store(studio.store)
    history = store.history(store.case_of("Demo", "phantom-1").id, "Fay")
    store.close()
    assert [(event.change.concept, event.change.value.presence) for event in history] == [
        (CONCEPTS[0], "yes"),
        (CONCEPTS[1], "yes"),
        (CONCEPTS[2], "no"),
    ]


def test_what_is_refused_is_kept_and_holds_up_nothing(context: BrowserContext, studio: Studio):
    desk = Desk(context, studio.server).sign_in("Gil")
    studio.kill()
    desk.press("y")
    expect(desk.part("saved")).to_contain_text("kept here")
    store = Store(studio.store)
    third = store.case_of("Demo", "phantom-3").id
    store.close()
    desk.page.evaluate(
        """async (id) => {
          const open = indexedDB.open("csr-annotate");
          await new Promise((done) => (open.onsuccess = done));
          const store = open.result.transaction("waiting", "readwrite").objectStore("waiting");
          const all = store.getAll();
          await new Promise((done) => (all.onsuccess = done));
          store.put({ ...all.result[0], case: id });
        }""",
        third,
    )
    desk.press("2", "n")
    studio.server.start()
    expect(desk.part("saved")).to_contain_text("1 change was refused", timeout=30_000)
    expect(desk.part("saved")).to_contain_text("All saved")
    assert annotation(studio.store, "Gil", "phantom-1").concepts == {"streaks": ConceptMark("no")}
    assert annotation(studio.store, "Gil", "phantom-3").concepts == {}
    desk.part("discardRefused").click()
    desk.saved()


def test_two_readers_see_each_others_status(browser: Browser, studio: Studio):
    desks = []
    for name in ("Ann Two", "Ben <b>"):
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        desks.append(Desk(context, studio.server).sign_in(name))
    ann, ben = desks
    for _ in range(4):
        ann.press("y", "Shift+Digit1", "d")
        ben.press("n", "Shift+Digit2", "s")
        ann.saved()
        ben.saved()
    expect(ann.row("phantom-1")).to_contain_text("» Ben <b>", timeout=15_000)
    expect(ben.row("phantom-1")).to_contain_text("✓ Ann Two", timeout=15_000)
    for name, diagnosis in (("Ann Two", "nevus"), ("Ben <b>", "melanoma")):
        for number in range(1, 5):
            said = annotation(studio.store, name, f"phantom-{number}")
            assert said.diagnosis == diagnosis
    for desk in desks:
        assert desk.complaints == []
        desk.page.context.close()
