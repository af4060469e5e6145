"""What is kept of a review: session file, report, comment."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from visit import Studio


def part(studio: Studio, name: str) -> Locator:
    return studio.page.locator(f"[data-ref={name}]")


def kept(studio: Studio, kind: str) -> bytes:
    with studio.page.expect_download() as download:
        studio.page.locator(f"[data-keep={kind}]").click()
    assert download.value.suggested_filename.endswith("." + kind)
    return Path(download.value.path()).read_bytes()


def test_a_session_is_saved_with_edits_times_numbers_and_comment(studio: Studio):
    studio.press("s")
    studio.click(5, 5)
    studio.after(studio.page.locator(".concept .confirm").nth(1).click)
    part(studio, "openKeeping").click()
    part(studio, "comment").fill("Brows <b> & streaks")
    saved = json.loads(kept(studio, "json"))
    assert [step["edit"]["kind"] for step in saved["edits"]] == ["suppress", "confirm"]
    assert saved["edits"][0]["edit"]["cells"] == [[5, 5]]
    assert saved["edits"][0]["time"] <= saved["edits"][1]["time"]
    shown = {round(p, 2) for p in saved["edits"][1]["after"]["probabilities"]}
    labels = studio.page.locator(".diagnoses .num:not(b) b").all_inner_texts()
    assert {float(label) for label in labels} == shown
    assert saved["comment"] == "Brows <b> & streaks"
    assert saved["image"]["picture"].startswith("data:image/jpeg;base64,")
    part(studio, "leaveImageOut").check()
    assert json.loads(kept(studio, "json"))["image"]["picture"] is None


def test_the_report_is_one_file_escaped_and_can_leave_the_image_out(studio: Studio):
    part(studio, "openKeeping").click()
    part(studio, "comment").fill("<script>alert(1)</script>")
    page = kept(studio, "html").decode()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert page.count("<img ") == 2
    part(studio, "leaveImageOut").check()
    assert "<img " not in kept(studio, "html").decode()
    assert kept(studio, "pdf").startswith(b"%PDF")


def test_typing_a_comment_uses_no_keys_and_every_case_has_its_own(studio: Studio):
    part(studio, "openKeeping").click()
    part(studio, "comment").click()
    studio.page.keyboard.type("swbp")
    expect(part(studio, "suggestion")).to_be_hidden()
    expect(part(studio, "comment")).to_have_value("swbp")
    part(studio, "closeKeeping").click()
    studio.after(lambda: studio.press("ArrowRight"))
    expect(part(studio, "comment")).to_have_value("")
    studio.after(lambda: studio.press("ArrowLeft"))
    expect(part(studio, "comment")).to_have_value("swbp")


def open_file(studio: Studio, data: bytes) -> None:
    studio.page.locator("[data-ref=file]").set_input_files(
        {"name": "review.json", "mimeType": "application/json", "buffer": data}
    )


@pytest.mark.parametrize("with_image", [True, False])
def test_an_opened_session_replays_to_the_same_numbers(studio: Studio, with_image: bool):
    studio.press("s")
    studio.click(5, 5)
    studio.after(studio.page.locator(".concept .confirm").nth(1).click)
    numbers, chips = studio.numbers(), studio.chips()
    part(studio, "openKeeping").click()
    part(studio, "comment").fill("as agreed")
    part(studio, "leaveImageOut").set_checked(not with_image)
    saved = kept(studio, "json")
    if with_image:
        studio.after(lambda: part(studio, "strip").locator("button").nth(2).click())
    else:
        studio.after(lambda: studio.press("r"))
    studio.after(lambda: open_file(studio, saved))
    expect(part(studio, "comment")).to_have_value("as agreed")
    expect(part(studio, "toasts").locator("p").last).to_contain_text("every number is as it was")
    expect(part(studio, "chips").locator("small", has_text="…")).to_have_count(0)
    assert studio.chips() == chips
    assert sorted(studio.numbers()) == sorted(numbers)


def test_a_session_says_what_differs_and_refuses_what_it_cannot_open(studio: Studio):
    studio.after(studio.page.locator(".concept .confirm").nth(1).click)
    part(studio, "openKeeping").click()
    saved = json.loads(kept(studio, "json"))
    saved["checkpoint"]["hash"] = "0" * 64
    studio.after(lambda: open_file(studio, json.dumps(saved).encode()))
    toasts = part(studio, "toasts").locator("p")
    expect(toasts.last).to_contain_text("saved with other weights of first")
    open_file(studio, b"{}")
    expect(toasts.last).to_have_text("This file is not a session of CSR Studio.")
    studio.after(lambda: part(studio, "strip").locator("button").nth(3).click())
    saved["image"]["picture"] = None
    open_file(studio, json.dumps(saved).encode())
    expect(toasts.last).to_contain_text("open that image first")
