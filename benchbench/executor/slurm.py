"""Runs as SLURM jobs through submitit: one array for each distinct request of resources."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchbench.errors import SchemaError
from benchbench.executor import Outcome, Status, Terms, Watch, squeue
from benchbench.executor.squeue import Queued, split
from benchbench.executor.standing import Standing, standings
from benchbench.executor.state import last_report
from benchbench.executor.submission import (
    FOLDER,
    Refused,
    Submitted,
    newest_submissions,
    submit_group,
)
from benchbench.executor.work import is_cancelled, stopping
from benchbench.registry import register_executor
from benchbench.run.attempt import Attempt, file_clock, latest
from benchbench.run.claim import alone
from benchbench.run.job import Job
from benchbench.suite.plan import Plan, Run
from benchbench.suite.resources import Request

LOOK_SECONDS = 2.0
"""Least time between two looks at the files of all runs."""
ASK_SECONDS = (5.0, 30.0)
"""Time between two questions to the scheduler, at first and in the long run."""
SURE_SECONDS = 15.0
"""How long a run has no job before it counts as ended: a slurmctld that restarts lists none."""
ENDED = ("failed", "cancelled", "stopped", "to run")


@register_executor("slurm")
def slurm(plan: Plan, terms: Terms, *, wait: bool = False) -> Slurm:
    """SLURM arrays of the suite's runs.

    Args:
        wait: whether to stay until all runs have ended.
    """
    return Slurm(plan.suite.name, wait=wait, say=terms.say)


@dataclass(frozen=True)
class Slurm:
    """Gives runs to SLURM, and follows them only if told to wait.

    Args:
        suite: the suite's name, which the jobs carry.
        wait: whether to stay until all have ended.
        say: told in words what was submitted.
    """

    suite: str
    wait: bool = False
    say: Callable[[str], None] = lambda _: None

    def describe(self, todo: Sequence[Run]) -> list[str]:
        """A line for each array."""
        require_time(todo)
        return arrays(todo)

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """One outcome for each run: `submitted`, or with `wait` what became of it.

        Raises:
            Unreachable: the scheduler does not answer.
            Refused: sbatch takes none of the jobs.
            SchemaError: a run has no time limit.
        """
        require_time([job.run for job in jobs])
        jobs = [job.resolved() for job in jobs]
        with alone(jobs[0].store.root / FOLDER, self._say_who_submits):
            queued, held, fresh = self._sort(jobs)
            refusals = self._submit(fresh, queued)
        refused = [job for job in fresh if job.key not in queued]
        if refused and len(refused) == len(jobs):
            raise refusals[0]
        for job in refused:
            yield Outcome(job, "failed", str(refusals[0]))
        mine = [job for job in jobs if job.key in queued]
        if self.wait:
            yield from follow([*mine, *held], watch, self.say)
            return
        for job in mine:
            yield Outcome(job, "submitted", f"job {queued[job.key]}")
        for job in held:
            yield Outcome(job, "held", f"held by {latest(job.folder)}")

    def _say_who_submits(self, other: Attempt) -> None:
        self.say(f"waiting for {other}, which is submitting too")

    def _sort(self, jobs: Sequence[Job]) -> tuple[dict[str, str], list[Job], list[Job]]:
        """SLURM's jobs of the runs that it has, by key; runs that are held; those to submit."""
        root = jobs[0].store.root
        submissions, now = newest_submissions(root, squeue.queue()), file_clock(root)
        queued: dict[str, str] = {}
        held: list[Job] = []
        fresh: list[Job] = []
        for job in jobs:
            place = _place(job, submissions.get(job.key), now)
            if place == "queued":
                queued[job.key] = submissions[job.key].job or "?"
            else:
                (held if place == "held" else fresh).append(job)
        if queued:
            self.say(f"{len(queued)} in the queue already")
        if held:
            self.say(f"{len(held)} being run by another process")
        return queued, held, fresh

    def _submit(self, fresh: Sequence[Job], queued: dict[str, str]) -> list[Refused]:
        """Submits runs, adds their jobs to `queued`, and gives what sbatch said against others."""
        by_key = {job.key: job for job in fresh}
        refusals = []
        for request, runs in groups([job.run for job in fresh]):
            group = [by_key[run.spec.key] for run in runs]
            try:
                for array in submit_group(self.suite, request, group):
                    self.say(describe(array.number, len(array.keys), request))
                    queued.update(array.jobs)
            except Refused as error:
                refusals.append(error)
        return refusals


