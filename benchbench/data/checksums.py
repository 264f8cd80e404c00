"""Checksums of data files, computed once for each size and time of change.

They are kept in `checksums.json` in the data folder: for each path the size, the time of change,
the MD5 (the form in which most files were published) and the SHA-256, and the SHA-256 at the
first preparation. A file published without a checksum is trusted when it is first seen, and held
to that from then on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from benchbench.atomic import write_text
from benchbench.errors import DataMissing
from benchbench.folder import data_folder

log = logging.getLogger(__name__)

BLOCK = 1 << 20


@dataclass(frozen=True)
class Checksums:
    """What is known of a file."""

    size: int
    mtime_ns: int
    md5: str
    sha256: str
    first: str
    """SHA-256 when the file was first prepared."""

    def matches(self, digest: str) -> bool:
        """Whether a published digest, `md5:…` or `sha256:…`, is this file's."""
        kind, _, value = digest.partition(":")
        return value.lower() == {"md5": self.md5, "sha256": self.sha256}[kind]


def checksums(path: Path, *, fresh: bool = False) -> Checksums:
    """The checksums of a file; read again when size or time of change differ, or if `fresh`."""
    return checksums_of([path], fresh=fresh)[path]


def checksums_of(paths: Iterable[Path], *, fresh: bool = False) -> dict[Path, Checksums]:
    """The checksums of several files, with one look at what is known.

    Raises:
        FileNotFoundError: one is absent.
    """
    ledger = _ledger()
    found, news = {}, {}
    for path in paths:
        place = str(path.resolve())
        stat = path.stat()
        known = ledger.get(place)
        mark = (stat.st_size, stat.st_mtime_ns)
        if known is not None and (known.size, known.mtime_ns) == mark and not fresh:
            found[path] = known
            continue
        md5, sha256 = _read(path)
        first = known.first if known is not None else sha256
        found[path] = Checksums(*mark, md5, sha256, first)
        if found[path] != known:
            news[place] = found[path]
    if news:
        _remember(news)
    return found


def verify(path: Path, digest: str | None, *, fresh: bool = False) -> Checksums:
    """The checksums of a file that is the one published, or the one first seen.

    Raises:
        DataMissing: it is another.
    """
    found = checksums(path, fresh=fresh)
    if digest is not None and not found.matches(digest):
        kind = digest.partition(":")[0]
        got = found.md5 if kind == "md5" else found.sha256
        raise DataMissing(
            f"{path}: its checksum is {kind}:{got}; the published file has {digest}; "
            "delete it and prepare again"
        )
    if digest is None and found.first != found.sha256:
        raise DataMissing(
            f"{path}: its sha256 is {found.sha256}, but was {found.first} when first prepared; "
            f"restore it, or, if the new file is meant, delete {_place()}"
        )
    return found


def _read(path: Path) -> tuple[str, str]:
    md5 = hashlib.md5(usedforsecurity=False)
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
    return md5.hexdigest(), sha256.hexdigest()


def _place() -> Path:
    return data_folder() / "checksums.json"


def _ledger() -> dict[str, Checksums]:
    try:
        text = _place().read_text(encoding="utf-8")
        return {path: Checksums(**entry) for path, entry in json.loads(text).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataMissing(
            f"{_place()}: not a list of checksums ({error}); delete it, it will be made anew"
        ) from None


def _remember(news: dict[str, Checksums]) -> None:
    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):
            entries = {path: asdict(known) for path, known in (_ledger() | news).items()}
            write_text(place, json.dumps(entries, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        log.warning("%s cannot be written (%s): checksums are read anew each time", place, error)
