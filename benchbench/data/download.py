"""Published files into the data folder: whole and checked, or absent.

The transfer itself is pooch's. Around it: mirrors in turn, resuming where a transfer broke off
(also one of a killed process), one process at a time, checks before the file takes its name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from filelock import FileLock

from benchbench.data.archive import extract
from benchbench.data.checksums import verify
from benchbench.errors import DataMissing

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

Watch = Callable[[str, int, int], None]
"""Called as a transfer goes on: name of the file, bytes so far, bytes in all (0: unknown)."""

ATTEMPTS = 5
"""How often a transfer that breaks off after some progress is resumed at once."""


def silent(name: str, done: int, total: int) -> None:
    """Watches nothing."""


def _anything(path: Path) -> None:
    """Takes every file for the right one."""


@dataclass(frozen=True)
class DataFile:
    """A file that a dataset reads."""

    path: Path
    urls: tuple[str, ...] = ()
    """Mirrors, in the order in which they are tried."""
    digest: str | None = None
    """`md5:…` or `sha256:…` as published (of what `path` holds); None where none is known."""
    member: str | None = None
    """Where the urls give a zip or tar: the file in it, by the end of its name."""
    advice: str = ""
    """How a person gets the file, for the message when it is missing."""
    inspect: Callable[[Path], object] = _anything
    """Reads the header; raises DataMissing with what was expected. Quick."""
    held: Literal["first", "content", "own"] = "first"
    """What a file without digest is held to: to the checksum at its first preparation, to its
    content, which `inspect` compares with the published one, or, a user's own, to nothing."""

    def check(self) -> None:
        """Quickly: is it there and of the right form, or can it be downloaded?

        Raises:
            DataMissing: neither.
        """
        if self.path.exists():
            self.inspect(self.path)
        elif not self.urls:
            raise DataMissing(self.missing("no such file"))

    def prepare(self, watch: Watch = silent) -> None:
        """Downloads it if it is absent; then looks at its form and its checksum.

        Raises:
            DataMissing: it cannot be had, or is not the one expected.
        """
        if not self.path.exists():
            fetch(self, watch)
        self.check()
        if self.digest is not None or self.held == "first":
            verify(self.path, self.digest)

    @property
    def recognised(self) -> bool:
        """Whether a wrong file is certain to be noticed."""
        return self.digest is not None or self.held == "content"

    def missing(self, why: str) -> str:
        """What to say when it cannot be had."""
        text = f"{self.path}: {why}"
        return f"{text}; {self.advice}" if self.advice else text


def fetch(file: DataFile, watch: Watch = silent) -> None:
    """Downloads a file from the first mirror that gives the right one.

    Raises:
        DataMissing: none does; the message has every mirror's answer.
    """
    if not file.urls:
        raise DataMissing(file.missing("no such file"))
    path = file.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists():  # else another process was quicker
                _from_mirrors(file, watch)
    except DataMissing:
        raise
    except OSError as error:
        raise DataMissing(file.missing(f"no such file, and none can be stored ({error})")) from None


def _from_mirrors(file: DataFile, watch: Watch) -> None:
    part = file.path.with_name(f"{file.path.name}.part")
    answers = []
    for url in file.urls:
        try:
            _transfer(file, url, part, watch)
            _accept(file, part)
        except DataMissing as error:
            answers.append(f"  {url}: {error}")
        else:
            return
    raise DataMissing("\n".join([file.missing("could not be downloaded"), *answers]))


def _accept(file: DataFile, part: Path) -> None:
    """Checks a complete transfer and gives it its name, or deletes it."""
    whole = part
    try:
        if file.member is not None:
            whole = part.with_name(f"{file.path.name}.unpacked")
            extract(part, file.member, whole)
        try:
            file.inspect(whole)
            _check_digest(file, whole)
        except DataMissing as error:
            reason = str(error).removeprefix(f"{whole}: ")
            raise DataMissing(f"gave another file: {reason}") from None
        with whole.open("rb") as handle:
            os.fsync(handle.fileno())
        whole.replace(file.path)
    finally:
        for leftover in (part, _validator(part), whole):
            leftover.unlink(missing_ok=True)


