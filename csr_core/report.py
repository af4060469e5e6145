"""One page about one review: what the model said before and after, on which evidence, and why.

`make_report` gathers everything as plain text, so that the page (HTML here, PDF in
`csr_core.report_pdf`) only lays it out. Names, comments and cards come from outside: they are
escaped where the page is made and nowhere else.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.advice import margins_of, spoken
from csr_core.edits import Edit
from csr_core.reasoner import EncodedCase, Reasoner, Verdict
from csr_core.report_pictures import MARK_LEGEND, paint_evidence
from csr_core.safety import Notice
from csr_core.session import Session, Step

__all__ = ["ARROW", "Picture", "Report", "Table", "make_report", "report_html"]

MAX_CLASSES = 6
MAX_CONCEPTS = 20
MAX_EDITS = 12
LIMITS = "Research use only – not a medical device."
ARROW = " → "
"""Between what was before edits and what is after them."""

SEMANTICS = {"calibrated": "calibrated", "paper": "as in the paper"}

Row = tuple[str, ...]


class Picture(NamedTuple):
    """An image to print: (h, w, 3) uint8 RGB, and what it shows."""

    caption: str
    pixels: NDArray[np.uint8]


class Table(NamedTuple):
    """Text in columns; the first column is a name, the others are aligned to the right."""

    title: str
    head: Row
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """The content of the page, as text that is not yet escaped.

    Attributes:
        title: of the page.
        facts: (name, value) lines: image, decisions, numbers that stand alone.
        pictures: before and after; empty if the image is left out.
        tables: probabilities, the ledger of evidence, and the edits.
        notices: what the safety strip says.
        comment: of the reviewer.
        model: one line from the model card.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, Table, Table]
    notices: tuple[str, ...]
    comment: str
    model: str


def make_report(
    reasoner: Reasoner,
    case: EncodedCase,
    session: Session,
    pixels: NDArray[np.uint8] | None,
    concept: int,
    scale_top: float,
    notices: Sequence[Notice] = (),
) -> Report:
    """Gather what the page says.

    Args:
        reasoner: the model of the session.
        case: the image of the session, encoded by that model.
        session: the review.
        pixels: (height, width, 3) uint8 RGB of the image; None leaves every picture out.
        concept: index of the concept painted over the image.
        scale_top: similarity at the top of its colour scale.
        notices: from `csr_core.safety`.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded the case.
    """
    before = reasoner.reason(case)
    after = reasoner.reason(case, session.edits, session.semantics)
    return Report(
        title="CSR Studio – review of one image",
        facts=_facts(reasoner, case, session, before, after, with_image=pixels is not None),
        pictures=()
        if pixels is None
        else _pictures(reasoner, case, session, pixels, concept, scale_top),
        tables=(
            _probabilities(reasoner.classes, before, after),
            _ledger(reasoner, before, after),
            _edits(session, reasoner.concepts),
        ),
        notices=tuple(f"{notice.meaning} {notice.action}" for notice in notices),
        comment=session.comment,
        model=_model_line(reasoner.card, session),
    )


