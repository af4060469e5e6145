"""Projects to annotate, for tests of the store."""

from pathlib import Path

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, Change, ConceptMark, Vocabulary, applied
from csr_core.annotation.store import Case, Event, NewCase, Project, Store

WORDS = Vocabulary(("streaks", "globules"), ("nevus", "melanoma"))
SPOT = Mask(2, 3, (1, 2, 3))
MARKED = Change("concept", ConceptMark("yes", SPOT), "streaks")
DONE = Change("status", "done")
FLAGGED = Change("flagged", True)


def new_cases(*image_ids: str) -> list[NewCase]:
    """Images of 2 x 3 pixels."""
    return [NewCase(name, f"images/{name}.png", "train", 2, 3) for name in image_ids]


def project_of(store: Store, *image_ids: str, name: str = "Moles") -> list[Case]:
    """The cases of a new project."""
    store.create_project(Project(name, Path("/data/moles"), WORDS), new_cases(*image_ids))
    return list(store.cases(name))


def folded_history(events: list[Event]) -> Annotation:
    """What changes add up to, which must follow each other without a gap."""
    annotation = Annotation()
    for revision, event in enumerate(events, start=1):
        assert event.revision == revision
        annotation = applied(annotation, event.change)
    return annotation
