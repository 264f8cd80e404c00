"""Published files into the data folder: whole and checked, or absent.

Mirrors in turn, resuming where a transfer broke off (also one of a killed process), one process at
a time, checks before the file takes its name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from benchbench.data.archive import extract
from benchbench.data.checksums import mismatch, read_sums, verify
from benchbench.data.opening import open_file
from benchbench.errors import DataMissing

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

Watch = Callable[[str, int, int], None]
"""Called as a transfer goes on: name of the file, bytes so far, bytes in all (0: unknown)."""

ATTEMPTS = 5
"""How often a transfer that breaks off after some progress is resumed at once."""
TIMEOUT = 30.0
"""Seconds without a byte after which a transfer counts as broken off."""
BLOCK = 1 << 16


@dataclass(frozen=True)
class DataFile:
    """A file that a dataset reads."""

    path: Path
    urls: tuple[str, ...] = ()
    """Mirrors, in the order in which they are tried."""
    digest: str | None = None
    """`md5:…` or `sha256:…` as published (of what `path` holds); None where there is none."""
    member: str | None = None
    """Where the urls give a zip or tar: the file in it, by the end of its name."""
    advice: str = ""
    """How a person gets the file, for the message when it is missing."""
    inspect: Callable[[Path], object] = lambda _: None
    """Reads the header; raises DataMissing with what was expected. Quick."""
    content: str | None = None
    """`md5:…` of what is packed in it, which `inspect` compares, where that was published."""
    held: Literal["first", "own"] = "first"
    """What a file that was published without checksum is held to, if it is downloaded: to the
    checksum at its first preparation. A person's own is held to nothing: others are other data."""

    def check(self) -> None:
        """Quickly: is it there and of the right form, or can it be downloaded?

        Raises:
            DataMissing: neither.
        """
        if not self.urls or self.path.exists():
            self.require()
            self.inspect(self.path)

    def require(self) -> None:
        """Asks that the file be there and be one: no folder, pipe or device.

        Raises:
            DataMissing: it is not; the message says how to get it.
        """
        try:
            open_file(self.path).close()
        except DataMissing as error:
            raise self.missing(str(error).removeprefix(f"{self.path}: ")) from None

    def prepare(self, watch: Watch = lambda *_: None) -> None:
        """Downloads it if it is absent; then looks at its form and its checksum.

        Raises:
            DataMissing: it cannot be had, or is not the one expected.
        """
        if self.urls and not self.path.exists():
            fetch(self, watch)
        self.check()
        if self.digest is not None or self.held_to_first:
            verify(self.path, self.digest)

    @property
    def recognised(self) -> bool:
        """Whether a wrong file is certain to be noticed."""
        return self.digest is not None or self.content is not None

    @property
    def held_to_first(self) -> bool:
        """Whether it must be what it was when it was first prepared."""
        return bool(self.urls) and self.held == "first" and not self.recognised

    def missing(self, why: str, answers: str = "") -> DataMissing:
        """The error to raise when it cannot be had."""
        advice = f"; {self.advice}" if self.advice else ""
        return DataMissing(f"{self.path}: {why}{advice}{answers}")


def fetch(file: DataFile, watch: Watch) -> None:
    """Downloads a file from the first mirror that gives the right one.

    Raises:
        DataMissing: none does; the message has every mirror's answer.
    """
    path = file.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists():  # else another process was quicker
                _try_mirrors(file, watch)
    except DataMissing:
        raise
    except OSError as error:
        raise file.missing(f"no such file, and none can be stored ({error})") from None


def _try_mirrors(file: DataFile, watch: Watch) -> None:
    part = file.path.with_name(f"{file.path.name}.part")
    answers = ""
    for url in file.urls:
        try:
            _transfer(file, url, part, watch)
            _accept(file, part)
        except DataMissing as error:
            answers += f"\n  {url}: {str(error).removeprefix(f'{part}: ')}"
        else:
            if not file.recognised:
                log.warning(
                    "%s: no checksum of it was published; it is trusted as it came from %s, and "
                    "held to its own checksum from now on",
                    *(file.path, url),
                )
            return
    raise file.missing("could not be downloaded", answers)


