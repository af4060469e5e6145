"""A reader's way from a folder of images to the next model, and what the screen shows on it."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from desk import Desk, annotation
from playwright.sync_api import Browser, BrowserContext, expect
from visit import ROOT, Server

import csr_core
from csr_core.annotation.store import QueueView, Store

CASES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of projects: `lesions` holds eight pictures, and a link leads out of it."""
    folder = tmp_path_factory.mktemp("roots")
    lesions = folder / "projects" / "lesions"
    lesions.mkdir(parents=True)
    for number in range(1, CASES + 1):
        shutil.copy(ROOT / "assets" / "cases" / f"phantom-{number}.jpg", lesions)
    (folder / "secret").mkdir()
    shutil.copy(ROOT / "assets" / "cases" / "phantom-4.jpg", folder / "secret")
    (folder / "projects" / "way_out").symlink_to(folder / "secret")
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> str:
    return str(folder / "annotations.db")


@pytest.fixture(scope="module")
def server(tiny_checkpoints: Path, folder: Path, store: str) -> Iterator[Server]:
    options = ("--store", store, "--project-root", str(folder / "projects"))
    server = Server(tiny_checkpoints, folder / "gradio", options=options)
    server.start()
    yield server
    server.stop()


def make_project(desk: Desk, name: str) -> None:
    expect(desk.part("signIn")).to_be_visible(timeout=60_000)
    desk.page.locator("summary").click()
    assert desk.part("folder").locator("option").all_inner_texts() == [
        "projects",
        "projects/lesions",
    ]
    desk.part("folder").select_option("projects/lesions")
    desk.part("projectName").fill(name)
    desk.part("projectConcepts").fill("streaks, regression")
    desk.part("projectClasses").fill("nevus, melanoma")
    desk.part("makeProject").click()
    expect(desk.part("project")).to_have_value(name)


