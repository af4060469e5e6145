"""CSR Studio: review what a concept model sees in an image, and argue with it.

    python app.py    # then open http://127.0.0.1:7860

Layout and wiring only. What the page does is in `assets/`, what it asks for in
`csr_core/service.py`.
"""

import logging
import os
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr
import typer
from gradio.utils import get_upload_folder

from csr_core.annotation.helping import HelpService
from csr_core.annotation.outcome import OutcomeService
from csr_core.annotation.roots import ProjectRoots
from csr_core.annotation.service import AnnotationService
from csr_core.cases import CaseExpired, CaseStore
from csr_core.models import Models
from csr_core.pages.annotate import add_annotate_page, read_accounts
from csr_core.service import REFUSALS, ReviewService
from csr_core.wire import RequestError

__all__ = ["build", "launch", "main"]

ROOT = Path(__file__).parent
ASSETS = ROOT / "assets"
SCRIPTS = (
    *("evidence.js", "strokes.js", "marks.js", "overlay.js", "viewport.js", "canvas.js"),
    *("panel.js", "history.js", "exemplar.js", "meeting.js"),
    *("memory.js", "wire.js", "review.js", "remember.js", "edits.js"),
    *("counsel.js", "keeping.js", "cases.js", "worklist.js", "controls.js"),
)
STYLES = (
    *("studio.css", "review.css", "evidence.css", "counsel.css", "modes.css"),
    *("drawing.css", "annotate.css", "annotate_sheets.css", "screens.css"),
)
MAX_UPLOAD = "64mb"
UPLOAD_LIFETIME = 600
BACKGROUND = "#0f1317"
CONTENT_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'"
)

Scope = MutableMapping[str, Any]
Send = Callable[[Scope], Awaitable[None]]

log = logging.getLogger("csr_studio")


class KeepToThisHost:
    """ASGI middleware whose headers forbid the page every request to another host."""

    def __init__(self, app: Callable[[Scope, Any, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """Pass the request on, and add headers to its answer."""

        async def send_with_policy(message: Scope) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", CONTENT_POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_policy)


def for_browser(function: Callable[..., dict[str, Any]]) -> Callable[[object], dict[str, Any]]:
    """Make a function of a request that answers refusals as data, for the screen to show."""

    @wraps(function)
    def answer(request: object) -> dict[str, Any]:
        try:
            return function(request)
        except REFUSALS as refusal:
            return {"error": str(refusal), "expired": isinstance(refusal, CaseExpired)}
        except Exception:
            log.exception("%s failed", function.__name__)
            return {"error": "The server could not do that; its log says why.", "expired": False}

    return answer


def browser_functions(service: ReviewService) -> list[Callable[[object], dict[str, Any]]]:
    """What the canvas component may call, each with one request."""

    def fields(request: object) -> dict[str, Any]:
        if not isinstance(request, dict):
            raise RequestError("A request is an object.")
        return request

    @for_browser
    def start(_request: object) -> dict[str, Any]:
        return service.start()

    @for_browser
    def open_case(request: object) -> dict[str, Any]:
        files = getattr(request, "files", None)  # a form with an upload, else plain JSON
        if files:
            name, data = files[0]
            form = getattr(request, "data", {})
            return service.open_upload(form.get("model"), data, str(name)[:120])
        asked = fields(request)
        return service.open_bundled(asked.get("model"), asked.get("case"))

    def about_edits(function: Callable[..., dict[str, Any]]) -> Callable[[object], dict[str, Any]]:
        """Call a function with the case, the edits and the semantics of a request."""

        def answer(request: object) -> dict[str, Any]:
            asked = fields(request)
            return function(asked.get("key"), asked.get("edits"), asked.get("semantics"))

        answer.__name__ = function.__name__
        return for_browser(answer)

    @for_browser
    def exemplar(request: object) -> dict[str, Any]:
        asked = fields(request)
        return service.exemplar(asked.get("model"), asked.get("concept"), asked.get("prototype"))

    @for_browser
    def open_session(request: object) -> dict[str, Any]:
        files = getattr(request, "files", None)
        if not files:
            raise RequestError("Give the session as a file.")
        return service.open_session(files[0][1], getattr(request, "data", {}).get("key"))

    @for_browser
    def keep(request: object) -> dict[str, Any]:
        return service.keep(fields(request))

    edited = [about_edits(step) for step in (service.reason, service.change_answer, service.advise)]
    return [start, open_case, *edited, keep, open_session, exemplar]


def add_endpoints(service: ReviewService) -> None:
    """Add `/models`, `/encode` and `/reason`, the same steps for `gradio_client`."""

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: object) -> Any:
            try:
                return function(*args)
            except REFUSALS as refusal:
                raise gr.Error(str(refusal), print_exception=False) from refusal

        return call

    @refusing
    def models() -> list[dict[str, Any]]:
        """List the models: name, title and card."""
        return service.start()["models"]

    @refusing
    def encode(image: str | None, model: str) -> dict[str, Any]:
        """Open an image file: key, grid, concepts, classes, probabilities."""
        if image is None:
            raise RequestError("Give the image as a file.")
        path = Path(image)
        try:
            opened = service.open_image(model, path.read_bytes(), "The image")
        finally:
            path.unlink(missing_ok=True)
        return {
            "key": opened["key"],
            "grid": opened["grid"],
            "concepts": opened["concepts"],
            "classes": opened["classes"],
            "probabilities": opened["verdict"]["probabilities"],
        }

    @refusing
    def reason(key: str, edits: object, semantics: str) -> dict[str, Any]:
        """Reason about an open image under a list of edits: the verdict."""
        return service.reason(key, edits, semantics)["verdict"]

    trigger = gr.Button(visible=False)
    image = gr.File(label="image", type="filepath", visible=False)
    model = gr.Textbox(label="model", visible=False)
    key = gr.Textbox(label="key", visible=False)
    edits = gr.JSON(label="edits", visible=False)
    semantics = gr.Textbox("calibrated", label="semantics", visible=False)
    answer = gr.JSON(label="answer", visible=False)
    for function, inputs in (
        (models, []),
        (encode, [image, model]),
        (reason, [key, edits, semantics]),
    ):
        trigger.click(function, inputs, answer, api_name=function.__name__)


def build(service: ReviewService) -> gr.Blocks:
    """Lay out the review page: its component, and the endpoints."""
    with gr.Blocks(
        title="CSR Studio",
        analytics_enabled=False,
        delete_cache=(UPLOAD_LIFETIME, UPLOAD_LIFETIME),
    ) as demo:
        gr.HTML(
            html_template=(ASSETS / "review.html").read_text("utf-8"),
            js_on_load="\n".join((ASSETS / name).read_text("utf-8") for name in SCRIPTS),
            apply_default_css=False,
            server_functions=browser_functions(service),
        )
        add_endpoints(service)
    return demo


def launch(
    demo: gr.Blocks,
    host: str,
    port: int | None,
    open_browser: bool = False,
    accounts: list[tuple[str, str]] | None = None,
) -> None:
    """Serve the pages, privately, and return once they can be visited."""
    demo.launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        auth=accounts,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        footer_links=[],
        max_file_size=MAX_UPLOAD,
        css_paths=[ASSETS / name for name in STYLES],
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
            body_background_fill=BACKGROUND, body_background_fill_dark=BACKGROUND
        ),
        app_kwargs={"middleware": [(KeepToThisHost, (), {})]},
    )


