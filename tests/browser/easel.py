"""The drawing surface on a page of its own, with a picture to draw on."""

import base64
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page
from visit import ROOT

from csr_core.annotation.masks import Mask

SCRIPTS = (
    *("viewport.js", "canvas.js", "drawing_mask.js", "drawing_shapes.js", "drawing_history.js"),
    *("drawing_case.js", "drawing_boxes.js", "drawing_polygon.js", "drawing_brushes.js"),
    *("drawing_view.js", "strokes.js", "drawing_lines.js", "drawing_scene.js", "drawing_input.js"),
    "drawing_surface.js",
)
STYLES = ("studio.css", "review.css", "drawing.css")
CONCEPTS = ["streaks", "globules", "veil"]
FRAME = "document.querySelector('.frame').getBoundingClientRect().toJSON()"
URL = "http://localhost/drawing"  # a page that the browser counts as secure, as the studio's is
START = """
const root = document.getElementById("root");
window.changes = [];
window.messages = [];
const surface = createSurface(root, {
  onChange: (change) => changes.push(change),
  onMessage: (text) => messages.push(text),
  onState: (state) => (window.state = state),
});
Object.assign(window, { surface, makeSteps });
document.addEventListener("keydown", (event) => surface.key(event));
"""


def picture(height: int, width: int) -> str:
    """Some picture as a data URL: a soft gradient with a dark disc."""
    down, across = np.mgrid[:height, :width]
    grey = 90 + 110 * across / width
    grey[np.hypot(down - height / 2, across - width / 2) < height / 4] -= 60
    png = cv2.imencode(".png", grey.astype(np.uint8))[1]
    return "data:image/png;base64," + base64.b64encode(png).decode()


def html(theme: str = "dark") -> str:
    """The page, with every script and style in it."""
    assets = ROOT / "assets"
    styles = "\n".join((assets / name).read_text("utf-8") for name in STYLES)
    scripts = "\n".join((assets / name).read_text("utf-8") for name in SCRIPTS)
    return (
        f"<!doctype html><meta charset=utf-8><title>Drawing</title><style>{styles}</style>"
        f'<div class="studio" data-theme="{theme}" style="display: block">'
        '<div id="root" style="width: 800px; height: 600px; margin: 40px"></div></div>'
        f"<script>(() => {{ {scripts}\n{START} }})()</script>"
    )


class Easel:
    """The surface as a reader uses it; places are [x, y] in pixels of the mask."""

    def __init__(self, page: Page, theme: str = "dark") -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.route(URL, lambda route: route.fulfill(body=html(theme), content_type="text/html"))
        page.goto(URL)

    def open(
        self,
        height: int = 96,
        width: int = 128,
        grid: tuple[int, int] = (6, 8),
        marks: dict[str, Any] | None = None,
        concepts: Iterable[str] = CONCEPTS,
    ) -> None:
        self.height, self.width, self.grid = height, width, grid
        self.concepts = list(concepts)
        case = {
            "picture": picture(height, width),
            "height": height,
            "width": width,
            "grid": grid,
            "concepts": self.concepts,
            "marks": marks or {},
        }
        self.page.evaluate("(given) => surface.open(given)", case)
        self.settle()

    def call(self, method: str, *given: object) -> Any:
        return self.page.evaluate("([name, given]) => surface[name](...given)", [method, given])

    def settle(self) -> None:
        """Wait until a change of the layout is painted."""
        frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.page.evaluate(frame)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the mask is on the page."""
        box = self.page.evaluate(FRAME)
        return (
            box["x"] + x / self.width * box["width"],
            box["y"] + y / self.height * box["height"],
        )

    def move(self, x: float, y: float) -> None:
        self.page.mouse.move(*self.at(x, y))

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def drag(self, *places: tuple[float, float], steps: int = 1) -> None:
        first, *others = [self.at(*place) for place in places]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for x, y in others:
            self.page.mouse.move(x, y, steps=steps)
        self.page.mouse.up()

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    @property
    def state(self) -> dict[str, Any]:
        return self.page.evaluate("state")

    @property
    def changes(self) -> list[dict[str, Any]]:
        return self.page.evaluate("changes")

    @property
    def messages(self) -> list[str]:
        return self.page.evaluate("messages")

    def boxes(self, concept: str = CONCEPTS[0]) -> list[list[float]]:
        return self.call("mark", concept)["boxes"]

    def pixels(self, concept: str = CONCEPTS[0]) -> NDArray[np.bool_]:
        """The region as the mark gives it, decoded; it must be coded as it would be here."""
        mask = self.call("mark", concept)["mask"]
        if mask is None:
            return np.zeros((self.height, self.width), dtype=bool)
        decoded = Mask.from_json(mask)
        pixels = decoded.pixels()
        assert pixels.any()
        assert Mask.of(pixels) == decoded
        return pixels

    def ink(self, x: float, y: float) -> list[int]:
        """Red, green, blue and opacity of what is painted over a place."""
        return self.page.evaluate(
            "([x, y]) => { const canvas = document.querySelector('.regions');"
            " const { left, top } = canvas.getBoundingClientRect();"
            " const unit = canvas.width / canvas.offsetWidth;"
            " return [...canvas.getContext('2d').getImageData("
            "   Math.floor((x - left) * unit), Math.floor((y - top) * unit), 1, 1).data]; }",
            list(self.at(x, y)),
        )
