"""A review on the screen becomes files to keep: the session, and the report of one page."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from csr_core.cases import OpenCase
from csr_core.edits import Edit
from csr_core.evidence import Semantics
from csr_core.imaging import decode_image
from csr_core.reasoner import Reasoner
from csr_core.report import make_report, report_html
from csr_core.report_pdf import report_pdf
from csr_core.safety import safety_notices
from csr_core.session import SOFTWARE, Session, Tally, numbers_of, record_steps
from csr_core.session_file import SessionError, from_json, to_json

__all__ = ["report_file", "review_of", "session_file"]

SCALE_TOP = 0.8
"""Similarity at the top of the colour scale, as on the screen."""


def review_of(
    reasoner: Reasoner,
    case: OpenCase,
    edits: Sequence[Edit],
    semantics: Semantics,
    told: Mapping[str, Any],
) -> Session:
    """Gather a review.

    Args:
        reasoner: the model of the case.
        case: under review.
        edits: in effect.
        semantics: how edits are read.
        told: untrusted; `times` (ISO 8601 in UTC, one an edit), `comment`, `own_call`, `blind`,
            `verdict`, `tally`, and `with_image`: whether the picture is kept too.

    Raises:
        EditError: if an edit does not fit the case.
        SessionError: if anything told is not as a session file needs it.
    """
    encoded = case.encoded
    tally = told.get("tally")
    counts = tally if isinstance(tally, Mapping) else {}
    session = Session(
        software=SOFTWARE,
        checkpoint_name=case.model,
        checkpoint_hash=reasoner.model_hash,
        image_hash=encoded.image_hash,
        image_size=encoded.image_size,
        picture=case.picture if told.get("with_image") is True else None,
        concepts=reasoner.concepts,
        classes=reasoner.classes,
        semantics=semantics,
        before=numbers_of(reasoner.reason(encoded)),
        steps=record_steps(
            reasoner, encoded, edits, _times(told.get("times"), len(edits)), semantics
        ),
        comment=told.get("comment", ""),
        own_call=told.get("own_call"),
        blind=told.get("blind", False),
        verdict=told.get("verdict"),
        tally=Tally(*(counts.get(kind, 0) for kind in ("fixed", "broken", "unchanged"))),
    )
    return from_json(to_json(session))  # so that nothing is kept that can't be opened again


def session_file(session: Session) -> dict[str, str]:
    """The session as a file for a browser: `name`, `type`, and `data` in base64."""
    return _file(session, "json", "application/json", to_json(session).encode())


def report_file(
    reasoner: Reasoner, case: OpenCase, session: Session, concept: int, kind: str
) -> dict[str, str]:
    """The report as a file for a browser: `name`, `type`, and `data` in base64.

    Args:
        reasoner: the model of the session.
        case: the case of the session.
        session: from `review_of`; without its picture the report has none either.
        concept: index of the concept painted over the image.
        kind: "pdf", or else HTML.
    """
    encoded = case.encoded
    pixels = None if session.picture is None else decode_image(session.picture)
    notices = safety_notices(reasoner, encoded, session.edits, session.semantics)
    report = make_report(reasoner, encoded, session, pixels, concept, SCALE_TOP, notices)
    if kind == "pdf":
        return _file(session, "pdf", "application/pdf", report_pdf(report))
    return _file(session, "html", "text/html", report_html(report).encode())


def _file(session: Session, ending: str, kind: str, data: bytes) -> dict[str, str]:
    return {
        "name": f"review-{session.image_hash[:12]}.{ending}",
        "type": kind,
        "data": base64.b64encode(data).decode("ascii"),
    }


def _times(texts: object, count: int) -> list[datetime]:
    try:
        times = [datetime.fromisoformat(text) for text in texts]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as problem:
        raise SessionError("The times of edits are texts like 2026-01-31T12:00:00Z.") from problem
    if len(times) != count or any(time.tzinfo is None for time in times):
        raise SessionError("Every edit needs one time like 2026-01-31T12:00:00Z.")
    return times
