"""Small JSON files with types: read whole, or told in one sentence with what to do about it.

Whatever lies under a path (nothing, a folder, a pipe, gigabytes, half a file, another type, 10^5
brackets) is a value of the type, None or `Damaged`. No torch.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import stat
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

from benchbench.atomic import write_text
from benchbench.errors import Damaged
from benchbench.folder import data_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST = 1 << 26
"""Bytes of the largest file that is read; ours have thousands."""
LONGEST = 200
"""Characters of a fault that are told."""

T = TypeVar("T")


class Content(NamedTuple):
    """A file's bytes, and when it was last touched by the clock of its file system."""

    data: bytes
    touched: float


def read(path: Path, kind: type[T], mend: str) -> T | None:
    """The value in a JSON file; None where there is no file.

    Args:
        path: the file.
        kind: what its value must be: a dataclass, a TypedDict, a pydantic model.
        mend: what to do where it is not.

    Raises:
        Damaged: the file is not such a value.
    """
    content = read_content(path, mend)
    return None if content is None else parse(content.data, kind, path, mend)


def read_content(path: Path, mend: str) -> Content | None:
    """The whole content of a file; None where there is none.

    Raises:
        Damaged: it is no file of a small size, or cannot be read.
    """
    with open_file(path, mend) as file:
        if file is None:
            return None
        facts = os.fstat(file.fileno())
        if facts.st_size > LARGEST:
            raise Damaged(path, f"{facts.st_size:,} bytes, at most {LARGEST:,}", mend)
        return Content(file.read(LARGEST), facts.st_mtime)


@contextlib.contextmanager
def open_file(path: Path, mend: str) -> Iterator[BinaryIO | None]:
    """A file to be read, closed at the end; None where there is none.

    It is opened and not only looked at, which makes network file systems ask anew.

    Raises:
        Damaged: it is no file, or cannot be read.
    """
    try:
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115 (closed below)
    except IsADirectoryError:
        raise Damaged(path, "a folder, not a file", mend) from None
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise Damaged(path, "a link to nothing", mend) from None
        yield None
        return
    except OSError as error:
        raise Damaged.unreadable(path, error) from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Damaged(path, "not a file", mend)
        yield file


def parse(data: bytes, kind: type[T], path: Path, mend: str) -> T:
    """The value in JSON text that was read from a path.

    Raises:
        Damaged: the text is not such a value.
    """
    with _telling(path, mend):
        return cast(T, _adapter(cast(Hashable, kind)).validate_json(data))


def typed(values: dict[str, Any], kind: type[T], path: Path, mend: str) -> T:
    """The value in plain values that were parsed of a path.

    Raises:
        Damaged: they are not such a value.
    """
    with _telling(path, mend):
        return cast(T, _adapter(cast(Hashable, kind)).validate_python(values))


def write_cache(path: Path, value: Any) -> None:
    """Writes what can be computed again as JSON, below the SHA-256 of the text and its name.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(value)
    write_text(path, f"{_seal(path, text.encode())}\n{text}\n")


def read_cache(path: Path, kind: type[T]) -> T | None:
    """The value of `write_cache`; None where it is not just what was written there."""
    with contextlib.suppress(Damaged):
        if (content := read_content(path, "")) is not None:
            sealed, _, text = content.data.removesuffix(b"\n").partition(b"\n")
            if sealed.decode("ascii", "replace") == _seal(path, text):
                return parse(text, kind, path, "")
    return None


def remember(name: str, value: Any) -> None:
    """Writes a cache of a name in the data folder, if one can be written there."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: no home folder
        write_cache(data_folder() / name, value)


def recall(name: str, kind: type[T]) -> T | None:
    """The value that was remembered under a name; None where there is none to be trusted."""
    with contextlib.suppress(ValueError):  # no home folder
        return read_cache(data_folder() / name, kind)
    return None


def _seal(path: Path, text: bytes) -> str:
    """The name is part of it, so that a file copied over another is told."""
    return hashlib.sha256(path.name.encode() + b"\n" + text).hexdigest()


def spelled(value: Any) -> Any:
    """Plain values as JSON has them, which has neither inf nor nan: they are text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    return value


@contextlib.contextmanager
def _telling(path: Path, mend: str) -> Iterator[None]:
    """Turns what pydantic has against a value into one sentence about its first fault."""
    from pydantic import ValidationError  # takes long, and help needs no file

    try:
        yield
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))
        what = f"{place}: {fault['msg']}" if place else fault["msg"]
        raise Damaged(path, what[:LONGEST], mend) from None


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for somebody to write, where the file is a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