def _accept(file: DataFile, part: Path) -> None:
    """Checks a complete transfer and gives it its name, or deletes it."""
    whole = part
    try:
        if file.member is not None:
            whole = part.with_name(f"{file.path.name}.unpacked")
            extract(part, file.member, whole)
        _check_content(file, whole)
        with whole.open("rb") as handle:
            os.fsync(handle.fileno())
        whole.replace(file.path)
    finally:
        for leftover in (part, _validator(part), whole):
            leftover.unlink(missing_ok=True)


def _check_content(file: DataFile, whole: Path) -> None:
    try:
        file.inspect(whole)
        if file.digest is not None and (difference := mismatch(file.digest, *read_sums(whole))):
            raise DataMissing(difference)
    except DataMissing as error:
        reason = str(error).removeprefix(f"{whole}: ")
        raise DataMissing(f"gave another file: {reason}") from None


def _transfer(file: DataFile, url: str, part: Path, watch: Watch) -> None:
    """Completes `part` from one url, resuming as long as every attempt adds something."""
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            _request(file, url, part, watch)
        except DataMissing as error:
            if _size(part) == before or attempt == ATTEMPTS:
                raise
            log.info("%s: %s; resuming at %d bytes", url, error, _size(part))
            continue
        if not before or _may_be_right(file, part):
            return
        # What a former process left may stem from another mirror or an older file.
        part.unlink()
    raise DataMissing(f"gave no whole file in {ATTEMPTS} attempts")


def _may_be_right(file: DataFile, part: Path) -> bool:
    if file.recognised and file.member is None:
        try:
            _check_content(file, part)
        except DataMissing:
            return False
    return True


def _request(file: DataFile, url: str, part: Path, watch: Watch) -> None:
    """One request for what `part` lacks."""
    import requests

    done = expected = 0
    try:
        with requests.get(
            url, headers=_headers(file, part), stream=True, timeout=TIMEOUT
        ) as response:
            if _is_complete(response, part):
                return
            done = _start(response, part)
            expected = done + int(response.headers.get("Content-Length", -done))
            with part.open("ab") as handle:
                for block in response.iter_content(BLOCK):
                    handle.write(block)
                    done += len(block)
                    watch(file.path.name, done, expected)
    except requests.RequestException as error:
        reason = type(error).__name__
        if not expected:
            raise DataMissing(f"gave no answer ({reason})") from None
        raise DataMissing(f"broke off after {done} of {expected} bytes ({reason})") from None
    if done < expected:
        raise DataMissing(f"ended after {done} of {expected} bytes")


def _headers(file: DataFile, part: Path) -> dict[str, str]:
    # A server that packs on the way would give bytes that no checksum and no range fits.
    headers = {"Accept-Encoding": "identity"}
    if start := _size(part):
        validator = _validator(part)
        tag = validator.read_text("utf-8").strip() if validator.exists() else ""
        if file.recognised:
            headers["Range"] = f"bytes={start}-"
        elif tag:  # else two different files could be joined unseen: start afresh
            headers |= {"Range": f"bytes={start}-", "If-Range": tag}
    return headers


def _is_complete(response: requests.Response, part: Path) -> bool:
    """Whether "range not satisfiable" means that nothing is left to transfer.

    Raises:
        DataMissing: the answer is another error.
    """
    if response.ok:
        return False
    if response.status_code == 416:
        if response.headers.get("Content-Range") == f"bytes */{_size(part)}":
            return True
        part.unlink(missing_ok=True)  # it is of another file
    raise DataMissing(f"answered {response.status_code} {response.reason}")


def _start(response: requests.Response, part: Path) -> int:
    """Where the body of an answer begins in the file; if at 0, what was there is thrown away."""
    start, span = _size(part), response.headers.get("Content-Range", "")
    if response.status_code == 206:
        if not span.startswith(f"bytes {start}-"):
            raise DataMissing(f"answered with '{span}' when asked for bytes from {start}")
        return start
    part.unlink(missing_ok=True)
    tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    _validator(part).write_text("" if tag.startswith("W/") else tag, encoding="utf-8")
    return 0


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
