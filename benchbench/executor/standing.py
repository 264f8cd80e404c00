"""Standing: where each run of a suite is, from its files first and the scheduler's queue second."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchbench.executor import squeue
from benchbench.executor.job import CANCELLED
from benchbench.executor.ledger import Entrusted, entrusted, tail
from benchbench.run.attempt import Attempt, file_clock, latest
from benchbench.run.job import Job
from benchbench.run.record import Store
from benchbench.training.events import Note, clock, from_plain

if TYPE_CHECKING:
    from benchbench.executor.squeue import Queued
    from benchbench.suite.plan import Run

State = Literal[
    "done",
    "running",
    "starting",
    "waiting",
    "requeued",
    "failed",
    "cancelled",
    "stopped",
    "to run",
]
"""`requeued`: a job that was preempted or came to its time limit, and will go on; `stopped`: by
Ctrl-C or the end of a front end, goes on when run again."""


@dataclass(frozen=True)
class Standing:
    """Where one run is."""

    run: Run
    state: State
    detail: str
    job: str | None = None
    """Its SLURM job, if it has or had one."""
    dead: bool = False
    """Whether it ended without a word, and the cluster's accounts may know why."""
    logs: tuple[Path, ...] = ()
    """Where to read on, the most telling first."""

    def last_lines(self, lines: int) -> list[str]:
        """Of the first log that says anything."""
        for path in self.logs:
            if path.exists() and (found := list(tail(path, lines))):
                return found
        return []


def stand(jobs: Sequence[Job], store: Store, queue: Mapping[str, Queued] | None) -> list[Standing]:
    """The standings of runs; `queue` is None where there is no scheduler to be asked."""
    if not store.root.is_dir():
        return [Standing(job.run, "to run", "") for job in jobs]
    known = entrusted(store.root, queue or {})
    now = file_clock(store.root)
    found = []
    for job in jobs:
        given = known.get(job.run.spec.key)
        if job.done:
            found.append(Standing(job.run, "done", _history(job.folder)))
            continue
        found.append(_stand(job, given, queue is not None, now, store))
    return _explained(found)


def _stand(job: Job, given: Entrusted | None, asked: bool, now: float, store: Store) -> Standing:
    """The standing of a run that is not done."""
    state, newest = read_state(job.folder), latest(job.folder)
    number = given.job if given else None
    logs = (job.log, *(given.logs(store.root) if given else ()))

    def said(name: State, detail: str, *, dead: bool = False) -> Standing:
        return Standing(job.run, name, detail, number, dead, logs)

    if newest is not None and newest.alive(now) and not vanished(newest, given, asked):
        return said("running", progress(state))
    if given is not None and given.queued is not None and not leaving(job, given, newest):
        return said(*_queued(given, newest, state))
    if (job.folder / CANCELLED).exists():
        return said("cancelled", step(state))
    if given is not None and not _begun(given, newest):
        if not asked:
            return said("waiting", f"job {number}, and no scheduler to ask here")
        return replace(said("failed", "its job ended before it began", dead=True), logs=logs[::-1])
    if newest is None:
        return said("to run", "")
    if not newest.ended:
        killed = f"killed at {step(state) or state.get('phase', 'its start')}"
        return said("failed", killed, dead=True)
    if "failed" in (newest.outcome, state.get("phase")):
        return said("failed", state.get("message") or newest.facts.get("message", ""))
    return said("stopped", step(state))


def _job_of(attempt: Attempt) -> str | None:
    """The SLURM job that an attempt was in."""
    ids = attempt.facts.get("slurm") or {}
    if "SLURM_ARRAY_TASK_ID" in ids:
        return f"{ids['SLURM_ARRAY_JOB_ID']}_{ids['SLURM_ARRAY_TASK_ID']}"
    job: str | None = ids.get("SLURM_JOB_ID")
    return job


def _begun(given: Entrusted, newest: Attempt | None) -> bool:
    """Whether there was an attempt at the run since it was submitted."""
    if newest is None:
        return False
    return _job_of(newest) == given.job or newest.facts.get("since", 0) > given.submission.made


def vanished(newest: Attempt, given: Entrusted | None, asked: bool) -> bool:
    """Whether the attempt's job has left the queue, which ends all doubt about its process."""
    if not asked or given is None or given.queued is not None:
        return False
    return given.job is not None and _job_of(newest) == given.job


def leaving(job: Job, given: Entrusted, newest: Attempt | None) -> bool:
    """Whether a job is in the queue only because SLURM still clears up behind it."""
    if given.queued is None or given.queued.state != "COMPLETING":
        return False
    failed = newest is not None and newest.outcome == "failed"
    return failed or (job.folder / CANCELLED).exists()


def _queued(given: Entrusted, newest: Attempt | None, state: dict[str, Any]) -> tuple[State, str]:
    """Where a run is whose job is in the queue, and whose process is not at work."""
    assert given.queued is not None
    job, reason = given.job, given.queued.reason
    why = "" if reason in ("None", "") else f", {reason}"
    begun = newest is not None and _job_of(newest) == job
    if not given.queued.waits:
        # a process that has made its checkpoint and waits for its end, or one yet to begin
        return ("requeued", step(state)) if begun else ("starting", f"job {job}")
    if begun:
        return "requeued", f"goes on from {step(state) or 'its start'}, job {job}{why}"
    return "waiting", f"job {job}{why}"


def _explained(standings: list[Standing]) -> list[Standing]:
    """With what the cluster's accounts say of jobs that ended without a word."""
    jobs = [each.job for each in standings if each.dead and each.job is not None]
    if not jobs:
        return standings
    endings = squeue.endings(jobs)
    return [
        replace(each, detail=f"{each.detail} ({endings[each.job]})")
        if each.dead and each.job in endings
        else each
        for each in standings
    ]


def _history(folder: Path) -> str:
    newest = latest(folder)
    return f"{newest.number} attempts" if newest is not None and newest.number > 1 else ""


def read_state(folder: Path) -> dict[str, Any]:
    """The last event of a run, empty where there was none yet."""
    try:
        value = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def progress(state: dict[str, Any]) -> str:
    """`step 40/100, loss 0.02, 3m left, on node7`."""
    where = f"on {state['host']}" if "host" in state else ""
    event = from_plain(state) if state else Note("start")
    if isinstance(event, Note):
        return f"starting {where}".strip()
    parts = [str(event)]
    late = time.time() - state["updated"]
    if late > 600:
        parts.append(f"no news for {clock(late)}")
    return ", ".join([*parts, where])


def step(state: dict[str, Any]) -> str:
    """`step 40/100`, empty before the first."""
    return f"step {state['step']}/{state['steps']}" if "step" in state else ""
