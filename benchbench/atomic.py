"""Files that are whole or absent, whatever kills the writer."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
"""Names of the files that are not yet in place."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on success it is flushed to disk and renamed over it.

    On an exception the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        temporary.touch()
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a folder that is only to be read
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def check_writable(folder: Path) -> None:
    """Makes a folder if it is not there, and a file in it, which is gone at once.

    Raises:
        OSError: the folder takes no file, or none that holds something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def sweep(folder: Path) -> None:
    """Deletes what writers that were killed left half-written in a folder, by our names only."""
    for path in folder.glob(".*.tmp"):
        if TEMPORARY.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces the text of a file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def create_text(path: Path, text: str) -> bool:
    """Puts a whole file where there is none; False where there is one."""
    temporary = _beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        os.utime(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # a network file system may have linked it and lost the answer
            return temporary.stat().st_nlink == 2
        except OSError:
            return _create_exclusively(path, text)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _create_exclusively(path: Path, text: str) -> bool:
    """Creates a file where there are no hard links; a reader may see it empty for a moment."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _beside(path: Path) -> Path:
    """The name of a file of its own, which `sweep` deletes."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
