"""The annotate page: its layout and wiring, and who is reading."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from csr_core.annotation.helping import HelpService
from csr_core.annotation.names import StoreFailure, check_reader
from csr_core.annotation.outcome import OutcomeService
from csr_core.annotation.service import REFUSALS, AnnotationService
from csr_core.wire import RequestError, text_field

__all__ = ["add_annotate_page", "read_accounts"]

SCRIPTS = (
    *("panel.js", "exemplar.js", "memory.js", "viewport.js", "canvas.js"),
    *("drawing_mask.js", "drawing_shapes.js", "drawing_history.js", "drawing_case.js"),
    *("drawing_boxes.js", "drawing_polygon.js", "drawing_brushes.js", "drawing_view.js"),
    "strokes.js",
    *("drawing_lines.js", "drawing_scene.js", "drawing_input.js", "drawing_surface.js"),
    *("annotate_panel.js", "annotate_outbox.js", "annotate.js", "annotate_queue.js"),
    *("annotate_assist.js", "annotate_settle.js", "annotate_sheets.js", "annotate_sign_in.js"),
    *("annotate_controls.js",),
)
LOGIN = "/login/huggingface?_target_url=/annotate"

Answer = dict[str, Any]
Asked = Mapping[str, Any]

log = logging.getLogger("csr_studio")


def add_annotate_page(
    demo: gr.Blocks,
    work: AnnotationService,
    helper: HelpService,
    outcome: OutcomeService,
    assets: Path,
) -> None:
    """Add the page at /annotate, which shares nothing with the other but the server."""
    with demo.route("Annotate", "/annotate", show_in_navbar=False):
        gr.HTML(
            html_template=(assets / "annotate.html").read_text("utf-8"),
            js_on_load="\n".join((assets / name).read_text("utf-8") for name in SCRIPTS),
            apply_default_css=False,
            server_functions=_browser_functions(work, helper, outcome),
        )
        if _asks_hugging_face():
            gr.LoginButton(visible=False)  # it brings the routes to log in by


def read_accounts(file: Path) -> list[tuple[str, str]]:
    """Read who may sign in: a line name:password each.

    Raises:
        OSError: if the file can't be read.
        ValueError: if it holds no such line, or another.
    """
    lines = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    pairs = [(name.strip(), password) for name, _, password in (x.partition(":") for x in lines)]
    if not pairs or not all(name and password for name, password in pairs):
        raise ValueError(f"{file} should hold a line name:password for everybody.")
    return [(check_reader(name), password) for name, password in pairs]


def _browser_functions(
    work: AnnotationService, helper: HelpService, outcome: OutcomeService
) -> list[Callable[..., Answer]]:
    """What the page may call, each with one request."""

    def start(request: object, visitor: gr.Request, profile: gr.OAuthProfile | None) -> Answer:
        account = _account(visitor, profile)
        if account is None and _asks_hugging_face():
            return {"login": LOGIN}
        return {"account": account, "login": None, **work.start()}

    def export(_: str, asked: Asked) -> Answer:
        file = outcome.export(asked)
        return {"url": f"gradio_api/file={file}", "name": file.name}

    return [
        _answering("annotate_start", start),
        _for_reader("annotate_make_project", lambda _, asked: work.make_project(asked)),
        _for_reader("annotate_queue", work.queue),
        _for_reader("annotate_open", work.open),
        _for_reader("annotate_picture", lambda _, asked: work.picture(asked)),
        _for_reader("annotate_save", work.save),
        _for_reader("annotate_readings", lambda _, asked: work.readings(asked)),
        _for_reader("annotate_suggest", lambda _, asked: helper.suggest(asked)),
        _for_reader("annotate_similar", helper.similar),
        _for_reader("annotate_rank", lambda _, asked: helper.rank(asked)),
        _for_reader("annotate_agreement", lambda _, asked: outcome.agreement(asked)),
        _for_reader("annotate_export", export),
        _for_reader("annotate_training", lambda _, asked: outcome.training(asked)),
    ]


def _for_reader(name: str, function: Callable[[str, Asked], Answer]) -> Callable[..., Answer]:
    """Make a function of a reader and a request one that the page may call."""

    def call(request: object, visitor: gr.Request, profile: gr.OAuthProfile | None) -> Answer:
        if not isinstance(request, dict):
            raise RequestError("A request is an object.")
        claimed = check_reader(text_field(request.get("reader"), "reader"))
        account = _account(visitor, profile)
        if account is None and _asks_hugging_face():
            raise RequestError("Sign in first; then load the page again.")
        if account is not None and claimed != account:
            raise RequestError(f"You are signed in as {account}, and can't read as {claimed}.")
        return function(claimed, request)

    return _answering(name, call)


def _answering(name: str, function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Answer refusals as data; `again` tells those that may pass when tried again."""

    def answer(request: object, visitor: gr.Request, profile: gr.OAuthProfile | None) -> Answer:
        try:
            return function(request, visitor, profile)
        except REFUSALS as refusal:
            return {"error": str(refusal), "again": isinstance(refusal, StoreFailure)}
        except Exception:
            log.exception("%s failed", name)
            return {"error": "The server could not do that; its log says why.", "again": True}

    answer.__name__ = name
    return answer


def _asks_hugging_face() -> bool:
    return "OAUTH_CLIENT_ID" in os.environ


def _account(visitor: gr.Request, profile: gr.OAuthProfile | None) -> str | None:
    """Under which name the visitor signed in, where that is asked for."""
    if profile is not None:
        return profile.username
    app = visitor.app  # Gradio hands on the request itself, and keeps who signed in to itself
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    tokens = (visitor.cookies.get(name) for name in names)
    return next((app.tokens[token] for token in tokens if token in app.tokens), None)
