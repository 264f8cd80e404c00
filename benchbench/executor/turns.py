"""Turns: which run is next, where others may be at the same runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchbench.executor import Outcome, Watch
from benchbench.run.attempt import file_clock, latest
from benchbench.run.job import Job
from benchbench.training.events import Note

LOOK_SECONDS = 1.0
"""Least time between two looks at the runs that others hold."""


@dataclass(frozen=True)
class Foreign:
    """A run that another process is at."""

    job: Job
    attempt: int


class Turns:
    """A queue of jobs that sets aside those that others hold, until they end or their holder dies.

    Args:
        watch: told of the runs that are set aside, with the phase `held`.
    """

    def __init__(self, jobs: Sequence[Job], watch: Watch) -> None:
        self.waiting = deque(jobs)
        self.foreign: list[Foreign] = []
        self.watch = watch
        self.looked = 0.0

    def __bool__(self) -> bool:
        return bool(self.waiting or self.foreign)

    def next(self) -> Job | None:
        """The next job that is not known to be another's."""
        return self.waiting.popleft() if self.waiting else None

    def again(self, job: Job) -> None:
        """Puts a job first."""
        self.waiting.appendleft(job)

    def set_aside(self, job: Job, message: str) -> None:
        """Notes that another process holds a run."""
        newest = latest(job.folder)
        self.foreign.append(Foreign(job, newest.number if newest else 0))
        self.watch(job.run, Note("held", message))

    def look(self) -> Iterator[Outcome]:
        """What became of the runs that others hold; those that are free are waiting again."""
        if not self.foreign or time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        held, self.foreign = self.foreign, []
        now = file_clock(held[0].job.store.root)
        for each in held:
            newest = latest(each.job.folder)
            if newest is not None and newest.alive(now):
                self.foreign.append(each)
            elif each.job.done:
                yield Outcome(each.job, "done")
            elif newest is not None and newest.outcome == "failed":
                message = f"{newest.facts.get('message')} (in {newest})"
                yield Outcome(each.job, "failed", message)
            else:
                self.waiting.append(each.job)
