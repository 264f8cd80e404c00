"""The one place that opens files of data: regular files, and never far more than their bytes hold.

What others wrote is not trusted: a pipe would hang, a device has no end, a few kilobytes may
unpack to terabytes, and libraries raise whatever damaged bytes lead them to.
"""

from __future__ import annotations

import contextlib
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchbench.errors import BenchError, DataMissing

UNPACKED_BYTES = 1 << 30
"""What any file may unpack to."""
UNPACKED_RATIO = 300
"""A larger one may unpack to this many times its own size; Moving MNIST's reach 60."""

TEXT_BYTES = 1 << 26
"""A longer list of names or dates is none."""

SHOWN, LONGEST = 8, 100
"""Names of a list that are shown, and signs of each."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
FAULTS = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
    *(RuntimeError, SyntaxError, MemoryError, AssertionError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)
"""What parsers raise when damaged bytes lead them astray."""


def require_file(path: Path) -> int:
    """The size of a regular file; anything else is refused unread.

    Raises:
        DataMissing: it is none, or not there.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        fault = "a link that leads nowhere" if path.is_symlink() else "no such file"
        raise DataMissing(f"{path}: {fault}") from None
    except (OSError, ValueError) as error:
        raise DataMissing(f"{path}: cannot be read ({reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise DataMissing(f"{path}: {kind}; expected a regular file")
    return status.st_size


def open_file(path: Path) -> IO[bytes]:
    """A regular file, open for reading.

    Raises:
        DataMissing: it is none, not there, or may not be read.
    """
    require_file(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise DataMissing(f"{path}: cannot be read ({reason(error)})") from None


def read_text(path: Path, *, expected: str) -> str:
    """The text of a small regular file.

    Raises:
        DataMissing: it is none, too long, or not in UTF-8.
    """
    if (size := require_file(path)) > TEXT_BYTES:
        raise DataMissing(f"{path}: {size} bytes; {expected}, {TEXT_BYTES} bytes at most")
    with parsing(path, "not a text in UTF-8", expected), open_file(path) as file:
        return file.read(TEXT_BYTES).decode("utf-8-sig")


def require_size(where: Path | str, *, packed: int, unpacked: int) -> None:
    """Refuses what unpacks to far more than data of its size hold.

    Raises:
        DataMissing: naming the limit.
    """
    limit = unpacked_limit(packed)
    if unpacked > limit:
        raise DataMissing(
            f"{where}: {packed} bytes that would unpack to {unpacked}; expected {limit} at most "
            f"(1 GiB, or {UNPACKED_RATIO} times its size); if that is meant, unpack it yourself"
        )


def unpacked_limit(packed: int) -> int:
    """How many bytes may be unpacked from so many."""
    return max(UNPACKED_BYTES, UNPACKED_RATIO * packed)


@contextlib.contextmanager
def parsing(where: Path | str, fault: str, expected: str) -> Iterator[None]:
    """Turns whatever a library raises on damaged bytes into one sentence.

    Raises:
        DataMissing: in its place.
    """
    try:
        yield
    except BenchError:
        raise
    except FAULTS as error:
        raise DataMissing(f"{where}: {fault} ({reason(error)}); {expected}") from None


def plain(*names: str) -> str:
    """Names that others chose, on one line; the first few of many."""
    shown = [repr(name[:LONGEST])[1:-1] for name in names[:SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")


def reason(error: BaseException) -> str:
    """What an error says, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return plain(" ".join(text.split()))