def _check_digest(file: DataFile, whole: Path) -> None:
    import pooch

    if file.digest is None:
        return
    kind, _, value = file.digest.partition(":")
    found = pooch.file_hash(str(whole), alg=kind)
    if found != value.lower():
        raise DataMissing(f"its checksum is {kind}:{found}; the published file has {file.digest}")


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _transfer(file: DataFile, url: str, part: Path, watch: Watch) -> None:
    """Completes `part` from one url, resuming as long as every attempt adds something."""
    for attempt in range(1, ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        resumed = before > 0
        try:
            _Transfer(file, part, watch).run(url)
        except DataMissing as error:
            after = part.stat().st_size if part.exists() else 0
            if after == before or attempt == ATTEMPTS:
                raise
            log.info("%s: %s; resuming at %d bytes", url, error, after)
            continue
        if resumed and file.recognised and not _is_right(file, part):
            # What was kept may stem from another mirror or an older file.
            part.unlink()
            continue
        return
    raise DataMissing(f"gave no whole file in {ATTEMPTS} attempts")


def _is_right(file: DataFile, part: Path) -> bool:
    try:
        if file.member is None:
            file.inspect(part)
            _check_digest(file, part)
    except DataMissing:
        return False
    return True


class _Transfer:
    """One request that completes `part`; also the progress bar that pooch calls."""

    def __init__(self, file: DataFile, part: Path, watch: Watch) -> None:
        self.file, self.part, self.watch = file, part, watch
        self.total = 0
        self.expected = 0
        self.handle: IO[bytes]

    def run(self, url: str) -> None:
        import pooch
        import requests

        self.part.touch()
        with self.part.open("r+b") as self.handle:
            start = self.handle.seek(0, os.SEEK_END)
            get = pooch.HTTPDownloader(
                progressbar=self,
                chunk_size=1 << 16,
                headers=self.headers(start),
                hooks={"response": self.answered},
            )
            try:
                get(url, self.handle, None)
            except requests.HTTPError as error:
                response = error.response
                if response is None:
                    raise
                if self.is_complete(response, start):
                    return
                answer = f"answered {response.status_code} {response.reason}"
                raise DataMissing(answer) from None
            except requests.RequestException as error:
                done, kind = self.handle.tell(), type(error).__name__
                if not self.expected:
                    raise DataMissing(f"gave no answer ({kind})") from None
                raise DataMissing(
                    f"broke off after {done} of {self.expected} bytes ({kind})"
                ) from None
            except OSError as error:
                raise DataMissing(f"cannot be stored: {error}") from None
            done = self.handle.tell()
        if self.expected and done < self.expected:
            raise DataMissing(f"ended after {done} of {self.expected} bytes")

    def headers(self, start: int) -> dict[str, str]:
        # A server that packs on the way would give bytes that no checksum and no range fits.
        headers = {"Accept-Encoding": "identity"}
        if start:
            validator = _validator(self.part)
            known = validator.read_text("utf-8").strip() if validator.exists() else ""
            if self.file.recognised:
                headers["Range"] = f"bytes={start}-"
            elif known:  # else two different files could be joined unseen: start afresh
                headers |= {"Range": f"bytes={start}-", "If-Range": known}
        return headers

    def answered(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Before the body is read: where it belongs, how much will come."""
        length = int(response.headers.get("Content-Length", 0))
        if response.status_code == 206:
            start = self.handle.tell()
            given = response.headers.get("Content-Range", "")
            if not given.startswith(f"bytes {start}-"):
                raise DataMissing(f"answered with '{given}' when asked for bytes from {start}")
            self.expected = start + length
        elif response.status_code == 200:
            self.handle.seek(0)
            self.handle.truncate()
            self.expected = length
            tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            weak = tag.startswith("W/")
            _validator(self.part).write_text("" if weak else tag, encoding="utf-8")

    def is_complete(self, response: requests.Response, start: int) -> bool:
        """Whether "range not satisfiable" means that nothing is left to transfer."""
        if response.status_code != 416:
            return False
        if response.headers.get("Content-Range") == f"bytes */{start}":
            return True
        self.handle.truncate(0)  # what was kept is of another file
        return False

    def update(self, _: int) -> None:
        """Called by pooch after each block."""
        self.watch(self.file.path.name, self.handle.tell(), self.expected)

    def reset(self) -> None:
        """Called by pooch at the end."""

    def close(self) -> None:
        """Called by pooch at the end."""
