"""Projects and annotations to test the exchange of annotations with."""

from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, ConceptMark, Vocabulary
from csr_core.annotation.store import Case, Project, Read
from csr_core.datasets.regions import Box

WORDS = Vocabulary(("streaks", "pigment network"), ("nevus", "melanoma"))
H, W = 33, 40
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def project_in(folder: Path, count: int = 1) -> tuple[Project, list[Case]]:
    """A project over new images `image_0`, `image_1`, …; every third is in split val."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(count):
        name = f"image_{number}"
        Image.new("RGB", (W, H), (number % 256, 90, 120)).save(folder / f"{name}.png")
        split = "val" if number % 3 == 2 else "train"
        cases.append(Case(number + 1, "P", name, f"{name}.png", split, H, W, number))
    return Project("P", folder, WORDS, "", "Moles"), cases


def read(case: Case, reader: str, annotation: Annotation) -> Read:
    return Read(case, reader, annotation, AT)


def marked(status="done", **others) -> Annotation:
    """An annotation of fields and, by their names with underscores, marks of concepts."""
    marks = {
        name: others.pop(name.replace(" ", "_"))
        for name in WORDS.concepts
        if name.replace(" ", "_") in others
    }
    return Annotation(MappingProxyType(marks), status=status, **others)


def spot(top=2, left=3, bottom=10, right=20, height=H, width=W) -> Mask:
    region = np.zeros((height, width), bool)
    region[top:bottom, left:right] = True
    return Mask.of(region)


def _boxes(concept):
    fractions = st.tuples(
        *[st.floats(0, 1, width=64)] * 4,
    ).filter(lambda c: min(c[2] - c[0], c[3] - c[1]) > 1e-6)
    return st.lists(fractions.map(lambda corners: Box(concept, *corners)), max_size=3).map(tuple)


def _marks(concept):
    blocks = arrays(bool, (H // 3, W // 4)).filter(np.any)
    masks = blocks.map(lambda region: Mask.of(np.kron(region, np.ones((3, 4), bool))))
    shown = st.builds(
        ConceptMark, st.sampled_from(["yes", "unsure", None]), st.none() | masks, _boxes(concept)
    )
    return shown.filter(lambda mark: mark != ConceptMark()) | st.just(ConceptMark("no"))


COMMENTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | (
    st.sampled_from(['two\nlines\r\n"quoted", =1+1', "été 模型 😀\u2028", "\\n 'x'"])
)
ANNOTATIONS = st.builds(
    Annotation,
    st.fixed_dictionaries({}, optional={name: _marks(name) for name in WORDS.concepts}).map(
        MappingProxyType
    ),
    st.sampled_from([None, *WORDS.classes]),
    st.sampled_from([None, 1, 3, 5]),
    COMMENTS,
    st.just("done"),
    st.booleans(),
)
"""Whatever a reader may say who is done."""
