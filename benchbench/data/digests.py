"""SHA-256 of files, read once for each state of a file.

A file is taken for unchanged where its size, its inode and both its times of change, of content and
of inode, are those it had when it was read: copies that keep the first time have another of the
second. What was read is noted in one file beside the data, or in the data folder where that cannot
be written. It is a cache and no more: damaged, deleted or written by two at once, it only makes
files be read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchbench.atomic import write_text
from benchbench.data.opening import require_file
from benchbench.digest import file_digest
from benchbench.errors import DataMissing
from benchbench.folder import data_folder

log = logging.getLogger(__name__)

READERS = 8
"""Files that are read at a time: on network file systems most of the time is waiting."""
TICK_NS, COARSE_TICK_NS = 20_000_000, 2_000_000_000
"""How far apart two changes must be for the clocks of file systems to tell them apart."""


class Stamp(NamedTuple):
    """What changes where a file does."""

    size: int
    inode: int
    mtime_ns: int
    ctime_ns: int


class Digest(NamedTuple):
    """The SHA-256 of a file, and the state in which it was read."""

    stamp: Stamp
    sha256: str


_digests: dict[str, Digest] = {}
"""Digests that this process has computed or read, by the file's absolute path; see `is_settled`."""
_roots: set[str] = set()
"""Folders and files whose cache this process has read."""
_anew: list[bool] = []
"""One for each `read_anew` that this process is in."""


def stamp(path: Path | str) -> Stamp:
    """The state of a file, that of its target for a link.

    Raises:
        FileNotFoundError: there is none.
    """
    facts = os.stat(path)  # noqa: PTH116 (no Path for each of 100,000)
    return Stamp(facts.st_size, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns)


@contextlib.contextmanager
def read_anew() -> Iterator[None]:
    """Reads every file once more inside, whatever was noted of it."""
    _digests.clear()
    _roots.clear()
    _anew.append(True)
    try:
        yield
    finally:
        _anew.pop()


def reading_anew() -> bool:
    """Whether what was noted before counts for nothing."""
    return bool(_anew)


def sha256(path: Path) -> str:
    """The SHA-256 of one file; if it has to be read, that is noted for this process only."""
    return sha256s([path])[path]


def sha256s(paths: Iterable[Path], *, root: Path | None = None) -> dict[Path, str]:
    """The SHA-256 of files.

    Args:
        paths: the files.
        root: the folder that they lie in, or the one file; its cache lies beside it.

    Raises:
        DataMissing: one is absent, cannot be read, or changes while it is read.
    """
    pairs = [(path, str(path.absolute())) for path in paths]
    if root is not None and not reading_anew():
        _load(root)
    changed = [place for _, place in pairs if not _unchanged(place)]
    now = time.time_ns()
    with ThreadPoolExecutor(READERS) as pool:
        entries = dict(zip(changed, pool.map(_read, changed), strict=True))
    for place, entry in entries.items():
        _digests.pop(place, None)
        if is_settled(entry.stamp, now):
            _digests[place] = entry
    if root is not None and changed:
        _save(root)
    return {path: (entries.get(place) or _digests[place]).sha256 for path, place in pairs}


def _unchanged(place: str) -> bool:
    entry = _digests.get(place)
    return entry is not None and entry.stamp == _stamp(place)


def _stamp(place: str) -> Stamp:
    try:
        return stamp(place)
    except OSError as error:
        raise _unreadable(place, error) from None


def _unreadable(place: str, error: OSError) -> DataMissing:
    absent = isinstance(error, FileNotFoundError)
    return DataMissing(f"{place}: {'no such file' if absent else f'cannot be read, {error}'}")


def _read(place: str) -> Digest:
    """The digest of a file that stands still."""
    before = _stamp(place)
    require_file(Path(place))
    try:
        digest = file_digest(Path(place))
    except OSError as error:
        raise _unreadable(place, error) from None
    if _stamp(place) != before:
        raise DataMissing(f"{place}: changes while it is read; wait until it is written")
    return Digest(before, digest)


def is_settled(state: Stamp, now: int) -> bool:
    """Whether a change of a file from now on, in nanoseconds since the epoch, will show."""
    newest = max(state.mtime_ns, state.ctime_ns)
    coarse = state.ctime_ns % 1_000_000_000 == 0
    return now - newest > (COARSE_TICK_NS if coarse else TICK_NS)


def _places(root: Path) -> list[Path]:
    """Where the cache of a folder or file lies, the best place first.

    Beside it and not in it: a dataset may take every file of its folder for data.
    """
    absolute = root.absolute()
    short = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]
    elsewhere = data_folder() / "digests" / f"{absolute.name}-{short}.json"
    return [absolute.with_name(f".{absolute.name}.digests"), elsewhere]


def _load(root: Path) -> None:
    """Takes in what the cache of a root has of files that this process knows nothing of."""
    if (place := str(root.absolute())) not in _roots:
        _roots.add(place)
        for path in reversed(_places(root)):
            for name, entry in _parse(path).items():
                _digests.setdefault(f"{place}{name}", entry)


def _parse(path: Path) -> dict[str, Digest]:
    """The digests in a cache by the names of files below its root; none if it is damaged."""
    try:
        total, _, text = path.read_bytes().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != total:
            return {}
        values: dict[str, list[str | int]] = json.loads(text)
        return {
            name: Digest(Stamp(*(int(n) for n in numbers)), str(digest))
            for name, (digest, *numbers) in values.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(root: Path) -> None:
    place = str(root.absolute())
    below = place + os.sep
    values = {
        path[len(place) :]: [entry.sha256, *entry.stamp]
        for path, entry in list(_digests.items())
        if path == place or path.startswith(below)
    }
    text = json.dumps(values, separators=(",", ":"))
    total = hashlib.sha256(text.encode()).hexdigest()
    faults = []
    for path in _places(root):
        try:
            write_text(path, f"{total}\n{text}")
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
        else:
            return
    log.info("digests cannot be noted (%s): files are read anew each time", "; ".join(faults))
