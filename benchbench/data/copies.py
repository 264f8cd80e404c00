"""Copies of data files in another form, to be mapped: arrays unpacked, videos decoded.

A copy lies under the digest of the files that it was made of, so that other files have another
copy, and its own digest lies beside it, so that one that was damaged is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from benchbench.atomic import write_text
from benchbench.data.digests import sha256, sha256s
from benchbench.errors import DataMissing
from benchbench.folder import data_folder


def copy_place(sources: Iterable[Path], how: str, name: str) -> Path:
    """Where a copy lies, there or not.

    Args:
        sources: the files that it is made of, in order.
        how: all else that decides what is in it.
        name: its file name.

    Raises:
        DataMissing: a source is absent.
    """
    sources = list(sources)
    sums = sha256s(sources)
    mark = "\n".join([*(sums[path] for path in sources), how])
    short = hashlib.sha256(mark.encode(errors="surrogateescape")).hexdigest()[:16]
    return data_folder() / "unpacked" / f"{sources[0].stem[:40]}-{short}" / name


def make_copy(copy: Path, write: Callable[[Path], None]) -> None:
    """Has a copy written, unless a whole one is there."""
    if not _is_whole(copy):
        write(copy)
        write_text(_note(copy), sha256(copy))


def require_copy(copy: Path) -> Path:
    """The path of a copy, if a whole one lies there.

    Raises:
        DataMissing: there is none, or it was damaged.
    """
    if not _is_whole(copy):
        state = "damaged since it was made" if copy.exists() else "no such file"
        raise DataMissing(f"{copy}: {state}; prepare the dataset first, which makes it anew")
    return copy


def _is_whole(copy: Path) -> bool:
    try:
        note = _note(copy).read_text(encoding="ascii")
        return sha256s([copy], root=copy)[copy] == note
    except (OSError, ValueError):  # DataMissing is an OSError
        return False


def _note(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.sha256")
