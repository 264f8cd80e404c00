"""Claim: who works in a folder, so that nothing is done twice and nothing is left lying.

Every attempt writes one numbered file, `attempts/001.json`. The newest is the claim: its number can
be had once only, as the file is linked into place whole, which holds on network file systems as
well. It stands until its owner says so, its process is dead, or, seen from another machine, its
file was not touched for a while. Then the next number is free.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchbench.atomic import create_text, sweep, write_text
from benchbench.errors import BenchError
from benchbench.run.attempt import (
    FOLDER,
    Attempt,
    attempt_file,
    file_clock,
    last_sign,
    latest,
    numbers,
    read_attempt,
)
from benchbench.run.process import identity
from benchbench.run.record import SCORES

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
"""Time between two touches of the file by the one who holds it."""
LOCK_SECONDS = 0.5
"""Time between two tries to be alone."""


class Held(BenchError):
    """The folder is another's for now."""

    def __init__(self, attempt: Attempt, where: str = "") -> None:
        super().__init__(f"{where}held by {attempt}; wait for its end")
        self.attempt = attempt


class Claim:
    """A folder that is this process's until `release`, or until `lost` is set.

    Raises:
        Held: somebody else is at work in the folder.
        OSError: the file cannot be written.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.facts = {**identity(), "since": time.time(), **(about or {})}
        self._began = time.monotonic()
        self.lost = threading.Event()
        """Set where another machine took over, having seen no sign of life for long."""
        self._over = threading.Event()
        self.number = self._take()
        self._thread = threading.Thread(target=self._beat, name="claim", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        return attempt_file(self.folder, self.number)

    def _take(self) -> int:
        attempt_file(self.folder, 1).parent.mkdir(parents=True, exist_ok=True)
        newest = latest(self.folder)
        while True:
            self.facts["began"] = now = file_clock(self.folder)
            if newest is not None and newest.alive(now):
                raise Held(newest)
            number = newest.number + 1 if newest else 1
            if create_text(attempt_file(self.folder, number), json.dumps(self.facts)):
                if newest is not None and not newest.ended:
                    self._date(newest)
                return number
            newest = read_attempt(self.folder, number)

    def _date(self, predecessor: Attempt) -> None:
        """Lets the file of one that was killed tell when it gave its last sign of life."""
        sign = last_sign(self.folder, predecessor)
        with contextlib.suppress(OSError):
            os.utime(attempt_file(self.folder, predecessor.number), (sign, sign))

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            if attempt_file(self.folder, self.number + 1).exists():
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
        # a clock that is set meanwhile does not change how long it was
        end = self.facts["since"] + time.monotonic() - self._began
        ended = {**self.facts, "ended": end, "outcome": outcome, "message": message}
        try:
            write_text(self.path, json.dumps(ended))
        except OSError:
            # a full disk still takes a time stamp; 0 means ended
            with contextlib.suppress(OSError):
                os.utime(self.path, (0, 0))


def clear(folder: Path) -> None:
    """Deletes what a holder of a run that was killed left half-written; for the next holder."""
    for place in (folder, folder / SCORES, folder / FOLDER):
        sweep(place)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Holds the folder of a finished run while something is added to it.

    Raises:
        Held: somebody else is at work in the folder.
    """
    try:
        claim, outcome = Claim(folder), "failed"
    except Held as error:
        raise Held(error.attempt, f"{folder}: ") from None
    try:
        clear(folder)
        yield
        outcome = "done"
    finally:
        claim.release(outcome)


@contextlib.contextmanager
def alone(folder: Path, watch: Callable[[Attempt], None]) -> Iterator[None]:
    """Lets one process at a time in; one file is left, however often the folder was claimed.

    Args:
        folder: a folder in which no run lies.
        watch: told once whom this process waits for.
    """
    claim = None
    while claim is None:
        try:
            claim = Claim(folder)
        except Held as error:
            watch(error.attempt)
            watch = _ignore
            time.sleep(LOCK_SECONDS)
            continue
        if numbers(folder)[-1] != claim.number:
            # a number from before the holder tidied up: it is in, whose number is the highest
            claim.release("late")
            claim.path.unlink(missing_ok=True)
            claim = None
    try:
        yield
    finally:
        for number in numbers(folder)[:-1]:
            attempt_file(folder, number).unlink(missing_ok=True)
        claim.release("over")


def _ignore(_: Attempt) -> None:
    """Tells nobody again."""
