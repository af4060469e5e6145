"""Files that are whole or absent: atomic writing, and bounded reading of JSON."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["atomic_folder", "atomic_target", "read_json", "write_bytes_atomic", "write_json_atomic"]


@contextmanager
def atomic_target(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that becomes ``path`` when the block succeeds.

    The temporary file exists, is empty and keeps the suffix of ``path``, so writers that choose a
    format by suffix can be handed it. When the block raises, it is removed and ``path`` stays as
    it was.

    Args:
        path: The file to create or replace; its folder is created if needed.

    Yields:
        The path to write to.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.stem[:100]}.{secrets.token_hex(8)}{path.suffix}"
    # Not tempfile: its files are private to the user, and the target should follow the umask.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` that takes its place when the block succeeds.

    Until then what is there stays; when the block raises, the new folder is removed.

    Args:
        folder: The folder to create or replace; its parent is created if needed.

    Yields:
        The folder to write to.

    Raises:
        OSError: The folder can't be made or put in place.
    """
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    draft.mkdir(parents=True)
    try:
        yield draft
        retired = draft.with_name(f"{draft.name}.old")
        if folder.exists():
            folder.rename(retired)
        try:
            draft.rename(folder)
        except OSError:
            if retired.exists():
                retired.rename(folder)
            raise
        shutil.rmtree(retired, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: The file to create or replace; its folder is created if needed.
        data: The whole content.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    with atomic_target(path) as temporary:
        temporary.write_bytes(data)


def write_json_atomic(path: Path, value: object) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically.

    Args:
        path: The file to create or replace; its folder is created if needed.
        value: Anything the ``json`` module writes; NaN and infinities are not JSON.

    Raises:
        OSError: The folder or the file cannot be written.
        TypeError: ``value`` holds something JSON has no form for.
        ValueError: ``value`` holds NaN or an infinity.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes_atomic(path, f"{text}\n".encode())


def read_json(path: Path, max_bytes: int) -> Any:
    """Read a JSON file that may come from anywhere.

    Args:
        path: A UTF-8 file, with or without a byte order mark.
        max_bytes: Refuse a larger file without reading it whole.

    Returns:
        The decoded value; its structure is not checked.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is too large, not UTF-8, not JSON, nested too deeply, or holds NaN.
    """
    with path.open("rb") as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{path.name} is larger than the {max_bytes:,} bytes allowed")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path.name} is not valid JSON: {error.msg} (line {error.lineno}, "
            f"column {error.colno})"
        ) from error
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
