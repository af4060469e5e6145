"""The project that is there from the start: the bundled cases, in the words of a model."""

from pathlib import Path

from csr_core.annotation.names import folded
from csr_core.annotation.projects import NewCase, Project
from csr_core.annotation.records import Vocabulary
from csr_core.annotation.store import Store
from csr_core.files import read_json
from csr_core.imaging import decode_image
from csr_core.models import ModelShape

__all__ = ["DEMO", "ensure_demo"]

DEMO = "Demo"
INSTRUCTIONS = (
    "Synthetic lesions, to try the studio on. Say of each concept whether it is there, and mark "
    "where; then choose a diagnosis. What you mark is kept."
)
MAX_JSON_BYTES = 16_000_000


def ensure_demo(store: Store, gallery: Path, shape: ModelShape) -> None:
    """Make the demo project, if it isn't there.

    Args:
        store: to make it in.
        gallery: folder of the bundled cases, with their list `cases.json`.
        shape: of the model whose concepts and classes are asked for.
    """
    if folded(DEMO) in {folded(project.name) for project in store.projects()}:
        return
    cases = []
    for record in read_json(gallery / "cases.json", MAX_JSON_BYTES):
        path = str(record["file"])
        height, width = decode_image(gallery / path).shape[:2]
        cases.append(NewCase(Path(path).stem, path, "train", height, width))
    words = Vocabulary(shape.concepts, shape.classes)
    store.create_project(Project(DEMO, gallery.resolve(), words, INSTRUCTIONS), cases)
