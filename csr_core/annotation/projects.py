"""What is annotated, in which words: projects and their cases."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import RowMapping

from csr_core.annotation.masks import MAX_SIDE
from csr_core.annotation.names import StoreError, check_name, folded
from csr_core.annotation.records import Vocabulary
from csr_core.datasets.problems import is_safe_id, is_safe_name, shown

__all__ = [
    "Case",
    "NewCase",
    "Project",
    "case_columns",
    "case_of_row",
    "project_columns",
    "project_of_row",
    "read_vocabulary",
]

MAX_TEXT = 20_000


@dataclass(frozen=True)
class Project:
    """A worklist and the words it is annotated in.

    Attributes:
        name: 1 to 60 printable characters; case doesn't count.
        folder: where the images are.
        vocabulary: concepts and classes.
        instructions: to the readers.
        data_name: of the data set the images are from, if they are from one.
    """

    name: str
    folder: Path
    vocabulary: Vocabulary
    instructions: str = ""
    data_name: str = ""


@dataclass(frozen=True)
class NewCase:
    """An image to annotate.

    Attributes:
        image_id: as in a data set; unique in the project.
        path: of the image, relative to the project's folder, with forward slashes.
        split: it belongs to.
        height: regions are drawn at, in pixels.
        width: regions are drawn at, in pixels.
    """

    image_id: str
    path: str
    split: str = "train"
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class Case:
    """An image of a project.

    Attributes:
        id: in this store.
        project: name of the project.
        image_id: unique in the project.
        path: of the image, relative to the project's folder.
        split: it belongs to.
        height: regions are drawn at, in pixels.
        width: regions are drawn at, in pixels.
        position: in the project as listed, from 0.
    """

    id: int
    project: str
    image_id: str
    path: str
    split: str
    height: int
    width: int
    position: int


def project_columns(project: Project) -> dict[str, Any]:
    """Check a project and put it as a row.

    Raises:
        StoreError: saying what is wrong.
    """
    name = check_name(project.name, "project")
    words = project.vocabulary
    for what, names in (("concepts", words.concepts), ("classes", words.classes)):
        if len({folded(word) for word in names}) != len(names):
            raise StoreError(f"The {what} of a project differ from each other.")
        for word in names:
            if not is_safe_name(word):
                raise StoreError(
                    f"{shown(word)} can't be one of the {what}: use letters, digits, - and _."
                )
    texts = {
        "folder": str(project.folder),
        "instructions": project.instructions,
        "data_name": project.data_name,
    }
    for what, text in texts.items():
        if len(text) > MAX_TEXT or not _storable(text):
            raise StoreError(
                f"The {what.replace('_', ' ')} of a project is a text of at most {MAX_TEXT} "
                "characters."
            )
    vocabulary = json.dumps({"concepts": words.concepts, "classes": words.classes})
    return {"name": name, "folded_name": folded(name), "vocabulary": vocabulary, **texts}


def project_of_row(row: RowMapping) -> Project:
    """Read a project's row.

    Raises:
        StoreError: if its vocabulary is none.
    """
    return Project(
        row["name"],
        Path(row["folder"]),
        read_vocabulary(row["vocabulary"]),
        row["instructions"],
        row["data_name"],
    )


def case_columns(cases: Iterable[NewCase]) -> list[dict[str, Any]]:
    """Check cases and put them as rows, without project and position.

    Raises:
        StoreError: saying what is wrong with the first that is not as it should be.
    """
    rows: dict[str, dict[str, Any]] = {}
    for case in cases:
        _check(case)
        if case.image_id in rows:
            raise StoreError(
                f"Two images are called {case.image_id}: {case.path} and "
                f"{rows[case.image_id]['path']}; rename one."
            )
        rows[case.image_id] = vars(case).copy()
    return list(rows.values())


def case_of_row(row: RowMapping, project: str) -> Case:
    """Read a case's row."""
    names = ("id", "image_id", "path", "split", "height", "width", "position")
    return Case(project=project, **{name: row[name] for name in names})


def read_vocabulary(text: str) -> Vocabulary:
    """Read the vocabulary in a project's row.

    Raises:
        StoreError: if it is none.
    """
    try:
        match json.loads(text):
            case {"concepts": [*concepts], "classes": [*classes]} if all(
                isinstance(word, str) for word in [*concepts, *classes]
            ):
                return Vocabulary(tuple(concepts), tuple(classes))
    except (ValueError, RecursionError):
        pass
    raise StoreError("The concepts and classes of the project can't be read: the store is damaged.")


def _check(case: NewCase) -> None:
    if not is_safe_id(case.image_id):
        raise StoreError(
            f"{shown(case.image_id)} can't name an image: use letters, digits, ., - and _."
        )
    path = PurePosixPath(case.path)
    if not path.parts or path.is_absolute() or ".." in path.parts or not _storable(case.path):
        raise StoreError(f"The image {shown(case.path)} is not inside the project's folder.")
    if not is_safe_id(case.split):
        raise StoreError(f"{shown(case.split)} can't name a split: use letters, digits, - and _.")
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in (case.height, case.width)):
        raise StoreError(f"The image {case.image_id} has sides of 1 to {MAX_SIDE} pixels.")


def _storable(text: str) -> bool:
    """Tell whether every database can hold a text: no NUL, no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
