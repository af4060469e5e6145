"""No serious or critical violation that axe-core can find, in either theme and every state."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from visit import Studio


def edited(studio: Studio) -> None:
    for tool in "sfio":
        studio.press(tool)
        studio.drag((4, 4), (4, 7))
    studio.after(studio.page.locator(".concept .reject").nth(1).click)
    studio.page.select_option("[data-ref=semantics]", "both")
    studio.after(lambda: studio.press("z"))


def blind(studio: Studio) -> None:
    studio.press("b")


def called(studio: Studio) -> None:
    studio.press("b")
    studio.press("1")


def presenting(studio: Studio) -> None:
    studio.press("p")


def keeping(studio: Studio) -> None:
    studio.press("f")
    studio.click(5, 5)
    studio.page.locator("[data-ref=openKeeping]").click()
    studio.page.locator("[data-ref=comment]").fill("Seen twice.")


def suggested(studio: Studio) -> None:
    studio.press("w")
    studio.page.locator("[data-ref=suggestion]").wait_for()


def noticed(studio: Studio) -> None:
    studio.page.locator("[data-ref=notices]").click()
    studio.page.locator("[data-ref=noticeList] li").first.wait_for()


def listed(studio: Studio) -> None:
    studio.press("d")
    studio.press("x")


def about(studio: Studio) -> None:
    studio.page.get_by_role("tab", name="About").click()


def fresh(studio: Studio) -> None:
    studio.page.mouse.move(*studio.centre(5, 5))


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(
    "state",
    [
        *(fresh, edited, blind, called, presenting, about),
        *(keeping, suggested, noticed, listed),
    ],
)
def test_axe_finds_nothing_serious(studio: Studio, state: Callable[[Studio], None], theme: str):
    if theme == "light":
        studio.page.locator("[data-ref=theme]").click()
    state(studio)
    found = Axe().run(studio.page).response
    assert found["passes"], "axe checked nothing"
    serious = [
        (violation["id"], violation["impact"], node["target"], node["failureSummary"])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert serious == []
