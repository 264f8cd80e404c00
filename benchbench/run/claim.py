"""Claim: who works in a folder, so that nothing is done twice and nothing is left lying.

Every attempt writes one numbered file, `attempts/001.json`, and none is ever removed. The newest
is the claim: its number can be had once only, as the file is linked into place whole, which holds
on network file systems as well. It stands until its owner says so, its process is dead, or, seen
from another machine, its file was not touched for a while. Then the next number is free.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.atomic import write_text
from benchbench.errors import BenchError

log = logging.getLogger(__name__)

FOLDER = "attempts"
BEAT_SECONDS = 10.0
"""Time between two touches of the file by the one who holds it."""
STALE_SECONDS = 120.0
"""Age of the last touch, by the clock of the file system, at which another machine takes over."""


@dataclass(frozen=True)
class Attempt:
    """One attempt as its file tells it."""

    number: int
    facts: dict[str, Any]
    beat: float
    """When it was last touched, seconds by the clock of the file system."""

    @property
    def ended(self) -> bool:
        """Whether its owner said that it was over."""
        return "ended" in self.facts or self.beat == 0

    @property
    def outcome(self) -> str | None:
        """What its owner said of its end."""
        return self.facts.get("outcome")

    @property
    def seconds(self) -> float:
        """How long it lasted, to the last sign of life."""
        since = float(self.facts.get("since", self.beat))
        return max(0.0, float(self.facts.get("ended", self.beat)) - since)

    def alive(self, now: float) -> bool:
        """Whether its owner may still be at work; `now` is by the clock of the file system."""
        if self.ended:
            return False
        lives = _lives(self.facts)
        return now - self.beat < STALE_SECONDS if lives is None else lives

    def __str__(self) -> str:
        return f"process {self.facts.get('process')} on {self.facts.get('host')}"


class Held(BenchError):
    """The folder is another's for now."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(f"held by {attempt}")
        self.attempt = attempt


class Claim:
    """A folder that is this process's until `release`, or until `lost` is set.

    Raises:
        Held: somebody else is at work in the folder.
        OSError: the file cannot be written.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self.folder = folder / FOLDER
        self.facts = {**identity(), "since": time.time(), **(about or {})}
        self.lost = threading.Event()
        """Set where another machine took over, having seen no sign of life for long."""
        self._over = threading.Event()
        self.number = self._take(folder)
        self._thread = threading.Thread(target=self._beat, name="claim", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The attempt's file."""
        return _path(self.folder, self.number)

    def _take(self, folder: Path) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = latest(folder)
        while True:
            if newest is not None and newest.alive(file_clock(self.folder)):
                raise Held(newest)
            number = newest.number + 1 if newest else 1
            if _create(_path(self.folder, number), json.dumps(self.facts)):
                return number
            newest = _read(self.folder, number)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            if _path(self.folder, self.number + 1).exists():
                self.lost.set()
                return
            try:
                os.utime(self.path)
            except OSError as error:
                log.warning("%s: cannot be touched, %s", self.path, error)

    def release(self, outcome: str, message: str = "") -> None:
        """Gives the folder free and leaves word of what became of it."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        ended = {**self.facts, "ended": time.time(), "outcome": outcome, "message": message}
        try:
            write_text(self.path, json.dumps(ended))
        except OSError:
            # a full disk still takes a time stamp; 0 means ended
            with contextlib.suppress(OSError):
                os.utime(self.path, (0, 0))


def attempts(folder: Path) -> list[Attempt]:
    """All the attempts in a folder, oldest first."""
    numbers = sorted(int(path.stem) for path in (folder / FOLDER).glob("[0-9]*.json"))
    return [attempt for n in numbers if (attempt := _read(folder / FOLDER, n)) is not None]


def latest(folder: Path) -> Attempt | None:
    """The newest attempt in a folder."""
    try:
        with os.scandir(folder / FOLDER) as entries:
            names = [e.name for e in entries if e.name[0].isdigit() and e.name.endswith(".json")]
    except FileNotFoundError:
        return None
    number = max((int(name.removesuffix(".json")) for name in names), default=0)
    return _read(folder / FOLDER, number) if number else None


def file_clock(folder: Path) -> float:
    """The time now by the clock that stamps the files of an existing folder."""
    with tempfile.TemporaryFile(dir=folder) as file:
        os.utime(file.fileno())
        return os.fstat(file.fileno()).st_mtime


def identity() -> dict[str, Any]:
    """What tells this process from all others: machine, boot, process space, id and start."""
    return {
        **_machine(),
        "process": os.getpid(),
        "start": _started(os.getpid()),
    }


@functools.cache
def _machine() -> dict[str, str]:
    """Host, boot and process space, where process ids mean the same."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    boot = _text("/proc/sys/kernel/random/boot_id")
    return {"host": socket.gethostname(), "boot": boot, "space": space}


def here(attempt: Attempt) -> bool:
    """Whether an attempt is, or was, this machine's."""
    return all(attempt.facts.get(name) == value for name, value in _machine().items())


def _lives(facts: Mapping[str, Any]) -> bool | None:
    """Whether the process of an attempt lives; None where this machine cannot know."""
    here = _machine()
    if any(facts.get(name) != value for name, value in here.items()):
        return None
    process = int(facts["process"])
    if here["boot"]:
        return _started(process) is not None and _started(process) == facts["start"]
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(process: int) -> str | None:
    """When a process started, in the kernel's ticks; None for one that is dead or a zombie."""
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in "ZX" else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:03d}.json"


def _read(folder: Path, number: int) -> Attempt | None:
    """An attempt; opened and not only looked at, which makes network file systems ask anew."""
    try:
        with _path(folder, number).open(encoding="utf-8") as file:
            return Attempt(number, json.load(file), os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None
    except ValueError:
        return Attempt(number, {}, _path(folder, number).stat().st_mtime)


def _create(path: Path, text: str) -> bool:
    """Puts a whole file where there is none; False where there is one."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
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
    """The same on a file system without hard links; a reader may see it empty for a moment."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