def _place(job: Job, submitted: Submitted | None, now: float) -> Literal["queued", "held", "free"]:
    """Whether SLURM has a run already, or some other process."""
    attempt = latest(job.folder)
    if submitted is not None and submitted.queued is not None:
        active = submitted.waits_or_runs(attempt, cancelled=is_cancelled(job))
        return "queued" if active else "free"
    if attempt is None or not attempt.alive(now):
        return "free"
    return "free" if submitted is not None and submitted.over(attempt) else "held"


def require_time(todo: Sequence[Run]) -> None:
    """Raises SchemaError where a run has no time limit."""
    missing = sorted({run.model for run in todo if run.slurm.timeout_min is None})
    if missing:
        raise SchemaError(
            f"slurm: missing key 'timeout_min' ({', '.join(missing)}); say how long one job of a "
            "run may take, as in slurm.timeout_min=4:00 (hours:minutes)"
        )


def groups(runs: Sequence[Run]) -> list[tuple[Request, list[Run]]]:
    """The runs by what they ask for, in order."""
    by_request: dict[str, tuple[Request, list[Run]]] = {}
    for run in runs:
        name = json.dumps(run.slurm.model_dump(mode="json"), sort_keys=True)
        by_request.setdefault(name, (run.slurm, []))[1].append(run)
    return list(by_request.values())


def arrays(runs: Sequence[Run]) -> list[str]:
    """What would be submitted, in words."""
    size = squeue.largest_array()
    return [
        describe(None, len(chunk), request)
        for request, group in groups(runs)
        for chunk in split(group, size)
    ]


def describe(number: str | None, count: int, request: Request) -> str:
    """`array 12: 40 runs, at most 8 at once; each 1 GPU, 4 CPUs, 4:00 h`."""
    name = f" {number}" if number else ""
    if count == 1:
        return f"job{name}: 1 run; {request}"
    most = min(count, request.array_parallelism)
    return f"array{name}: {count} runs, at most {most} at once; each {request}"


def follow(jobs: Sequence[Job], watch: Watch, say: Callable[[str], None]) -> Iterator[Outcome]:
    """Outcomes as runs end that other processes do; Ctrl-C ends the watching and not the runs."""
    left = {job.key: job for job in jobs}
    since: dict[str, float] = {}
    queue, answered, wait = squeue.queue(), time.monotonic(), ASK_SECONDS[0]
    with stopping() as stop:
        while left and not stop():
            began = time.monotonic()
            if began - answered >= wait:
                queue, answered = _queue(queue, say), began
                wait = min(wait * 1.5, ASK_SECONDS[1])
            for standing in standings(list(left.values()), queue):
                job = standing.job
                if (outcome := _ending(standing, since)) is not None:
                    del left[job.key]
                    yield outcome
                elif (event := last_report(job.folder).event) is not None:
                    watch(job.run, event)
            pause = max(LOOK_SECONDS, 3 * (time.monotonic() - began))
            while left and not stop() and time.monotonic() - began < pause:
                time.sleep(0.1)
    if left:
        say(f"{len(left)} go on without being watched; look with 'bench status'")


def _queue(before: dict[str, Queued], say: Callable[[str], None]) -> dict[str, Queued]:
    """What is in the queue now, or was there when the scheduler last answered."""
    try:
        return squeue.queue()
    except squeue.Unreachable as error:
        say(f"{error}; asking again")
        return before


def _ending(standing: Standing, since: dict[str, float]) -> Outcome | None:
    """How a run ended, None while it goes on or may go on; tells the end from a mere pause.

    Args:
        standing: where the run is now.
        since: when each run was first seen without a job, by key; kept up to date.
    """
    job = standing.job
    if standing.state == "done":
        return Outcome(job, "done")
    if standing.state not in ENDED:
        since.pop(job.key, None)
        return None
    now = time.monotonic()
    if now - since.setdefault(job.key, now) < SURE_SECONDS:
        return None
    status: Status = "failed" if standing.state == "failed" else "interrupted"
    return Outcome(job, status, standing.detail)
