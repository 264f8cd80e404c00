"""Follows runs that other processes do, on a cluster or here, by their files and the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchbench.executor import Outcome, Status, Watch, squeue
from benchbench.executor.job import stopping
from benchbench.executor.standing import Standing, read_state, stand
from benchbench.run.job import Job
from benchbench.run.record import Store
from benchbench.training.events import from_plain

LOOK_SECONDS = 2.0
"""Least time between two looks at the files of all runs."""
ASK_SECONDS = (5.0, 30.0)
"""Time between two questions to the scheduler, at first and in the long run."""
SURE_SECONDS = 15.0
"""How long a run has no job before it counts as ended: a slurmctld that restarts lists none."""
ENDED = ("failed", "cancelled", "stopped", "to run")


def follow(
    jobs: Sequence[Job], store: Store, watch: Watch, say: Callable[[str], None]
) -> Iterator[Outcome]:
    """Outcomes as the runs end; Ctrl-C ends the watching and not the runs."""
    left = {job.run.spec.key: job for job in jobs}
    missing: dict[str, float] = {}
    queue, asked, wait = squeue.queue(), time.monotonic(), ASK_SECONDS[0]
    with stopping() as stop:
        while left and not stop():
            began = time.monotonic()
            if began - asked >= wait:
                queue, asked = _queue(queue, say), began
                wait = min(wait * 1.5, ASK_SECONDS[1])
            standings = stand(list(left.values()), store, queue)
            for job, standing in zip(list(left.values()), standings, strict=True):
                outcome = _outcome(job, standing, missing)
                if outcome is not None:
                    del left[job.run.spec.key]
                    yield outcome
                else:
                    _show(job, watch)
            pause = max(LOOK_SECONDS, 3 * (time.monotonic() - began))
            while left and not stop() and time.monotonic() - began < pause:
                time.sleep(0.1)
    if left:
        say(f"{len(left)} go on without being watched; look with 'bench status'")


def _queue(before: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    try:
        return squeue.queue()
    except squeue.Unreachable as error:
        say(f"{error}; asking again")
        return before


def _outcome(job: Job, standing: Standing, missing: dict[str, float]) -> Outcome | None:
    """The end of a run, once it is sure."""
    key = job.run.spec.key
    if standing.state == "done":
        return Outcome(job, "done")
    if standing.state not in ENDED:
        missing.pop(key, None)
        return None
    if time.monotonic() - missing.setdefault(key, time.monotonic()) < SURE_SECONDS:
        return None
    status: Status = "failed" if standing.state == "failed" else "interrupted"
    return Outcome(job, status, standing.detail)


def _show(job: Job, watch: Watch) -> None:
    if state := read_state(job.folder):
        watch(job.run, from_plain(state))
