"""Turns: which run is next, where other processes may work on the same ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence

from benchbench.errors import Damaged
from benchbench.executor import Outcome, Watch
from benchbench.run.attempt import file_clock, latest
from benchbench.run.job import Job
from benchbench.training.events import Note

LOOK_SECONDS = 1.0
"""Least time between two looks at the runs that others hold."""


class Turns:
    """A queue of jobs that sets aside those that others hold, until they end or their holder dies.

    Args:
        watch: told of the runs that are set aside, with the phase `held`.
    """

    def __init__(self, jobs: Sequence[Job], watch: Watch) -> None:
        self.waiting = deque(jobs)
        self.held: list[Job] = []
        self.watch = watch
        self.looked = 0.0

    def __bool__(self) -> bool:
        return bool(self.waiting or self.held)

    def next(self) -> Job | None:
        """The next job that nobody was seen to hold."""
        return self.waiting.popleft() if self.waiting else None

    def again(self, job: Job) -> None:
        """Puts a job first."""
        self.waiting.appendleft(job)

    def set_aside(self, job: Job, message: str) -> None:
        """Notes that another process holds a run."""
        self.held.append(job)
        self.watch(job.run, Note("held", message))

    def look(self) -> Iterator[Outcome]:
        """What became of the runs that others hold; those that are free are waiting again."""
        if not self.held or time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        before, self.held = self.held, []
        now = file_clock(before[0].store.root)
        for job in before:
            attempt = latest(job.folder)
            if attempt is not None and attempt.alive(now):
                self.held.append(job)
            elif (state := job.state) != "to do":
                damaged = isinstance(state, Damaged)
                yield Outcome(job, "failed", str(state)) if damaged else Outcome(job, "done")
            elif attempt is not None and attempt.outcome == "failed":
                yield Outcome(job, "failed", f"{attempt.message} (in {attempt})")
            else:
                self.waiting.append(job)
