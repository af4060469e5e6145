"""What outlives a reload, a closed tab and a killed server."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect
from visit import Server, Studio


def part(studio: Studio, name: str) -> Locator:
    return studio.page.locator(f"[data-ref={name}]")


def upload(studio: Studio, name: str = "lesion.png") -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    file = {"name": name, "mimeType": "image/png", "buffer": picture.getvalue()}
    studio.after(lambda: part(studio, "file").set_input_files(file))


def settled(studio: Studio) -> None:
    expect(part(studio, "chips").locator("small", has_text="…")).to_have_count(0)


def reload(studio: Studio) -> None:
    studio.page.reload()
    studio.page.wait_for_selector("[data-ref=studio][data-painted]", timeout=60_000)
    settled(studio)


def shown(studio: Studio) -> dict[str, object]:
    """All that a reviewer would miss."""
    return {
        "title": studio.page.locator("[data-ref=strip] [aria-current]").get_attribute("title"),
        "strip": [
            (button.get_attribute("title"), button.get_attribute("data-reviewed"))
            for button in part(studio, "strip").locator("button").all()
        ],
        "numbers": studio.numbers(),
        "chips": studio.chips(),
        "undone": studio.page.locator("[data-ref=chips] .undone").count(),
        "concept": studio.page.locator(".concept.chosen .name").inner_text(),
        "comment": part(studio, "comment").input_value(),
        "semantics": part(studio, "semantics").input_value(),
        "overlay": studio.overlay(),
    }


def test_a_reload_loses_nothing(studio: Studio):
    studio.press("s")
    studio.click(5, 5)
    upload(studio)
    part(studio, "semantics").select_option("paper")
    studio.press("2")
    studio.press("f")
    studio.click(2, 3)
    studio.drag((7, 7), (7, 9))
    studio.after(studio.page.locator(".concept .confirm").nth(2).click)
    studio.after(lambda: studio.press("z"))
    part(studio, "openKeeping").click()
    part(studio, "comment").fill("hairs at the border")
    part(studio, "closeKeeping").click()
    settled(studio)
    before = shown(studio)
    assert before["undone"] == 1
    reload(studio)
    assert shown(studio) == before
    studio.after(lambda: studio.press("Shift+Z"))
    assert studio.page.locator("[data-ref=chips] .undone").count() == 0
    studio.after(lambda: studio.press("z"))
    studio.after(lambda: studio.press("z"))
    studio.press("f")
    studio.click(9, 9)
    settled(studio)
    branched = shown(studio)
    assert len(branched["chips"]) == 2
    reload(studio)
    assert shown(studio) == branched
    studio.after(lambda: studio.press("ArrowRight"))
    settled(studio)
    assert len(studio.chips()) == 1


def test_calls_verdicts_and_the_tally_outlive_a_reload(studio: Studio):
    studio.press("b")
    studio.press("1")
    part(studio, "openKeeping").click()
    part(studio, "verdict").select_option(index=2)
    expect(part(studio, "agreed")).to_have_value(part(studio, "verdict").input_value())
    tally = part(studio, "tally").inner_text()
    assert "of 1" in tally
    reload(studio)
    expect(part(studio, "tally")).to_have_text(tally)
    expect(part(studio, "ownCall")).to_have_text("nevus")
    expect(part(studio, "agreed")).to_have_value("melanoma")
    studio.after(lambda: studio.press("ArrowRight"))
    expect(part(studio, "diagnoses")).to_be_hidden()


def test_a_verdict_needs_no_blind_call_and_can_be_withdrawn(studio: Studio):
    part(studio, "openKeeping").click()
    part(studio, "verdict").select_option("nevus")
    expect(part(studio, "tally")).to_have_text("fixed 0 · broken 0 of 1")
    expect(part(studio, "ownCall")).to_have_text("no call")
    part(studio, "verdict").select_option("–")
    expect(part(studio, "tally")).to_have_text("fixed 0 · broken 0 of 0")
    with studio.page.expect_download() as download:
        studio.page.locator("[data-keep=json]").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert (saved["own_call"], saved["blind"], saved["verdict"]) == (None, False, None)


@pytest.mark.parametrize("reloads", [False, True], ids=["the page stays", "the page is reloaded"])
def test_a_killed_server_loses_nothing(
    context: BrowserContext, tiny_checkpoints: Path, tmp_path: Path, reloads: bool
):
    server = Server(tiny_checkpoints, tmp_path)
    server.start()
    try:
        studio = Studio(context.new_page(), server.url)
        upload(studio)
        studio.press("s")
        studio.click(5, 5)
        studio.click(6, 6)
        settled(studio)
        before = shown(studio)
        server.stop()
        server.start()
        if reloads:
            reload(studio)
        assert shown(studio) == before
        studio.press("s")
        studio.click(7, 7)
        studio.after(lambda: studio.press("z"))
        assert shown(studio)["numbers"] == before["numbers"]
    finally:
        server.stop()


def test_the_edits_of_each_model_are_kept(studio: Studio):
    studio.press("s")
    studio.click(5, 5)
    numbers, chips = studio.numbers(), studio.chips()
    studio.after(lambda: part(studio, "model").select_option("second"))
    assert studio.chips() == []
    studio.after(lambda: part(studio, "model").select_option("first"))
    settled(studio)
    assert (studio.numbers(), studio.chips()) == (numbers, chips)


def other_tab(page: Page, server: Server) -> Studio:
    return Studio(page.context.new_page(), server.url)


def test_a_closed_tab_is_offered_and_every_tab_has_its_own_review(studio: Studio, server: Server):
    studio.press("s")
    studio.click(5, 5)
    second = other_tab(studio.page, server)
    assert second.chips() == []
    second.press("f")
    second.click(1, 1)
    second.click(2, 2)
    chips = second.chips()
    expect(part(second, "left")).to_be_hidden()
    second.page.close()
    third = other_tab(studio.page, server)
    assert third.chips() == []
    expect(part(third, "left")).to_be_visible()
    expect(part(third, "leftText")).to_contain_text("A review of 1 case")
    part(third, "reopenLeft").click()
    expect(part(third, "chips").locator("button")).to_have_count(2)
    settled(third)
    assert third.chips() == chips
    assert len(studio.chips()) == 1


def test_what_was_left_can_be_forgotten(studio: Studio, server: Server):
    closed = other_tab(studio.page, server)
    closed.press("s")
    closed.click(5, 5)
    closed.page.close()
    other = other_tab(studio.page, server)
    part(other, "forgetLeft").click()
    expect(part(other, "left")).to_be_hidden()
    another = other_tab(studio.page, server)
    another.page.wait_for_timeout(300)
    expect(part(another, "left")).to_be_hidden()


def test_a_duplicated_tab_starts_a_review_of_its_own(studio: Studio, server: Server):
    studio.press("s")
    studio.click(5, 5)
    tab = studio.page.evaluate("sessionStorage.getItem('csr-tab')")
    page = studio.page.context.new_page()
    page.add_init_script(
        f"sessionStorage.getItem('csr-tab') ?? sessionStorage.setItem('csr-tab', '{tab}')"
    )
    copy = Studio(page, server.url)
    assert copy.chips() == []
    assert copy.page.evaluate("sessionStorage.getItem('csr-tab')") != tab


def test_forgetting_removes_everything_from_the_browser(studio: Studio):
    upload(studio)
    studio.press("s")
    studio.click(5, 5)
    part(studio, "openKeeping").click()
    studio.page.once("dialog", lambda dialog: dialog.accept())
    with studio.page.expect_navigation():
        part(studio, "forget").click()
    studio.page.wait_for_selector("[data-ref=studio][data-painted]", timeout=60_000)
    assert studio.chips() == []
    assert "lesion.png" not in str(shown(studio)["strip"])


def test_a_saved_session_brings_back_call_verdict_and_strokes(studio: Studio):
    studio.press("b")
    studio.press("2")
    part(studio, "agreed").select_option("nevus")
    studio.press("s")
    studio.click(5, 5)
    part(studio, "openKeeping").click()
    with studio.page.expect_download() as download:
        studio.page.locator("[data-keep=json]").click()
    saved = Path(download.value.path()).read_bytes()
    part(studio, "closeKeeping").click()
    studio.after(lambda: studio.press("ArrowRight"))
    file = {"name": "review.json", "mimeType": "application/json", "buffer": saved}
    studio.after(lambda: part(studio, "file").set_input_files(file))
    expect(part(studio, "diagnoses")).to_be_visible()
    expect(part(studio, "ownCall")).to_have_text("melanoma")
    expect(part(studio, "agreed")).to_have_value("nevus")