def report_html(report: Report) -> str:
    """Lay the page out as one HTML file that loads nothing and runs nothing.

    Args:
        report: from `make_report`.

    Returns:
        The file, UTF-8; it prints on one A4 page.
    """
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in report.facts
    )
    pictures = "".join(
        f'<figure><img src="{_jpeg_url(picture.pixels)}" alt="{escape(picture.caption)}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in report.pictures
    )
    notices = "".join(f"<li>{escape(notice)}</li>" for notice in report.notices)
    answer, ledger, edits = report.tables
    page = _PAGE.format(
        title=escape(report.title),
        limits=escape(LIMITS),
        facts=facts,
        pictures=f'<div class="pictures">{pictures}</div>' if pictures else "",
        notices=f"<ul>{notices}</ul>" if notices else "",
        answer=_html_table(answer),
        ledger=_html_table(ledger),
        edits=_html_table(edits),
        comment=f"<h2>Comment</h2><p class=comment>{escape(report.comment)}</p>"
        if report.comment
        else "",
        model=escape(report.model),
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # a browser may send half a surrogate


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
@page {{ size: A4; margin: 12mm }}
body {{ max-width: 186mm; margin: 0 auto; font: 11px/1.35 system-ui, sans-serif; color: #14202a;
 background: #fff; overflow-wrap: anywhere }}
header {{ display: flex; justify-content: space-between; align-items: baseline; gap: 6mm;
 margin-bottom: 6px; border-bottom: 1px solid #75838f }}
h1 {{ font-size: 18px; margin: 0 }} h2 {{ font-size: 13px; margin: 8px 0 2px }}
.limits {{ font-weight: 600; color: #a32020; margin: 0 }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 1px 10px; margin: 0 }}
dt {{ color: #485865 }} dd {{ margin: 0; font-weight: 600 }}
.top {{ display: grid; grid-template-columns: 1fr 1fr; gap: 6mm }} .top h2 {{ margin-top: 0 }}
.pictures {{ display: flex; gap: 6mm; margin: 8px 0 }} figure {{ margin: 0; flex: 1 }}
img {{ width: 100%; max-height: 74mm; object-fit: contain; object-position: left }}
ul {{ margin: 4px 0; padding: 4px 8px 4px 22px; background: #fff4cf; color: #5b4300 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: right; padding: 1px 6px; border-bottom: 1px solid #c8d1d9;
 font-variant-numeric: tabular-nums }}
th {{ color: #485865; font-weight: 500; border-color: #75838f }}
th:first-child, td:first-child {{ text-align: left }}
.last td:nth-child(2) {{ white-space: nowrap }} .changed {{ font-weight: 600 }}
.note, figcaption {{ color: #485865; margin: 2px 0 }}
.comment {{ white-space: pre-wrap; margin: 0 }}
footer {{ margin-top: 8px; border-top: 1px solid #75838f; color: #485865 }}
.last {{ display: grid; grid-template-columns: 5fr 3fr; gap: 6mm }}
@media print {{ body {{ font-size: 10px }} td {{ padding: 0 6px }} img {{ max-height: 60mm }} }}
</style></head><body>
<header><h1>{title}</h1><p class="limits">{limits}</p></header>
<div class="top"><dl>{facts}</dl><div>{answer}</div></div>{pictures}{notices}{ledger}
<div class="last"><div>{edits}</div><div>{comment}</div></div>
<footer>{model}</footer>
</body></html>
"""


def _html_table(table: Table) -> str:
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in table.head)
    rows = "".join(
        "<tr>" + "".join(f"<td{_changed(text)}>{escape(text)}</td>" for text in row) + "</tr>"
        for row in table.rows
    )
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    return (
        f"<h2>{escape(table.title)}</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{note}"
    )


def _changed(text: str) -> str:
    return " class=changed" if ARROW in text else ""


def _jpeg_url(pixels: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise ValueError("A picture of the report could not be written as JPEG.")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _facts(
    reasoner: Reasoner,
    case: EncodedCase,
    session: Session,
    before: Verdict,
    after: Verdict,
    with_image: bool,
) -> tuple[tuple[str, str], ...]:
    height, width = case.image_size
    image = f"{width} × {height} pixels, SHA-256 {case.image_hash[:16]}…"
    answers = [reasoner.classes[int(verdict.logits.argmax())] for verdict in (before, after)]
    blind = ", made before the model's answer was shown" if session.blind else ""
    tally = session.tally
    return (
        ("Image", image if with_image else f"{image}; the image was left out of this report"),
        ("Model's diagnosis", _change(*(spoken(answer) for answer in answers))),
        ("Margin", _change(*(f"{margins_of(v.probabilities):.2f}" for v in (before, after)))),
        ("Reviewer's own call", f"{_named(session.own_call)}{blind if session.own_call else ''}"),
        ("Agreed diagnosis", _named(session.verdict)),
        ("Edits are read", SEMANTICS[session.semantics]),
        (
            "Meeting so far",
            f"{tally.fixed} fixed, {tally.broken} broken, {tally.unchanged} unchanged",
        ),
    )


def _named(diagnosis: str | None) -> str:
    return "not given" if diagnosis is None else spoken(diagnosis)


def _pictures(
    reasoner: Reasoner,
    case: EncodedCase,
    session: Session,
    pixels: NDArray[np.uint8],
    concept: int,
    scale_top: float,
) -> tuple[Picture, ...]:
    name = spoken(reasoner.concepts[concept])
    scale = f"similarity to {name}, dark blue 0 to yellow {scale_top:.2f}"
    pictures = []
    states: tuple[tuple[str, tuple[Edit, ...]], ...] = (
        (f"Before: {scale}.", ()),
        (f"After: the same scale; {MARK_LEGEND}.", session.edits),
    )
    for caption, edits in states:
        maps = reasoner.concept_maps(case, edits, session.semantics)
        marks = reasoner.on_maps(reasoner.merge(edits), session.semantics).marks[concept]
        pictures.append(Picture(caption, paint_evidence(pixels, maps[concept], scale_top, marks)))
    return tuple(pictures)


def _probabilities(classes: Sequence[str], before: Verdict, after: Verdict) -> Table:
    shown = np.argsort(-after.probabilities, kind="stable")[:MAX_CLASSES]
    rows = tuple(
        (
            spoken(classes[index]),
            f"{before.probabilities[index]:.3f}",
            f"{after.probabilities[index]:.3f}",
            f"{after.probabilities[index] - before.probabilities[index]:+.3f}",
        )
        for index in shown
    )
    return Table("Probabilities", ("diagnosis", "before", "after", "change"), rows, _few(classes))


def _ledger(reasoner: Reasoner, before: Verdict, after: Verdict) -> Table:
    shown = np.argsort(-after.probabilities, kind="stable")[:MAX_CLASSES]
    similarities = [reasoner.concept_scores(verdict) for verdict in (before, after)]
    strength = np.abs([before.contributions, after.contributions]).max(axis=(0, 1))  # (K,)
    by_strength = np.argsort(-strength, kind="stable")
    listed, others = np.sort(by_strength[:MAX_CONCEPTS]), by_strength[MAX_CONCEPTS:]

    def evidence(concepts: NDArray[np.intp]) -> Row:
        return tuple(
            _change(
                *(f"{v.contributions[c, concepts].sum():+.2f}" for v in (before, after)),
            )
            for c in shown
        )

    rows: list[Row] = [
        (
            spoken(reasoner.concepts[index]),
            _change(*(f"{values[index]:.2f}" for values in similarities)),
            *evidence(np.array([index])),
        )
        for index in listed
    ]
    if len(others):
        rows.append((f"{len(others)} weaker concepts", "", *evidence(others)))
    rows.append(("base: no concept", "", *(f"{after.base[c]:+.2f}" for c in shown)))
    sums = (_change(f"{before.logits[c]:+.2f}", f"{after.logits[c]:+.2f}") for c in shown)
    rows.append(("sum", "", *sums))
    head = ("concept", "similarity", *(spoken(reasoner.classes[c]) for c in shown))
    note = (
        "Evidence for (+) and against (-) each diagnosis in log-odds; what edits changed as "
        "before → after."
    )
    return Table(
        "Ledger of evidence", head, tuple(rows), f"{note} {_few(reasoner.classes)}".strip()
    )


def _change(before: str, after: str) -> str:
    return after if before == after else f"{before}{ARROW}{after}"


def _few(classes: Sequence[str]) -> str:
    more = len(classes) > MAX_CLASSES
    return f"The {MAX_CLASSES} likeliest of {len(classes)} diagnoses are shown." if more else ""


def _edits(session: Session, concepts: Sequence[str]) -> Table:
    earlier = max(len(session.steps) - MAX_EDITS, 0)
    rows = tuple(
        (
            f"{number}. {_said(step.edit, concepts)}",
            step.time.strftime("%Y-%m-%d %H:%M:%S"),
            _likeliest(step, session.classes),
        )
        for number, step in enumerate(session.steps, 1)
        if number > earlier
    )
    note = f"The {earlier} edits before these are in the session file." if earlier else ""
    head = ("edit", "time (UTC)", "likeliest afterwards")
    return Table("Edits", head, rows, note if rows else "Nothing was edited.")


def _said(edit: Edit, concepts: Sequence[str]) -> str:
    concept = getattr(edit, "concept", None)
    name = concepts[concept] if isinstance(concept, int) else concept
    cells = len(set(getattr(edit, "cells", ())))
    patches = f"{cells} patch{'' if cells == 1 else 'es'}" if hasattr(edit, "cells") else ""
    words = [f"{type(edit).__name__} {spoken(name) if name else ''}".strip(), patches]
    return ", ".join(filter(None, words))


def _likeliest(step: Step, classes: Sequence[str]) -> str:
    best = int(np.argmax(step.after.probabilities))
    return f"{spoken(classes[best])} {step.after.probabilities[best]:.3f}"


def _model_line(card: Mapping[str, Any], session: Session) -> str:
    title = str(card.get("title") or session.checkpoint_name)[:120]
    parts = [
        f"Model: {title} ({session.checkpoint_name}, SHA-256 {session.checkpoint_hash[:16]}…)",
        *(f"{key}: {str(card[key])[:200]}" for key in ("data", "licence") if card.get(key)),
        "trained on synthetic images only" if card.get("synthetic") else "",
        str(card.get("intended_use") or "")[:200].rstrip("."),
        session.software,
    ]
    return "; ".join(filter(None, parts)) + f". {LIMITS}"