def test_from_a_folder_to_a_model(
    context: BrowserContext, server: Server, store: str, tmp_path: Path
):
    desk = Desk(context, server)
    make_project(desk, "Lesions")
    desk.sign_in("Ann", "Lesions")

    desk.press("1", "b")
    desk.drag((0.3, 0.4), (0.5, 0.5), (0.6, 0.4))
    desk.press("2", "n", "Shift+Digit2", "+", "+", "+")
    desk.done("phantom-2")

    desk.press("2", "l")
    for corner in ((0.3, 0.3), (0.6, 0.3), (0.6, 0.6)):
        desk.page.mouse.click(*desk.at(*corner))
    desk.press("Enter", "1", "n")
    before = desk.shown()
    desk.page.close()
    desk = Desk(context, server).wait_for_case("phantom-2")
    assert desk.shown() == before
    desk.press("Shift+Digit1")
    desk.done("phantom-3")

    desk.press("1", "x")
    desk.drag((0.25, 0.25), (0.75, 0.5))
    desk.press("2", "y", "Shift+Digit1")
    for number in range(4, CASES + 1):  # a model takes more than three
        desk.done(f"phantom-{number}")
        odd = number % 2
        desk.press("1", "yn"[odd], "2", "ny"[odd], f"Shift+Digit{1 + odd}")
    desk.press("d")
    desk.saved()
    expect(desk.part("progress")).to_have_text(f"{CASES} of {CASES} done")
    polygon = annotation(store, "Ann", "phantom-2", "Lesions").concepts["regression"].mask
    assert polygon is not None
    half = 0.3 * 0.3 / 2 * polygon.height * polygon.width  # of the square that the corners span
    assert polygon.area == pytest.approx(half, rel=0.03)
    box = annotation(store, "Ann", "phantom-3", "Lesions").concepts["streaks"].boxes[0]
    corners = (box.x_min, box.y_min, box.x_max, box.y_max)
    assert corners == pytest.approx((0.25, 0.25, 0.75, 0.5), abs=0.01)

    desk.page.get_by_role("tab", name="Export").click()
    with desk.page.expect_download(timeout=60_000) as download:
        desk.page.locator("[data-kind=folder]").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path)
    data = tmp_path / "lesions-folder"
    labels = (data / "labels.csv").read_text().splitlines()
    assert labels[0].split(",")[:3] == ["image_id", "split", "diagnosis"]
    diagnoses = ["melanoma", "nevus", "nevus"] + ["nevus", "melanoma"] * 2 + ["nevus"]
    assert [line.split(",")[:3] for line in labels[1:]] == [
        [f"phantom-{number}", "train", name] for number, name in enumerate(diagnoses, start=1)
    ]
    assert desk.complaints == []
    desk.page.close()

    out = tmp_path / "next"
    recipe = "--preset quick --backbone test_efficientnet --weights random --epochs 2 --holdout 0"
    command = [sys.executable, "-m", "csr_core", "train", "--data", str(data), "--out", str(out)]
    done = subprocess.run(
        [*command, *recipe.split()], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    reasoner = csr_core.load(out)
    assert reasoner.concepts == ("streaks", "regression")
    case = reasoner.encode(data / "images" / "train" / "phantom-1.jpg")
    assert reasoner.reason(case).probabilities.sum() == pytest.approx(1)


def test_a_stranger_opens_no_other_folder(context: BrowserContext, server: Server, folder: Path):
    desk = Desk(context, server).sign_in("Eve")
    calls: list[str] = []
    desk.page.on(
        "request", lambda request: "component_server" in request.url and calls.append(request)
    )
    with desk.page.expect_request(lambda request: "annotate_queue" in (request.post_data or "")):
        desk.part("status").select_option("new")
    known = next(call for call in calls if "annotate_queue" in (call.post_data or ""))
    template = json.loads(known.post_data)

    def ask(function: str, **fields: object) -> dict[str, object]:
        body = {**template, "fn_name": function, "data": {"reader": "Eve", **fields}}
        return desk.page.request.post(known.url, data=body).json()

    secret = str(folder / "secret")
    for wanted in (secret, "projects/../secret", "projects/way_out", "../secret", None, 7):
        made = ask(
            "annotate_make_project",
            folder=wanted,
            name="Stolen",
            concepts="a",
            classes="b, c",
            instructions="",
        )
        assert "no others" in str(made["error"])
    assert "Stolen" not in {project["name"] for project in ask("annotate_start")["projects"]}
    assert "1 to 60" in str(ask("annotate_queue", project="Demo", reader="\n")["error"])
    assert "stands for" in str(ask("annotate_queue", project="Demo", reader="Consensus")["error"])
    change = {"field": "concept", "concept": "nonsense", "value": {"presence": "yes"}}
    case = {"case": 1, "project": "Demo", "image_id": "phantom-1", "key": "k"}
    assert "concepts are" in str(ask("annotate_save", change=change, **case)["error"])
    assert "doesn't have" in str(
        ask("annotate_save", change=change, **{**case, "image_id": "phantom-2"})["error"]
    )
    for strange in ("x", -1, 2**40, None, [1]):
        assert "error" in ask("annotate_picture", case=strange)


def test_the_model_helps_when_asked_and_is_told_apart(
    context: BrowserContext, server: Server, store: str
):
    desk = Desk(context, server).sign_in("Ann")
    hints = desk.page.locator(".mark-row .suggested")
    assert hints.all_text_contents() == ["", "", ""]
    expect(desk.part("accept")).to_be_hidden()
    desk.press("m")
    expect(desk.part("help")).to_have_value("blind")
    expect(desk.part("helpText")).to_contain_text("hidden until you are done")
    assert hints.all_text_contents() == ["", "", ""]
    desk.press("m")
    expect(hints.first).to_contain_text("model:", timeout=60_000)
    said = [hint.split(",")[0].removeprefix("model: ") for hint in hints.all_text_contents()]
    desk.press("Shift+A")
    desk.saved()
    taken = annotation(store, "Ann", "phantom-1").concepts
    names = ("pigment_network", "streaks", "a_concept_with_quite_a_long_name")
    presences = {"yes": "yes", "no": "no"}
    assert {name: taken[name].presence for name in taken} == {
        name: presences[word] for name, word in zip(names, said, strict=True) if word in presences
    }
    assert desk.complaints == []


def test_readers_are_settled_on_a_consensus(browser: Browser, server: Server, store: str):
    def context() -> BrowserContext:
        return browser.new_context(viewport={"width": 1280, "height": 720})

    ann = Desk(context(), server).sign_in("Ann C")
    ann.press("1", "b")
    ann.drag((0.3, 0.4), (0.5, 0.5))
    ann.press("2", "y", "Shift+Digit2")
    ann.done("phantom-2")
    ann.saved()
    ben = Desk(context(), server).sign_in("Ben C")
    ben.press("1", "n", "2", "y", "Shift+Digit1")
    ben.done("phantom-2")
    ben.saved()

    ben.press("k")
    ben.wait_for_case("phantom-1")
    ben.press("v")
    compare = ben.part("compare")
    said = compare.locator("tr", has_text="Diagnosis")
    expect(said.get_by_role("button", name="Ann C")).to_contain_text("Melanoma")
    expect(said.get_by_role("button", name="Ben C")).to_contain_text("Nevus")
    expect(compare.locator("tr[data-differs]", has_text="Pigment network")).to_be_visible()
    expect(compare.locator("tr[data-differs]", has_text="Streaks")).to_have_count(0)
    expect(ben.part("caseStatus")).to_contain_text("consensus")
    compare.get_by_role("button", name="Take the reading of Ann C over").click()
    expect(ben.part("diagnosis").locator("[aria-pressed=true]")).to_contain_text("Melanoma")
    ben.press("Shift+Digit1", "d")
    ben.saved()
    agreed = annotation(store, "consensus", "phantom-1")
    own = annotation(store, "Ann C", "phantom-1")
    assert agreed.concepts == own.concepts
    assert (agreed.diagnosis, agreed.status) == ("nevus", "done")
    assert annotation(store, "Ben C", "phantom-1").concepts["pigment_network"].presence == "no"
    for desk in (ann, ben):
        assert desk.complaints == []
        desk.page.context.close()


SCROLLS = "(() => { const root = document.scrollingElement; const studio = " + (
    "document.querySelector('.studio'); return [root.scrollHeight > innerHeight, "
    "root.scrollWidth > innerWidth, studio.scrollHeight > studio.clientHeight, "
    "studio.scrollWidth > studio.clientWidth]; })()"
)
SMALL_TEXT = """
[...document.querySelectorAll(".studio *")]
  .filter((node) => node.getClientRects().length && [...node.childNodes].some(
    (child) => child.nodeType === 3 && child.textContent.trim()))
  .filter((node) => parseFloat(getComputedStyle(node).fontSize) < 14)
  .map((node) => node.outerHTML.slice(0, 80))
"""


def serious(desk: Desk) -> list[object]:
    found = Axe().run(desk.page).response
    assert found["passes"], "axe checked nothing"
    return [
        (violation["id"], node["target"], node["failureSummary"])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_state_fits_the_screen_and_can_be_used_by_all(
    context: BrowserContext, server: Server, theme: str
):
    desk = Desk(context, server)
    expect(desk.part("signIn")).to_be_visible(timeout=60_000)
    if theme == "light":
        desk.page.evaluate("localStorage.setItem('csr-theme', 'light')")
        desk.page.reload()
        expect(desk.part("signIn")).to_be_visible(timeout=60_000)
    expect(desk.part("studio")).to_have_attribute("data-theme", theme)
    assert serious(desk) == []
    desk.sign_in(f"Reader of the {theme}")

    def check() -> None:
        assert serious(desk) == []
        assert desk.page.evaluate(SCROLLS) == [False] * 4
        assert desk.page.evaluate(SMALL_TEXT) == []

    desk.press("1", "y", "2", "n", "f", "Shift+Digit1", "+")
    check()
    desk.part("help").select_option("on")
    expect(desk.page.locator(".mark-row .suggested").first).to_contain_text(
        "model:", timeout=60_000
    )
    check()
    desk.press("v")
    expect(desk.part("compare").locator("table")).to_be_visible()
    check()
    desk.press("v")
    desk.press("?")
    check()
    desk.press("Escape")
    desk.page.get_by_role("tab", name="Readers").click()
    expect(desk.part("progressTable")).to_contain_text(f"Reader of the {theme}")
    check()
    desk.page.get_by_role("tab", name="Export").click()
    expect(desk.part("training")).to_contain_text("annotations.db", timeout=60_000)
    check()


def test_the_two_pages_lead_to_each_other(context: BrowserContext, server: Server):
    desk = Desk(context, server).sign_in("Ann")
    desk.page.get_by_role("link", name="Review").click()
    desk.page.wait_for_selector("[data-ref=studio][data-painted]", timeout=60_000)
    assert desk.page.url == server.url
    desk.page.get_by_role("link", name="Annotate").click()
    desk.wait_for_case()
    assert desk.page.url == server.url + "annotate"
    own = (server.url, "data:", "blob:")
    assert [url for url in desk.requests if not url.startswith(own)] == []
    assert desk.complaints == []


def test_a_model_puts_the_cases_in_order(context: BrowserContext, server: Server, store: str):
    desk = Desk(context, server).sign_in("Orla")
    listed = [f"phantom-{number}" for number in range(1, 9)]
    assert [name for name, _ in desk.rows()] == listed
    desk.part("order").select_option("undecided")
    opened = Store(store)
    try:
        deadline = time.monotonic() + 120
        while opened.ranked_by("Demo") is None and time.monotonic() < deadline:
            time.sleep(0.2)
        page = opened.queue("Demo", "Orla", QueueView(order="undecided"))
        expected = [row.case.image_id for row in page.rows]
    finally:
        opened.close()
    assert sorted(expected) == listed and expected != listed
    names = desk.part("rows").locator("button .name")
    expect(names).to_have_text(expected, timeout=30_000)
    desk.part("rows").locator("button", has_text=expected[0]).click()
    desk.wait_for_case(expected[0])
    desk.press("j")
    desk.wait_for_case(expected[1])
