"""Standings: where each run of a suite is, by its files first and the scheduler's queue second."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchbench.errors import Damaged
from benchbench.executor import squeue
from benchbench.executor.squeue import Queued
from benchbench.executor.state import LastReport, last_report
from benchbench.executor.submission import Submitted, newest_submissions
from benchbench.executor.work import is_cancelled
from benchbench.run import process
from benchbench.run.attempt import CANCELLED, Attempt, file_clock, latest
from benchbench.run.job import Job
from benchbench.run.record import faults, read_record

State = Literal[
    "done",
    "damaged",
    "running",
    "starting",
    "waiting",
    "requeued",
    "failed",
    "cancelled",
    "stopped",
    "to run",
]
"""`damaged`: done once, and a file is not what was written; `requeued`: a job that was preempted or
came to its time limit, and will go on; `stopped`: by Ctrl-C or the end of a front end, goes on when
run again."""
LIVE = ("running", "starting", "waiting", "requeued")
"""States of runs that can be cancelled."""


@dataclass(frozen=True)
class Standing:
    """Where one run is."""

    job: Job
    state: State
    detail: str
    number: str | None = None
    """SLURM's name for it, if it is or was one of its jobs."""
    unexplained: bool = False
    """Whether its process left no outcome, and the cluster's accounts may tell why."""
    logs: tuple[Path, ...] = ()
    """Where to read on, the most telling first."""
    stale: tuple[str, ...] = ()
    """Parts of the code that are other now; see `Inspection`."""

    def last_lines(self, lines: int) -> list[str]:
        """The end of the first log that says anything."""
        for path in self.logs:
            if path.is_file() and (end := tail(path, lines)):
                return end
        return []


def standings(jobs: Sequence[Job], queue: Mapping[str, Queued] | None) -> list[Standing]:
    """The standings of runs; `queue` is None where there is no scheduler to be asked."""
    if not jobs or not (root := jobs[0].store.root).is_dir():
        return [Standing(job, "to run", "") for job in jobs]
    submissions, now = newest_submissions(root, queue), file_clock(root)
    return _explained([_look(job, submissions.get(job.key), now) for job in jobs])


def _look(job: Job, submitted: Submitted | None, now: float) -> Standing:
    _, state, stale = job.inspect()
    if isinstance(state, Damaged):
        return Standing(job, "damaged", str(state))
    if state == "done":
        return Standing(job, "done", _history(job, stale), stale=stale)
    attempt, report = latest(job.folder), last_report(job.folder)
    standing = _standing(job, submitted, attempt, report, now)
    texts = (standing.detail, attempt.damage if attempt else "", report.damage)
    return replace(standing, detail="; ".join(filter(None, texts)), stale=stale)


def verified(rows: Sequence[Standing]) -> list[Standing]:
    """Standings of runs, every file of those that are done read to its end."""
    return [_verified(row) if row.state == "done" else row for row in rows]


def _verified(row: Standing) -> Standing:
    folder = row.job.folder
    record = read_record(folder)
    errors = [] if record is None else list(faults(folder, record, whole=True))
    if not errors:
        return row
    return replace(row, state="damaged", detail=". ".join(map(str, errors)))


def _standing(
    job: Job,
    submitted: Submitted | None,
    attempt: Attempt | None,
    report: LastReport,
    now: float,
) -> Standing:
    """The standing of a run that is not done."""
    number = submitted.job if submitted else None
    logs = (job.log, *(submitted.logs(job.store.root) if submitted else ()))

    def standing(state: State, detail: str, *, unexplained: bool = False) -> Standing:
        return Standing(job, state, detail, number, unexplained, logs)

    if attempt and attempt.alive(now) and not (submitted and submitted.over(attempt)):
        return standing("running", str(report))
    if submitted and submitted.waits_or_runs(attempt, cancelled=is_cancelled(job)):
        return standing(*_queued(submitted, attempt, report))
    if is_cancelled(job):
        return standing("cancelled", report.step)
    if submitted and not submitted.begun(attempt):
        if not submitted.scheduler:
            return standing("waiting", f"job {number}, and no scheduler to ask here")
        failed = standing("failed", "its job ended before the run began", unexplained=True)
        return replace(failed, logs=logs[::-1])
    if attempt is None:
        return standing("to run", "")
    if not attempt.ended:
        return standing("failed", f"killed at {report.place}", unexplained=True)
    if report.failure is not None or attempt.outcome == "failed":
        return standing("failed", report.failure or attempt.message)
    return standing("stopped", report.step)


def _queued(submitted: Submitted, attempt: Attempt | None, report: LastReport) -> tuple[State, str]:
    """The state of a run whose job is in the queue, and whose process is not at work."""
    assert submitted.queued is not None
    job, reason = submitted.job, submitted.queued.reason
    why = "" if reason in ("None", "") else f", {reason}"
    begun = submitted.includes(attempt)
    if not submitted.queued.waits:
        # a process that has made its checkpoint and waits for its end, or one yet to begin
        return ("requeued", report.step) if begun else ("starting", f"job {job}")
    if begun:
        return "requeued", f"goes on from {report.step or 'its start'}, job {job}{why}"
    return "waiting", f"job {job}{why}"


def _explained(rows: list[Standing]) -> list[Standing]:
    """The standings with what the cluster's accounts say of jobs that left no outcome."""
    numbers = [row.number for row in rows if row.unexplained and row.number is not None]
    endings = squeue.endings(numbers) if numbers else {}
    return [
        replace(row, detail=f"{row.detail} ({endings[row.number]})")
        if row.unexplained and row.number in endings
        else row
        for row in rows
    ]


def _history(job: Job, stale: Sequence[str]) -> str:
    """How many attempts a finished run took, and what of its code is other now."""
    newest = latest(job.folder)
    several = [f"{newest.number} attempts"] if newest is not None and newest.number > 1 else []
    other = [f"other code ({', '.join(stale)})"] if stale else []
    return ", ".join([*several, *other])


def cancel(rows: Sequence[Standing]) -> list[Standing]:
    """Cancels runs that wait or are worked on, and gives those; their checkpoints are kept.

    Raises:
        Unreachable: the scheduler does not answer.
    """
    live = [row for row in rows if row.state in LIVE]
    queue = squeue.queue() if any(row.number for row in live) else {}
    squeue.cancel([row.number for row in live if row.number in queue])
    cancelled = []
    for row in live:
        folder = row.job.folder
        if row.number not in queue:
            attempt = latest(folder)
            if attempt is None or not attempt.alive(file_clock(folder)):
                continue
            if not process.local(attempt.facts):
                continue
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CANCELLED).touch()  # first: nothing ends of which the reason cannot be left
        if row.number not in queue and (attempt := latest(folder)) is not None:
            os.kill(int(attempt.facts["process"]), signal.SIGTERM)
        cancelled.append(row)
    return cancelled


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file that may be large."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 200 * max(lines, 5)))
        text = file.read().decode("utf-8", errors="replace")
    return text.splitlines()[-lines:] if lines else []
