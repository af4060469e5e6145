"""Reading the files of a data set that people and programs write: dataset.json and CSV tables."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from csr_core.datasets.problems import Problem, is_safe_name, shown
from csr_core.files import read_json

__all__ = ["RESERVED_COLUMNS", "Description", "Row", "read_description", "read_table"]

RESERVED_COLUMNS = ("image_id", "split", "diagnosis")

_MAX_DESCRIPTION_BYTES = 1024 * 1024
_MAX_TABLE_BYTES = 256 * 1024 * 1024
_MAX_TEXT = 2000
_NAME_RULE = "letters, digits, space, '.', '_' or '-', at most 128, not starting with a dot"


@dataclass(frozen=True)
class Description:
    """The checked content of ``dataset.json``."""

    name: str
    classes: tuple[str, ...]
    concepts: tuple[str, ...]
    artefacts: tuple[str, ...]
    licence: str
    source: str


@dataclass(frozen=True)
class Row:
    """One line of a table: its line number and its stripped cells by column."""

    line: int
    cells: dict[str, str]


def read_description(root: Path, problems: list[Problem]) -> Description | None:
    """Read ``dataset.json``, adding what is wrong to ``problems``.

    Args:
        root: Folder of the data set.
        problems: Grows by every fault found.

    Returns:
        The description, with faulty entries left out, or None if the file cannot be read at all.
    """
    file = "dataset.json"
    try:
        content = read_json(root / file, _MAX_DESCRIPTION_BYTES)
    except (OSError, ValueError) as error:
        reason = "no readable file" if isinstance(error, OSError) else str(error)
        problems.append(
            Problem(file, None, None, reason, "JSON with name, classes, concepts and artefacts")
        )
        return None
    if not isinstance(content, dict):
        problems.append(Problem(file, None, None, shown(content), "a JSON object"))
        return None

    name = _text(content, "name", problems)
    if not name:
        problems.append(Problem(file, None, "name", "nothing", "the name of the data set"))
    classes = _names(content, "classes", 2, problems)
    concepts = _names(content, "concepts", 1, problems)
    artefacts = _names(content, "artefacts", 0, problems)
    columns = [*RESERVED_COLUMNS, *concepts, *artefacts]
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        problems.append(
            Problem(
                file,
                None,
                "concepts, artefacts",
                f"{shown(column)} more than once",
                f"one column of labels.csv per name, and none called {_list(RESERVED_COLUMNS)}",
            )
        )
    licence, source = _text(content, "licence", problems), _text(content, "source", problems)
    return Description(name, classes, concepts, artefacts, licence, source)


def read_table(
    root: Path, file: str, columns: tuple[str, ...], problems: list[Problem]
) -> tuple[Row, ...]:
    """Read a UTF-8 CSV table with a header, adding what is wrong to ``problems``.

    Args:
        root: Folder of the data set.
        file: Name of the table in it.
        columns: Columns the table must have; others are read as well and blank lines skipped.
        problems: Grows by every fault found.

    Returns:
        The rows that have one cell for each column of the header, a missing column being blank;
        none if the file cannot be read or the columns that name images or concepts are missing.
    """
    text = _read_text(root / file, file, problems)
    if text is None:
        return ()
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows = []
    line = 1
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not header:
                header = cells
            elif len(cells) == len(header):
                named = zip(header, cells, strict=True)
                rows.append(Row(line, dict.fromkeys(columns, "") | dict(named)))
            elif any(cells):
                problems.append(
                    Problem(file, line, None, f"{len(cells)} cells", f"{len(header)} cells")
                )
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(file, line, None, f"broken CSV ({error})", "a well-formed row"))
    missing = [column for column in columns if column not in header]
    for column in missing:
        expected = f"columns {_list(columns)}, separated by commas"
        problems.append(Problem(file, 1, column, "no such column", expected))
    for column in sorted({column for column in header if header.count(column) > 1}):
        problems.append(Problem(file, 1, shown(column), "the column twice", "the column once"))
    return tuple(rows) if not set(missing) & {"image_id", "concept"} else ()


def _read_text(path: Path, file: str, problems: list[Problem]) -> str | None:
    expected = "a CSV table in UTF-8"
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_TABLE_BYTES + 1)
    except OSError:
        problems.append(Problem(file, None, None, "no readable file", expected))
        return None
    if len(data) > _MAX_TABLE_BYTES:
        found = f"more than {_MAX_TABLE_BYTES // 1024**2} MB"
        problems.append(Problem(file, None, None, found, expected))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{data[error.start]:02x}, which is not UTF-8"
        problems.append(Problem(file, line, None, found, expected))
        return None


def _names(
    content: dict[str, object], key: str, at_least: int, problems: list[Problem]
) -> tuple[str, ...]:
    file = "dataset.json"
    values = content.get(key, [])
    if not isinstance(values, list):
        problems.append(Problem(file, None, key, shown(values), "a list of names"))
        return ()
    if len(values) < at_least:
        expected = f"a list of at least {at_least} name{'s' * (at_least > 1)}"
        found = "nothing" if key not in content else f"{len(values)} names"
        problems.append(Problem(file, None, key, found, expected))
    names: list[str] = []
    for value in values:
        if not isinstance(value, str) or not is_safe_name(value):
            problems.append(Problem(file, None, key, shown(value), f"a name of {_NAME_RULE}"))
        elif value in names:
            problems.append(Problem(file, None, key, f"{shown(value)} twice", "each name once"))
        else:
            names.append(value)
    return tuple(names)


def _text(content: dict[str, object], key: str, problems: list[Problem]) -> str:
    value = content.get(key, "")
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        return value.strip()
    expected = f"text of at most {_MAX_TEXT} characters"
    problems.append(Problem("dataset.json", None, key, shown(value), expected))
    return ""


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
