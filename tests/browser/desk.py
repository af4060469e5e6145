"""The annotate page as a reader uses it: real keys, clicks and strokes, and what can be read."""

from playwright.sync_api import BrowserContext, Locator, Page, expect
from visit import Server

from csr_core.annotation.records import Annotation
from csr_core.annotation.store import Store

CONCEPTS = ("pigment_network", "streaks", "a_concept_with_quite_a_long_name")


class Desk:
    """One tab in which somebody reads."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(server.url + "annotate")

    def sign_in(self, name: str, project: str = "Demo") -> "Desk":
        """Fill the dialog in as a newcomer does."""
        expect(self.part("signIn")).to_be_visible(timeout=60_000)
        self.part("name").fill(name)
        self.part("project").select_option(project)
        self.page.keyboard.press("Enter")
        return self.wait_for_case()

    def wait_for_case(self, image_id: str | None = None) -> "Desk":
        expect(self.part("studio")).to_have_attribute("data-state", "open", timeout=60_000)
        if image_id is not None:
            expect(self.part("caseTitle")).to_have_text(image_id, timeout=30_000)
        return self

    def part(self, name: str) -> Locator:
        return self.page.locator(f"[data-ref={name}]")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place of the picture, in fractions of its sides, on the page."""
        box = self.page.locator(".drawing .frame").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, *places: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=4)
        self.page.mouse.up()

    def done(self, then: str) -> None:
        """Finish the case, and wait for the next one."""
        self.press("d")
        self.wait_for_case(then)

    def saved(self) -> None:
        expect(self.part("saved")).to_have_text("✓ All saved", timeout=30_000)

    def rows(self) -> list[tuple[str, str]]:
        """Image and status of the cases in the queue."""
        rows = self.part("rows").locator("button").all()
        return [
            (row.locator(".name").inner_text(), row.locator("small").inner_text()) for row in rows
        ]

    def row(self, image_id: str) -> Locator:
        return self.part("rows").locator("button", has_text=image_id).locator("small")

    def shown(self) -> dict[str, object]:
        """All of the open case that a reader would miss."""
        pressed = '[aria-pressed="true"]'
        return {
            "case": self.part("caseTitle").inner_text(),
            "status": self.part("caseStatus").inner_text(),
            "presence": [
                row.locator(pressed).all_inner_texts()
                for row in self.page.locator(".mark-row").all()
            ],
            "regions": self.page.locator(".mark-row small:first-child").all_text_contents(),
            "diagnosis": self.part("diagnosis").locator(pressed).all_inner_texts(),
            "confidence": self.part("confidence").locator(pressed).all_inner_texts(),
            "comment": self.part("comment").input_value(),
        }


def annotation(store: str, reader: str, image_id: str, project: str = "Demo") -> Annotation:
    """What the store has of a reading."""
    opened = Store(store)
    try:
        return opened.annotation(opened.case_of(project, image_id).id, reader)
    finally:
        opened.close()
