"""Attempts at a run, one numbered file each in `attempts/`: who made it, when, how it ended."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.run import process

FOLDER = "attempts"
STALE_SECONDS = 120.0
"""Age of the last sign of life, by the clock of the file system, at which another machine takes
over."""


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
        """How it ended, in one word of its owner."""
        return self.facts.get("outcome")

    @property
    def message(self) -> str:
        """How it ended, in a sentence of its owner."""
        return str(self.facts.get("message", ""))

    @property
    def seconds(self) -> float:
        """How long it lasted, to the last sign of life."""
        since = float(self.facts.get("since", self.beat))
        return max(0.0, float(self.facts.get("ended", self.beat)) - since)

    def alive(self, now: float) -> bool:
        """Whether its owner may still be at work; `now` is by the clock of the file system."""
        if self.ended:
            return False
        lives = process.lives(self.facts)
        return now - self.beat < STALE_SECONDS if lives is None else lives

    def __str__(self) -> str:
        return f"process {self.facts.get('process')} on {self.facts.get('host')}"


def attempts(folder: Path) -> list[Attempt]:
    """All the attempts in a run's folder, oldest first."""
    read = (read_attempt(folder, number) for number in numbers(folder))
    return [attempt for attempt in read if attempt is not None]


def latest(folder: Path) -> Attempt | None:
    """The newest attempt in a run's folder."""
    taken = numbers(folder)
    return read_attempt(folder, taken[-1]) if taken else None


def numbers(folder: Path) -> list[int]:
    """The numbers of the attempts in a run's folder, in order."""
    try:
        paths = list((folder / FOLDER).iterdir())
    except FileNotFoundError:
        return []
    return sorted(int(p.stem) for p in paths if p.suffix == ".json" and p.stem.isdigit())


def attempt_file(folder: Path, number: int) -> Path:
    """Where an attempt's file lies, there or not."""
    return folder / FOLDER / f"{number:03d}.json"


def read_attempt(folder: Path, number: int) -> Attempt | None:
    """An attempt; opened and not only looked at, which makes network file systems ask anew."""
    path = attempt_file(folder, number)
    try:
        with path.open(encoding="utf-8") as file:
            return Attempt(number, json.load(file), os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None
    except ValueError:
        return Attempt(number, {}, path.stat().st_mtime)


def file_clock(folder: Path) -> float:
    """The time now by the clock that stamps the files of an existing folder."""
    with tempfile.TemporaryFile(dir=folder) as file:
        os.utime(file.fileno())
        return os.fstat(file.fileno()).st_mtime
