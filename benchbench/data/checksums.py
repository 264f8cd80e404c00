"""Checksums of published files, computed once for each state of a file.

They are kept in `published.json` in the data folder: for each path the state (see `digests.Stamp`),
the MD5 (the form in which most files were published) and the SHA-256, and the SHA-256 at the
first preparation. A file published without a checksum is trusted when it is first seen, and held
to that from then on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from benchbench.atomic import write_text
from benchbench.data.digests import reading_anew, stamp
from benchbench.errors import DataMissing
from benchbench.folder import data_folder

log = logging.getLogger(__name__)

BLOCK = 1 << 20


@dataclass(frozen=True)
class Checksums:
    """The checksums of one file, and the state in which it was read."""

    stamp: list[int]
    md5: str
    sha256: str
    first: str
    """SHA-256 when the file was first prepared."""


def checksums(path: Path, *, fresh: bool = False) -> Checksums:
    """The checksums of a file; read again when it has changed, or if `fresh`.

    Raises:
        FileNotFoundError: it is absent.
    """
    place, now = str(path.resolve()), list(stamp(path))
    stored = _stored().get(place)
    if stored is not None and stored.stamp == now and not (fresh or reading_anew()):
        return stored
    md5, sha256 = read_sums(path)
    entry = Checksums(now, md5, sha256, sha256 if stored is None else stored.first)
    if entry != stored:
        _store({place: entry})
    return entry


def verify(path: Path, digest: str | None, *, fresh: bool = False) -> Checksums:
    """The checksums of a file that is the one published, or the one first seen.

    Raises:
        DataMissing: it is another.
    """
    entry = checksums(path, fresh=fresh)
    if digest is not None:
        if difference := mismatch(digest, entry.md5, entry.sha256):
            raise DataMissing(f"{path}: {difference}; delete it and prepare again")
    elif entry.first != entry.sha256:
        raise DataMissing(
            f"{path}: its sha256 is {entry.sha256}, but was {entry.first} when first prepared; "
            f"restore it, or, if the new file is meant, delete {_place()}"
        )
    return entry


def mismatch(digest: str, md5: str, sha256: str) -> str:
    """How checksums differ from a published digest, `md5:…` or `sha256:…`; empty if they do not."""
    kind, _, value = digest.partition(":")
    actual = {"md5": md5, "sha256": sha256}[kind]
    if actual == value.lower():
        return ""
    return f"its checksum is {kind}:{actual}; the published file has {digest}"


def read_sums(path: Path) -> tuple[str, str]:
    """MD5 and SHA-256 of a file, read now."""
    md5 = hashlib.md5(usedforsecurity=False)
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
    return md5.hexdigest(), sha256.hexdigest()


def _place() -> Path:
    return data_folder() / "published.json"


def _stored() -> dict[str, Checksums]:
    try:
        text = _place().read_text(encoding="utf-8")
        return {path: Checksums(**entry) for path, entry in json.loads(text).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataMissing(
            f"{_place()}: not a list of checksums ({error}); delete it, it will be made anew"
        ) from None


def _store(changes: dict[str, Checksums]) -> None:
    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):
            entries = {path: asdict(entry) for path, entry in (_stored() | changes).items()}
            write_text(place, json.dumps(entries, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        log.warning("%s cannot be written (%s): checksums are read anew each time", place, error)
