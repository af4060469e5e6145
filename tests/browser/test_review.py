"""The review screen, used with a real mouse and keyboard."""

import io
import json
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Response, Route, expect
from visit import Server, Studio

WHOLE = [(3, 0), (3, 13), (10, 13), (10, 0)]

OUTSIDE = """
[...document.querySelectorAll(".page:not([hidden]) button, .under > *, .evidence h2 > *")]
  .filter((node) => node.getClientRects().length && !node.closest(".strip, .chips"))
  .filter((node) => {
    const box = node.getBoundingClientRect();
    const room = (node.closest(".view, .evidence") ?? document.body).getBoundingClientRect();
    return box.right > room.right || box.bottom > room.bottom || box.left < room.left;
  })
  .map((node) => node.textContent)
"""


def picture(seed: int = 0, size: tuple[int, int] = (120, 90)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def declared_size(side: int) -> bytes:
    """A PNG whose header promises far more pixels than the file holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(64)))


def upload(studio: Studio, name: str, data: bytes) -> None:
    studio.page.locator("[data-ref=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": data}
    )


def test_opens_a_case_and_fits_the_window(studio: Studio):
    sizes = studio.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert sizes == [1280, 720]
    assert studio.page.evaluate(OUTSIDE) == []
    expect(
        studio.page.get_by_text("Research use only – not a medical device").first
    ).to_be_visible()
    expect(studio.page.locator("[data-ref=synthetic]")).to_be_visible()
    assert studio.page.locator("[data-ref=strip] button").count() >= 6


def test_suppressing_changes_the_numbers_and_undo_restores_them(studio: Studio):
    numbers, overlay = studio.numbers(), studio.overlay()
    studio.press("s")
    for _ in range(3):
        studio.press("]")
    studio.drag(*WHOLE)
    assert studio.numbers() != numbers
    assert studio.overlay() != overlay
    studio.after(lambda: studio.press("z"))
    assert studio.numbers() == numbers
    assert studio.overlay() == overlay


def test_a_drag_is_one_edit_and_redo_brings_it_back(studio: Studio):
    studio.press("s")
    studio.drag((2, 2), (2, 8), (6, 8))
    edited = studio.numbers()
    assert len(studio.chips()) == 1
    assert "11 patches" in studio.chips()[0]
    studio.after(lambda: studio.press("z"))
    expect(studio.page.locator("[data-ref=undo]")).to_be_disabled()
    studio.after(lambda: studio.press("Shift+Z"))
    assert studio.numbers() == edited


def test_a_fast_stroke_leaves_no_gap(studio: Studio):
    studio.press("f")

    def stroke() -> None:
        studio.page.mouse.move(*studio.centre(0, 0))
        studio.page.mouse.down()
        studio.page.mouse.move(*studio.centre(0, 13), steps=1)
        studio.page.mouse.up()

    studio.after(stroke)
    assert "14 patches" in studio.chips()[0]


def test_forcing_one_patch_raises_the_similarity_and_says_what_it_did(studio: Studio):
    studio.press("2")
    studio.press("f")
    studio.click(5, 5)
    chosen = studio.page.locator(".concept.chosen").get_attribute("aria-label")
    assert re.match(r"streaks: similarity -?0\.\d\d before, 0\.95 now", chosen)
    assert re.fullmatch(r"1 Force streaks, 1 patch\s+\w+ \d\.\d\d → \d\.\d\d", studio.chips()[0])


def test_holding_control_erases(studio: Studio):
    numbers = studio.numbers()
    studio.press("f")
    studio.click(5, 5)
    studio.page.keyboard.down("Control")
    studio.click(5, 5)
    studio.page.keyboard.up("Control")
    assert studio.numbers() == numbers


def test_erasing_restores_what_the_model_saw(studio: Studio):
    numbers, overlay = studio.numbers(), studio.overlay()
    studio.press("f")
    studio.click(5, 5)
    assert studio.numbers() != numbers
    studio.press("e")
    studio.click(5, 5)
    assert len(studio.chips()) == 2
    assert studio.numbers() == numbers
    assert studio.overlay() == overlay


def test_rejecting_confirming_and_withdrawing_a_concept(studio: Studio):
    page, numbers = studio.page, studio.numbers()
    reject, confirm = (
        page.locator(".concept .reject").nth(1),
        page.locator(".concept .confirm").nth(1),
    )
    studio.after(reject.click)
    expect(reject).to_have_attribute("aria-pressed", "true")
    rejected = studio.numbers()
    assert rejected != numbers
    studio.after(confirm.click)
    expect(reject).to_have_attribute("aria-pressed", "false")
    assert studio.numbers() not in (numbers, rejected)
    studio.after(confirm.click)
    assert studio.numbers() == numbers


def test_reset_and_going_back_to_a_step(studio: Studio):
    numbers = studio.numbers()
    studio.press("f")
    studio.click(2, 2)
    first = studio.numbers()
    studio.after(studio.page.locator(".concept .reject").nth(1).click)
    studio.after(lambda: studio.press("r"))
    assert studio.numbers() == numbers
    assert studio.page.locator("[data-ref=reset]").is_disabled()
    studio.after(studio.page.locator("[data-ref=chips] button").first.click)
    assert studio.numbers() == first
    studio.click(7, 7)
    assert [chip.split(",")[0] for chip in studio.chips()] == [
        chip.split(",")[0] for chip in (studio.chips()[0], "2" + studio.chips()[0][1:])
    ]


def test_value_under_the_cursor_and_keyboard_on_the_canvas(studio: Studio):
    studio.press("2")
    studio.page.mouse.move(*studio.centre(3, 4))
    reading = studio.page.locator("[data-ref=reading]")
    expect(reading).to_have_text(re.compile(r"streaks · row 3, column 4 · similarity -?\d\.\d\d"))
    studio.page.locator("[data-ref=stage]").focus()
    studio.press("ArrowDown")
    expect(reading).to_have_text(re.compile("row 4, column 4"))
    studio.press("f")
    studio.after(lambda: studio.press("Enter"))
    assert "Force streaks, 1 patch" in studio.chips()[0]


def test_marks_stay_with_their_case(studio: Studio):
    studio.press("f")
    studio.click(5, 5)
    edited = studio.numbers()
    studio.after(lambda: studio.press("ArrowRight"))
    assert studio.chips() == []
    studio.after(lambda: studio.press("ArrowLeft"))
    assert len(studio.chips()) == 1
    assert studio.numbers() == edited


def test_an_upload_is_opened_and_leaves_nothing_on_disk(studio: Studio, server: Server):
    cases = studio.page.locator("[data-ref=strip] button")
    before = cases.count()
    studio.after(lambda: upload(studio, "mole.png", picture()))
    assert cases.count() == before + 1
    expect(cases.first).to_have_attribute("aria-label", "mole.png")
    assert [path for path in server.temporary.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"this is no picture", "not a picture"),
        ("cut.png", picture(size=(400, 300))[:2000], "cut short"),
        ("dot.png", picture(size=(1, 1)), "1 × 1"),
        ("bomb.png", declared_size(30_000), "60 megapixels"),
        ("<img src=x onerror=alert(1)>.png", b"\x89PNG\r\n\x1a\n", "."),
    ],
    ids=["empty", "text", "truncated", "tiny", "declared_size", "markup_in_name"],
)
def test_a_bad_upload_is_refused_and_the_open_case_stays(
    studio: Studio, name: str, data: bytes, sentence: str
):
    numbers = studio.numbers()
    upload(studio, name, data)
    expect(studio.page.locator("[data-ref=toasts] p").last).to_contain_text(sentence)
    assert studio.toast().count("\n") == 0
    assert studio.numbers() == numbers
    studio.press("f")
    studio.click(1, 1)
    assert len(studio.chips()) == 1


def test_a_file_that_is_too_large_never_leaves_the_browser(studio: Studio):
    studio.page.evaluate(
        "() => { const data = new DataTransfer();"
        " data.items.add(new File([new Uint8Array(65 * 2 ** 20)], 'huge.jpg'));"
        " document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); }"
    )
    assert "at most 64 MB" in studio.toast()


def test_dropping_and_pasting_open_an_image(studio: Studio):
    for event in ("drop", "paste"):
        studio.after(
            lambda event=event: studio.page.evaluate(
                "([event, bytes]) => { const data = new DataTransfer();"
                " data.items.add(new File([new Uint8Array(bytes)], event + '.png'));"
                " const root = document.querySelector('[data-ref=studio]');"
                " root.dispatchEvent(event === 'drop'"
                "   ? new DragEvent('drop', { dataTransfer: data, bubbles: true })"
                "   : new ClipboardEvent('paste', { clipboardData: data, bubbles: true })); }",
                [event, list(picture())],
            )
        )
        expect(studio.page.locator("[data-ref=strip] button").first).to_have_attribute(
            "aria-label", f"{event}.png"
        )


def test_changing_the_model_leaves_the_edits_with_it_and_says_so(studio: Studio):
    numbers = studio.numbers()
    studio.press("f")
    studio.click(5, 5)
    studio.after(lambda: studio.page.select_option("[data-ref=model]", "second"))
    assert studio.chips() == []
    assert "stay with the other model" in studio.toast()
    assert studio.numbers() != numbers
    expect(studio.page.locator("[data-ref=synthetic]")).to_be_hidden()


def test_semantics_of_the_paper_changes_every_step(studio: Studio):
    studio.press("s")
    for _ in range(3):
        studio.press("]")
    studio.drag(*WHOLE)
    studio.after(studio.page.locator(".concept .reject").nth(1).click)
    calibrated, chips = studio.numbers(), studio.chips()
    studio.after(lambda: studio.page.select_option("[data-ref=semantics]", "paper"))
    expect(studio.page.locator("[data-ref=chips]")).not_to_contain_text("…")
    assert studio.numbers() != calibrated
    assert studio.chips() != chips
    studio.after(lambda: studio.page.select_option("[data-ref=semantics]", "calibrated"))
    expect(studio.page.locator("[data-ref=chips]")).not_to_contain_text("…")
    assert studio.numbers() == calibrated
    assert studio.chips() == chips


def test_two_people_do_not_see_each_other(studio: Studio, browser: Browser, server: Server):
    other_context = browser.new_context(viewport={"width": 1280, "height": 720})
    other = Studio(other_context.new_page(), server.url)
    numbers = other.numbers()
    assert studio.numbers() == numbers  # both begin with the first bundled case
    for person in (studio, other):
        person.press("2")
    studio.press("f")
    studio.click(5, 5)
    forced = studio.numbers()
    other.after(other.page.locator(".concept .reject").nth(1).click)
    rejected = other.numbers()
    assert len({str(shown) for shown in (numbers, forced, rejected)}) == 3
    studio.after(lambda: upload(studio, "mine.png", picture(1)))
    other.after(lambda: upload(other, "theirs.png", picture(2)))
    assert studio.numbers() != other.numbers()
    assert other.page.get_by_label("mine.png").count() == 0
    assert studio.page.get_by_label("theirs.png").count() == 0
    for person, shown, chip in ((studio, forced, "Force"), (other, rejected, "Reject")):
        assert person.chips() == []
        person.after(lambda person=person: person.press("ArrowRight"))
        assert person.numbers() == shown
        assert [chip in text for text in person.chips()] == [True]
    other_context.close()


def test_the_key_of_a_case_is_known_to_its_own_browser_alone(
    studio: Studio, browser: Browser, server: Server
):
    asked: list[dict] = []
    studio.page.on("request", lambda request: asked.append(request.post_data_json or {}))
    studio.press("f")
    studio.click(5, 5)
    forced = studio.numbers()
    key = next(sent["data"]["key"] for sent in asked if sent.get("fn_name") == "reason")
    assert re.fullmatch(r"[\w-]{43}", key)  # 256 random bits
    other_context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = other_context.new_page()
    heard: list[Response] = []
    page.on("response", lambda response: heard.append(response))
    other = Studio(page, server.url)
    calls = re.compile("component_server")
    guess = key[:-1] + ("A" if key[-1] != "A" else "E")  # as close as a guess can come

    guessed: list[str] = []

    def send_guess(route: Route) -> None:
        sent = route.request.post_data_json
        if sent["fn_name"] != "reason" or guessed:
            return route.continue_()
        guessed.append(guess)
        sent["data"]["key"] = guess
        route.continue_(post_data=json.dumps(sent))

    page.route(calls, send_guess)
    other.press("2")
    other.press("s")
    other.click(5, 5)  # refused, so the page opens its own case again
    assert other.numbers() != forced
    answers = [one.text() for one in heard if calls.search(one.url)]
    assert sum("no longer open" in answer for answer in answers) == 1
    assert not any(key in answer for answer in answers)
    other_context.close()


def test_about_shows_the_card_and_leaves_the_keys_alone(studio: Studio):
    studio.page.get_by_role("tab", name="About").click()
    expect(studio.page.get_by_text("CC0-1.0")).to_be_visible()
    studio.press("f")
    studio.page.get_by_role("tab", name="Review").click()
    expect(studio.page.locator("button[data-tool=inspect]")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_marks_survive_a_server_that_goes_away(browser: Browser, tiny_checkpoints, tmp_path):
    server = Server(tiny_checkpoints, tmp_path)
    server.start()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    studio = Studio(context.new_page(), server.url)
    studio.press("f")
    studio.click(5, 5)
    server.stop()
    studio.press("2")
    studio.page.mouse.click(*studio.centre(7, 7))
    banner = studio.page.locator("[data-ref=banner]")
    expect(banner).to_be_visible()
    before = studio.painted
    server.start()
    expect(banner).to_be_hidden(timeout=60_000)
    studio.wait_for_paint_after(before)
    assert len(studio.chips()) == 2
    assert "…" not in "".join(studio.chips())
    server.stop()
    context.close()
