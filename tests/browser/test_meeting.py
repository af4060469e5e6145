"""Modes of a meeting: semantics side by side, blind first, presenter mode, other windows."""

import re

import pytest
from playwright.sync_api import Locator, expect
from visit import Studio

ANSWERS = ["diagnoses", "concepts", "exemplar", "heat", "marks"]


def part(studio: Studio, name: str) -> Locator:
    return studio.page.locator(f"[data-ref={name}]")


def test_side_by_side_shows_what_each_semantics_alone_would(studio: Studio):
    studio.press("o")
    studio.click(5, 5)
    chosen = part(studio, "semantics")
    figures = {}
    for semantics in ("paper", "calibrated"):
        studio.after(lambda semantics=semantics: chosen.select_option(semantics))
        figures[semantics] = studio.page.locator(".diagnoses .num:not(b) b").all_inner_texts()
    assert figures["paper"] != figures["calibrated"]
    chosen.select_option("both")
    expect(part(studio, "diagnosisTitle")).to_have_text("before → calibrated | paper")
    assert (
        studio.page.locator(".diagnoses .num:not(b) b").all_inner_texts() == (figures["calibrated"])
    )
    assert studio.page.locator(".diagnoses b.num").all_inner_texts() == figures["paper"]
    studio.after(lambda: chosen.select_option("calibrated"))
    expect(studio.page.locator(".diagnoses b.num").first).to_be_hidden()


def test_blind_first_hides_the_answer_until_the_own_call_is_made(studio: Studio):
    studio.press("b")
    for name in ANSWERS:
        expect(part(studio, name)).to_be_hidden()
    assert re.search(r"\d\.\d", part(studio, "safety").inner_text()) is None
    studio.page.mouse.move(*studio.centre(5, 5))
    expect(part(studio, "reading")).to_be_hidden()
    studio.press("s")
    studio.page.mouse.click(*studio.centre(5, 5))
    assert studio.chips() == []
    part(studio, "callChoices").get_by_role("button", name="Melanoma").click()
    for name in ANSWERS:
        expect(part(studio, name)).to_be_visible()
    expect(part(studio, "ownCall")).to_have_text("melanoma")
    studio.after(lambda: studio.press("ArrowRight"))
    expect(part(studio, "diagnoses")).to_be_hidden()
    studio.press("b")
    expect(part(studio, "diagnoses")).to_be_visible()


def test_the_meeting_counts_fixed_and_broken_by_the_agreed_diagnosis(studio: Studio):
    leading = studio.page.locator(".diagnoses .leading .name")
    right = leading.inner_text().lower()
    studio.press("b")
    studio.press("1")
    part(studio, "agreed").select_option(right)
    expect(part(studio, "tally")).to_have_text("fixed 0 · broken 0 of 1")
    agreed, wrong = right, leading.inner_text()
    for key in "123":
        for call in (".confirm", ".reject"):
            if leading.inner_text() == wrong:
                row = studio.page.locator(".concept").nth(int(key) - 1)
                studio.after(row.locator(call).click)
    assert leading.inner_text().lower() != agreed, "no concept turns the tiny model"
    expect(part(studio, "tally")).to_have_text("fixed 0 · broken 1 of 1")
    part(studio, "agreed").select_option(leading.inner_text().lower())
    expect(part(studio, "tally")).to_have_text("fixed 1 · broken 0 of 1")
    studio.after(lambda: studio.press("r"))
    expect(part(studio, "tally")).to_have_text("fixed 0 · broken 0 of 1")


def test_presenting_hides_controls_enlarges_type_and_keeps_the_keys(studio: Studio):
    size = (
        "document.defaultView.getComputedStyle(document.querySelector('.concept .name')).fontSize"
    )
    assert studio.page.evaluate(size) == "14px"
    studio.press("p")
    for name in ("tools", "strip", "model", "undo"):
        expect(part(studio, name)).to_be_hidden()
    assert float(studio.page.evaluate(size)[:-2]) >= 18
    studio.wait_for_layout()
    studio.press("f")
    studio.click(5, 5)
    assert "1 patch" in studio.chips()[0]
    halo = part(studio, "halo").bounding_box()
    x, y = studio.centre(5, 5)
    assert abs(halo["x"] + halo["width"] / 2 - x) < 2
    assert abs(halo["y"] + halo["height"] / 2 - y) < 2
    studio.press("Escape")
    expect(part(studio, "tools")).to_be_visible()
    expect(part(studio, "halo")).to_be_hidden()


@pytest.mark.parametrize("size", [(1024, 768), (1280, 720), (1920, 1080)], ids=str)
@pytest.mark.parametrize("presenting", [False, True], ids=["working", "presenting"])
def test_fits_windows_of_other_sizes(studio: Studio, size: tuple[int, int], presenting: bool):
    page = studio.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    studio.press("b")
    studio.press("2")
    if presenting:
        studio.press("p")
    cut = page.evaluate(
        "() => [...document.querySelectorAll("
        "'.studio, .review, .view, .evidence, .meeting, .under, .top')]"
        " .filter((node) => node.scrollWidth > node.clientWidth"
        "   || node.scrollHeight > node.clientHeight).map((node) => node.className)"
    )
    assert cut == []
