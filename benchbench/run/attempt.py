"""Attempts at a run, one numbered file each in `attempts/`: who made it, when, how it ended."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from benchbench.errors import Damaged
from benchbench.jsonfile import parse, read_content
from benchbench.run import process

FOLDER = "attempts"
NUMBERED = re.compile(r"[0-9]{3,9}\.json")
LOG = "log.txt"
CANCELLED = "cancelled"
"""File that marks a run which a person took from the queue; the next attempt removes it."""
OTHERS = (LOG, CANCELLED)
"""Files in a run's folder that others than its holder touch."""
MEND = "delete it if no process is at work on the run"
STALE_SECONDS = 120.0
"""Age of the last sign of life, by the clock of the file system, at which another machine takes
over."""


Process = Annotated[int, Field(gt=0, lt=1 << 31)]


class Ended(TypedDict, total=False):
    """What an attempt's file tells from its end on, or if its executor knows more."""

    ended: float
    outcome: str
    message: str
    slurm: dict[str, str]
    began: float


class Facts(Ended):
    """What an attempt's file tells; others may stand beside these."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        strict=True, extra="allow", allow_inf_nan=False
    )

    host: str
    boot: str
    space: str
    process: Process
    start: str | None
    since: float


@dataclass(frozen=True)
class Attempt:
    """One attempt as its file tells it."""

    number: int
    facts: Mapping[str, Any]
    """Those of `Facts`, or none where the file is damaged."""
    beat: float
    """When it was last touched, seconds by the clock of the file system."""
    damage: str = ""
    """What is wrong with the file; it counts as held until it has not been touched for long."""

    @property
    def ended(self) -> bool:
        """Whether its owner said that it was over."""
        return "ended" in self.facts or self.beat == 0

    @property
    def outcome(self) -> str | None:
        """How it ended, in one word of its owner."""
        return self.facts.get("outcome")

    @property
    def message(self) -> str:
        """How it ended, in a sentence of its owner."""
        return str(self.facts.get("message", ""))

    @property
    def seconds(self) -> float:
        """How long it lasted, to its end or its last sign of life.

        The end is by the clock of its process, as its beginning is; a sign of life is by that of
        the file system, as `began` is.
        """
        if "ended" in self.facts:
            return max(0.0, float(self.facts["ended"] - self.facts["since"]))
        return max(0.0, self.beat - float(self.facts.get("began", self.beat)))

    def alive(self, now: float) -> bool:
        """Whether its owner may still be at work; `now` is by the clock of the file system."""
        if self.ended:
            return False
        lives = process.lives(self.facts)
        return now - self.beat < STALE_SECONDS if lives is None else lives

    def __str__(self) -> str:
        if self.damage:
            return f"whoever wrote a damaged file ({self.damage})"
        return f"process {self.facts['process']} on {self.facts['host']}"


def attempts(folder: Path) -> list[Attempt]:
    """All the attempts in a run's folder, oldest first."""
    read = (read_attempt(folder, number) for number in numbers(folder))
    return [attempt for attempt in read if attempt is not None]


def latest(folder: Path) -> Attempt | None:
    """The newest attempt in a run's folder; one that is over where none can be seen."""
    try:
        taken = numbers(folder)
    except OSError as error:
        return Attempt(0, {}, 0.0, str(Damaged.unreadable(folder / FOLDER, error)))
    return read_attempt(folder, taken[-1]) if taken else None


def numbers(folder: Path) -> list[int]:
    """The numbers of the attempts in a run's folder, in order."""
    try:
        paths = list((folder / FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(path.stem) for path in paths if NUMBERED.fullmatch(path.name))


def attempt_file(folder: Path, number: int) -> Path:
    """Where an attempt's file lies, there or not."""
    return folder / FOLDER / f"{number:03d}.json"


def read_attempt(folder: Path, number: int) -> Attempt | None:
    """An attempt, None where there is none of the number."""
    path, touched = attempt_file(folder, number), None
    try:
        if (content := read_content(path, MEND)) is None:
            return None
        touched = content.touched
        facts = parse(content.data, Facts, path, MEND)
        return Attempt(number, cast(dict[str, Any], facts), touched)
    except Damaged as error:
        touched = path.lstat().st_mtime if touched is None else touched
        return Attempt(number, {}, touched, str(error))


def last_sign(folder: Path, attempt: Attempt) -> float:
    """When an attempt without an end gave its last sign of life: a touch, or a file it wrote.

    Whoever follows it must look before writing anything.
    """
    paths = (path for path in folder.iterdir() if path.name not in OTHERS and path.is_file())
    signs = [path.stat().st_mtime for path in paths]
    return min(file_clock(folder), max([attempt.beat, *signs]))


def file_clock(folder: Path) -> float:
    """The time now by the clock that stamps the files of an existing folder.

    By this machine's where no file can be made there, as in a folder that is only to be read.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.utime(file.fileno())
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()
