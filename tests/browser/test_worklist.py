"""The worklist: what counts as reviewed, how it is told, and the way through the cases."""

from playwright.sync_api import Locator, expect
from visit import Studio


def part(studio: Studio, name: str) -> Locator:
    return studio.page.locator(f"[data-ref={name}]")


def reviewed(studio: Studio) -> list[bool]:
    """Of each thumbnail: whether it is marked, which its name and a sign must tell alike."""
    marks = studio.page.evaluate(
        "[...document.querySelectorAll('[data-ref=strip] button')].map((button) =>"
        " [button.ariaLabel.endsWith(', reviewed'), getComputedStyle(button, '::after').content])"
    )
    assert all(sign == ('"✓"' if told else "none") for told, sign in marks)
    count = sum(told for told, _ in marks)
    expect(part(studio, "progress")).to_have_text(f"{count} of {len(marks)} reviewed")
    return [told for told, _ in marks]


def test_an_edit_counts_and_undoing_it_does_not_take_it_back(studio: Studio):
    assert not any(reviewed(studio))
    studio.press("f")
    studio.click(5, 5)
    assert reviewed(studio)[:2] == [True, False]
    expect(part(studio, "reviewed")).to_be_checked()
    studio.after(lambda: studio.press("z"))
    assert reviewed(studio)[0]


def test_looking_at_a_case_counts_only_once_the_reader_says_so(studio: Studio):
    studio.after(part(studio, "nextCase").click)
    studio.after(part(studio, "previousCase").click)
    assert not any(reviewed(studio))
    studio.press("d")
    assert reviewed(studio)[:2] == [True, False]
    studio.after(part(studio, "nextCase").click)
    expect(part(studio, "reviewed")).not_to_be_checked()
    part(studio, "reviewed").check()
    assert reviewed(studio)[:2] == [True, True]
    part(studio, "reviewed").uncheck()
    assert reviewed(studio)[:2] == [True, False]


def test_a_call_of_ones_own_counts(studio: Studio):
    studio.press("b")
    assert not any(reviewed(studio))
    studio.press("1")
    assert reviewed(studio)[0]


def test_the_list_has_two_ends(studio: Studio):
    expect(part(studio, "previousCase")).to_be_disabled()
    expect(part(studio, "nextCase")).to_be_enabled()
    studio.after(studio.page.locator("[data-ref=strip] button").last.click)
    expect(part(studio, "nextCase")).to_be_disabled()
    expect(part(studio, "previousCase")).to_be_enabled()


def test_each_model_has_a_worklist_of_its_own(studio: Studio):
    studio.press("d")
    studio.after(lambda: part(studio, "model").select_option("second"))
    assert not any(reviewed(studio))
    studio.after(lambda: part(studio, "model").select_option("first"))
    assert reviewed(studio)[0]


def test_a_reload_keeps_what_was_judged(studio: Studio):
    def reload() -> None:
        studio.page.reload()
        studio.page.wait_for_selector("[data-ref=studio][data-painted]", timeout=60_000)

    studio.press("f")
    studio.click(5, 5)
    studio.after(part(studio, "nextCase").click)
    studio.press("d")
    reload()
    assert reviewed(studio)[:3] == [True, True, False]
    studio.after(part(studio, "previousCase").click)
    part(studio, "reviewed").uncheck()
    reload()
    assert studio.chips() != []
    assert reviewed(studio)[:3] == [False, True, False]
