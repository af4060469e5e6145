"""What the screen advises: what would change the answer, what to ask next."""

import re

from playwright.sync_api import Locator, expect
from visit import Studio


def part(studio: Studio, name: str) -> Locator:
    return studio.page.locator(f"[data-ref={name}]")


def test_w_says_what_would_change_the_answer_and_apply_is_one_undo_step(studio: Studio):
    numbers = studio.numbers()
    leading = studio.page.locator(".diagnoses .leading .name")
    before = leading.inner_text()
    studio.press("w")
    expect(part(studio, "suggestion")).to_be_visible()
    sentence = part(studio, "suggestionText").inner_text()
    change = re.fullmatch(r"(.+): (\w+) 0\.\d\d → (\w+) 0\.\d\d; .+\.", sentence)
    assert change[2] == before.lower()
    studio.after(part(studio, "applySuggestion").click)
    expect(part(studio, "suggestion")).to_be_hidden()
    assert leading.inner_text().lower() == change[3]
    assert len(studio.chips()) == 1
    assert change[1] in studio.chips()[0]
    studio.after(lambda: studio.press("z"))
    assert studio.numbers() == numbers


def test_a_suggestion_is_closed_by_button_key_and_edit(studio: Studio):
    for close in (
        lambda: part(studio, "closeSuggestion").click(),
        lambda: studio.press("Escape"),
        lambda: studio.after(studio.page.locator(".concept .reject").first.click),
    ):
        part(studio, "changeAnswer").click()
        expect(part(studio, "suggestion")).to_be_visible()
        close()
        expect(part(studio, "suggestion")).to_be_hidden()


def test_what_would_change_the_answer_stays_hidden_before_the_own_call(studio: Studio):
    studio.press("w")
    expect(part(studio, "suggestion")).to_be_visible()
    studio.press("b")
    expect(part(studio, "suggestion")).to_be_hidden()
    expect(part(studio, "question")).to_be_hidden()


def test_ask_me_next_chooses_the_concept_and_shows_where_to_look(studio: Studio):
    question = part(studio, "question")
    expect(question).to_be_enabled()
    name = re.match(r"Ask me next: (.+?): ", question.inner_text())[1]
    question.click()
    expect(studio.page.locator(".concept.chosen .name")).to_have_text(re.compile(name, re.I))
    expect(part(studio, "pointed")).to_be_visible()
    studio.after(studio.page.locator(".concept.chosen .confirm").click)
    expect(part(studio, "pointed")).to_be_hidden()
    expect(question).to_be_enabled()
    expect(part(studio, "questionText")).not_to_have_text(re.compile("^" + name))


def test_notices_say_what_they_mean_and_what_to_do(studio: Studio):
    notices = part(studio, "notices")
    expect(notices).to_be_visible()
    notices.click()
    items = part(studio, "noticeList").locator("li")
    synthetic = part(studio, "noticeList").locator("[data-kind=model]")
    expect(synthetic).to_contain_text("trained on synthetic images only")
    expect(synthetic).to_contain_text("never to judge a patient's image")
    count = items.count()
    studio.press("o")
    studio.click(5, 5)
    expect(part(studio, "noticeList").locator("[data-kind=focus]")).to_contain_text(
        "Erase the focus"
    )
    assert items.count() >= count
    expect(items.first).to_be_hidden()
    notices.click()
    expect(items.first).to_be_visible()
    studio.press("Escape")
    expect(items.first).to_be_hidden()
    studio.press("b")
    expect(notices).to_be_hidden()