def main(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; 127.0.0.1, or 0.0.0.0 on Hugging Face Spaces."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; the first free one from 7860 on.")] = None,
    checkpoints: Annotated[Path, typer.Option(help="Folder that holds checkpoint folders.")] = ROOT
    / "checkpoints",
    data: Annotated[
        Path | None,
        typer.Option(help="Data folder with the pictures of atlases that ship none."),
    ] = None,
    store: Annotated[
        str,
        typer.Option(
            help="Where annotations are kept: a file, or postgresql://user@host/database."
        ),
    ] = "annotations.db",
    project_root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of folders of images, from which projects may be made."),
    ] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(help="File with a line name:password for everybody who may sign in."),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
) -> None:
    """Serve CSR Studio. Research use only – not a medical device."""
    try:
        models = Models(checkpoints)
        service = ReviewService(models, ASSETS / "cases", CaseStore(), data)
        work = AnnotationService(store, models, ASSETS / "cases", ProjectRoots(project_root or ()))
        names = read_accounts(accounts) if accounts else None
    except (OSError, ValueError) as problem:
        raise typer.BadParameter(str(problem)) from problem
    local = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    demo = build(service)
    outcome = OutcomeService(work, models, store, Path(get_upload_folder()) / "exports")
    add_annotate_page(demo, work, HelpService(work, models), outcome, ASSETS)
    try:
        address = host or os.environ.get("GRADIO_SERVER_NAME", local)
        launch(demo, address, port, open_browser, names)
    except OSError as problem:
        taken = f"port {port} is" if port else "the ports from 7860 on are"
        raise typer.BadParameter(f"{taken} not free; choose another with --port.") from problem
    print(f"CSR Studio is at {demo.local_url}")
    threading.Thread(target=service.warm_up, daemon=True).start()
    demo.block_thread()


if __name__ == "__main__":
    typer.run(main)
