"""The report as one A4 page in PDF."""

import io
import textwrap
from collections.abc import Sequence
from functools import cache

from matplotlib import font_manager
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from csr_core.report import ARROW, LIMITS, Report, Table

__all__ = ["report_pdf"]

WIDTH, HEIGHT = 8.27, 11.69
MARGIN = 0.5
"""In inches, as all lengths here."""
LINE = 0.15
PICTURE = 2.6
COLUMNS = 118
COMMENT_LINES = 6
NOTICE_LINES = 8
MIN_SIZE = 4.5
SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"


def report_pdf(report: Report) -> bytes:
    """Lay the page out as a PDF of exactly one page; what is too long for it is cut with “…”.

    Args:
        report: from `csr_core.report.make_report`.

    Returns:
        The bytes of the file.
    """
    lines = _lines(report)
    figure = Figure(figsize=(WIDTH, HEIGHT))
    page = _Page(figure)
    page.write(report.title, 13, weight="bold")
    page.write(LIMITS, 9, weight="bold", colour="#a32020")
    if report.pictures:
        page.show(report)
    room = page.left - 3 * LINE
    shrink = min(1.0, room / (len(lines) * LINE))
    for text, bold in lines:
        page.write(text, max(7.2 * shrink, MIN_SIZE), MONO, "bold" if bold else "normal", shrink)
    page.foot(_wrapped(report.model, COLUMNS, 3))
    file = io.BytesIO()
    FigureCanvasPdf(figure).print_pdf(
        file, metadata={"Title": "CSR Studio report", "CreationDate": None}
    )
    return file.getvalue()


class _Page:
    """A page that is filled from the top."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._y = HEIGHT - MARGIN

    @property
    def left(self) -> float:
        """Height that is still free."""
        return self._y - MARGIN

    def write(
        self,
        text: str,
        size: float,
        family: str = SANS,
        weight: str = "normal",
        spread: float = 1.0,
        colour: str = "#14202a",
    ) -> None:
        self._text(self._y, text, size, family, weight, colour)
        self._y -= LINE * spread * max(1.0, size / 7.2)

    def show(self, report: Report) -> None:
        each = (WIDTH - 2 * MARGIN) / len(report.pictures)
        self._y -= PICTURE
        for number, picture in enumerate(report.pictures):
            box = (MARGIN + number * each, self._y, each - 0.1, PICTURE)
            axes = self._figure.add_axes(_share(*box), anchor="NW")
            axes.imshow(picture.pixels)
            axes.set_axis_off()
        for picture in report.pictures:
            self._y -= LINE
            self._text(self._y + LINE / 2, picture.caption, 7, SANS, "normal", "#485865")
        self._y -= LINE

    def foot(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(reversed(lines)):
            self._text(MARGIN + number * LINE * 0.8, line, 6, SANS, "normal", "#485865")

    def _text(
        self, y: float, text: str, size: float, family: str, weight: str, colour: str
    ) -> None:
        self._figure.text(
            MARGIN / WIDTH,
            y / HEIGHT,
            _printable(text),
            size=size,
            family=family,
            weight=weight,
            color=colour,
            va="top",
            parse_math=False,  # a "$" in a comment is a dollar sign
        )


def _share(
    left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
    return left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT


def _lines(report: Report) -> list[tuple[str, bool]]:
    """All text between pictures and foot, with whether it is bold."""
    widest = max((len(name) for name, _ in report.facts), default=0)
    lines = [
        (line, False)
        for name, text in report.facts
        for line in _wrapped(f"{name:{widest}}  {text}", COLUMNS, 2)
    ]
    notices = [line for notice in report.notices for line in _wrapped(f"! {notice}", COLUMNS, 3)]
    lines += [("", False), *((line, False) for line in notices[:NOTICE_LINES])]
    for table in report.tables:
        lines += [("", False), (table.title, True)]
        lines += _columns(table)
    if report.comment:
        lines += [("", False), ("Comment", True)]
        lines += [(line, False) for line in _wrapped(report.comment, COLUMNS, COMMENT_LINES)]
    return lines


def _columns(table: Table) -> list[tuple[str, bool]]:
    """Lines of a table; those that edits changed are bold."""
    rows = [table.head, *table.rows] if table.rows else []
    share = COLUMNS // max(len(table.head), 1) - 2
    widths = [
        min(max(len(row[column]) for row in rows), max(share, 8) if column else 2 * share)
        for column in range(len(table.head) if rows else 0)
    ]
    lines: list[tuple[str, bool]] = []
    for row in rows:
        first, *others = (_cut(text, width) for text, width in zip(row, widths, strict=True))
        aligned = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True)]
        line = "  ".join([f"{first:{widths[0]}}", *aligned])[:COLUMNS]
        lines.append((line, any(ARROW in text for text in row)))
    note = _wrapped(table.note, COLUMNS, 2) if table.note else []
    return [*lines, *((line, False) for line in note)]


def _wrapped(text: str, width: int, most: int) -> list[str]:
    lines = [
        line
        for paragraph in text[: 4 * width * most].splitlines()
        for line in textwrap.wrap(paragraph, width) or [""]
    ]
    if len(lines) > most or len(text) > 4 * width * most:
        lines = [*lines[: most - 1], _cut(f"{lines[min(most, len(lines)) - 1]} …", width)]
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _printable(text: str) -> str:
    """Replace what the font has no picture of, so that the page never depends on other fonts."""
    known = _characters()
    return "".join(character if ord(character) in known else "□" for character in text)


@cache
def _characters() -> frozenset[int]:
    maps = [
        font_manager.get_font(font_manager.findfont(family)).get_charmap()
        for family in (SANS, MONO)
    ]
    return frozenset(code for code in maps[0] if code in maps[1] and code >= 32)
