"""State: the last that a run reported, kept in `state.json` for whoever looks from outside."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from benchbench.atomic import write_text
from benchbench.errors import Damaged
from benchbench.jsonfile import read
from benchbench.training.events import Event, Note, Testing, Training, clock, from_plain, to_plain

NAME = "state.json"
WRITE_SECONDS = 2.0
"""Least time between two writings within a phase."""
LATE_SECONDS = 600.0
"""Age from which the last report is said to be old."""
MEND = "the run's next report replaces it"

Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Seconds = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]


class Events(TypedDict, total=False):
    """Fields of the events so far."""

    message: str
    step: Count
    steps: Count
    loss: float
    validation: float | None
    seconds_a_step: Seconds | None
    done: Count
    total: Count


class Report(Events):
    """What the file holds."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    host: str
    updated: Seconds
    phase: str


@dataclass(frozen=True)
class LastReport:
    """What a run reported last, and how far its training had come by then."""

    event: Event | None = None
    """None where there was none yet."""
    training: Training | None = None
    host: str = ""
    updated: float = 0.0
    """Seconds since the epoch."""
    damage: str = ""
    """What is wrong with the file."""

    @property
    def step(self) -> str:
        """`step 40/100`, empty before the first."""
        return f"step {self.training.step}/{self.training.steps}" if self.training else ""

    @property
    def place(self) -> str:
        """`step 40/100`, `its test` or `its start`."""
        return self.step or ("its test" if isinstance(self.event, Testing) else "its start")

    @property
    def failure(self) -> str | None:
        """Why the run failed, None if it did not."""
        if isinstance(self.event, Note) and self.event.phase == "failed":
            return self.event.message
        return None

    def __str__(self) -> str:
        """`step 40/100, loss 0.02, 3m left, on node7`."""
        where = f"on {self.host}" if self.host else ""
        if self.event is None or isinstance(self.event, Note):
            return f"starting {where}".strip()
        late = time.time() - self.updated
        news = [f"no news for {clock(late)}"] if late > LATE_SECONDS else []
        return ", ".join([str(self.event), *news, where])


def last_report(folder: Path) -> LastReport:
    """The last report of the run in a folder."""
    path = folder / NAME
    try:
        if (values := read(path, Report, MEND)) is None:
            return LastReport()
        plain = cast(dict[str, Any], values)
        training = from_plain({**plain, "phase": Training.phase}) if "step" in plain else None
        assert training is None or isinstance(training, Training)
        return LastReport(from_plain(plain), training, values["host"], values["updated"])
    except Damaged as error:
        return LastReport(damage=str(error))
    except KeyError as error:
        return LastReport(damage=f"{path}: there is no {error}; {MEND}")


class StateFile:
    """Keeps `state.json` up to date, written seldom within a phase.

    It only informs, so a disk that has no room for it stops nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.written = 0.0
        self.values: dict[str, Any] = {"host": socket.gethostname(), "process": os.getpid()}

    def write(self, event: Event) -> None:
        """Writes an event with the fields of those before it."""
        now = time.monotonic()
        same = event.phase == self.values.get("phase")
        self.values.update(to_plain(event))
        if same and now - self.written < WRITE_SECONDS:
            return
        self.written, self.values["updated"] = now, time.time()
        with contextlib.suppress(OSError):
            write_text(self.path, json.dumps(self.values))
