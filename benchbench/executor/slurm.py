"""Runs as SLURM jobs through submitit: one array for each distinct request of resources."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from benchbench.errors import BenchError, SchemaError
from benchbench.executor import Outcome, Terms, Watch, follow, squeue
from benchbench.executor.ledger import FOLDER, Submission, entrusted
from benchbench.executor.local import search_path
from benchbench.executor.slurm_job import SlurmJob
from benchbench.executor.standing import leaving, vanished
from benchbench.registry import register_executor
from benchbench.run.attempt import Attempt, file_clock, latest
from benchbench.run.claim import alone
from benchbench.run.job import Job, Settings
from benchbench.run.provenance import digest
from benchbench.run.record import Store
from benchbench.suite.plan import Plan, Run
from benchbench.suite.resources import Request

T = TypeVar("T")

LIMITS = ("limit", "MaxSubmit", "MaxArraySize", "Invalid job array specification")
"""Words of sbatch where the number of jobs is what it minds."""
IGNORING = 'trap "" USR2; exec "$0" "$@"'
"""Shell that keeps a signal from killing Python before there is a handler for it."""


class Refused(BenchError):
    """sbatch does not take a job."""


@register_executor("slurm")
def slurm(plan: Plan, terms: Terms, *, wait: bool = False) -> Slurm:
    """SLURM arrays of the suite's runs.

    Args:
        wait: whether to stay until all runs have ended.
    """
    return Slurm(plan.suite.name, wait=wait, any_code=terms.any_code, say=terms.say)


@dataclass
class Slurm:
    """Gives runs to SLURM, and follows them only if told to wait.

    Args:
        suite: its name, which the jobs carry.
        wait: whether to stay until all have ended.
        any_code: whether jobs may start with other code than that of the submission.
        say: told in words what was submitted.
    """

    suite: str
    wait: bool = False
    any_code: bool = False
    say: Callable[[str], None] = lambda _: None
    given: dict[str, str] = field(default_factory=dict)
    """Job of each run that is in the queue, by key."""

    def describe(self, todo: Sequence[Run]) -> list[str]:
        """A line for each array."""
        require_time(todo)
        return arrays(todo)

    def run(
        self, todo: Sequence[Run], store: Store, settings: Settings, watch: Watch
    ) -> Iterator[Outcome]:
        """One outcome for each run: `submitted`, or with `wait` what became of it.

        Raises:
            Unreachable: the scheduler does not answer.
            Refused: sbatch takes none of the jobs.
            SchemaError: a run has no time limit.
        """
        require_time(todo)
        store = Store(store.root.resolve())
        jobs = {run.spec.key: Job(run, store, settings) for run in todo}
        with alone(store.root / FOLDER, self.wait_for):
            held = yield from self.submit(jobs, store)
        mine = [jobs[key] for key in jobs if key in self.given]
        if self.wait:
            yield from follow.follow([*mine, *held], store, watch, self.say)
            return
        for job in mine:
            yield Outcome(job, "submitted", f"job {self.given[job.run.spec.key]}")
        for job in held:
            yield Outcome(job, "held", f"held by {latest(job.folder)}")

    def wait_for(self, other: Attempt) -> None:
        """Says why nothing is submitted yet."""
        self.say(f"waiting for {other}, which is submitting too")

    def submit(self, jobs: dict[str, Job], store: Store) -> Generator[Outcome, None, list[Job]]:
        """Submits what neither is in the queue nor held; gives the held ones back."""
        queue = squeue.queue()
        known = entrusted(store.root, queue)
        now = file_clock(store.root)
        fresh: list[Job] = []
        held: list[Job] = []
        for key, job in jobs.items():
            newest, given = latest(job.folder), known.get(key)
            over = given is not None and leaving(job, given, newest)
            if given is not None and given.queued is not None and not over:
                self.given[key] = given.job or "?"
            elif newest is not None and newest.alive(now) and not over:
                (fresh if vanished(newest, given, asked=True) else held).append(job)
            else:
                fresh.append(job)
        if self.given:
            self.say(f"{len(self.given)} in the queue already")
        if held:
            self.say(f"{len(held)} being run by another process")
        refusals: list[str] = []
        for request, group in groups([job.run for job in fresh]):
            chosen = [jobs[run.spec.key] for run in group]
            refusals += self.submit_group(request, chosen, store)
        missed = [job for job in fresh if job.run.spec.key not in self.given]
        if missed and len(missed) == len(jobs):
            raise Refused(refusals[0])
        for job in missed:
            yield Outcome(job, "failed", refusals[0])
        return held

    def submit_group(self, request: Request, group: Sequence[Job], store: Store) -> list[str]:
        """Submits runs with the same request; what sbatch said where it refused."""
        waiting = split(group, largest() if len(group) > 1 else 1)
        while waiting:
            chunk = waiting.pop(0)
            try:
                self.sbatch(request, chunk, store)
            except Refused as error:
                if len(chunk) == 1 or not any(word in str(error) for word in LIMITS):
                    return [str(error)]
                half = len(chunk) // 2
                waiting[:0] = [chunk[:half], chunk[half:]]
        return []

    def sbatch(self, request: Request, chunk: Sequence[Job], store: Store) -> None:
        """Submits one array, or one job alone.

        Raises:
            Refused: sbatch does not take it.
        """
        import submitit
        from submitit.core.utils import FailedJobError
        from submitit.helpers import clean_env

        code = digest()
        keys = [job.run.spec.key for job in chunk]
        submission = Submission.new(self.suite, keys, str(request), code)
        submission.write(store.root)
        made = [
            SlurmJob(
                replace(job, code=None if self.any_code else code),
                request.seconds,
                request.signal_delay_s,
            )
            for job in chunk
        ]
        configuration = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
        with clean_env():  # a job's own variables, where this runs in one
            os.environ.update(configuration)
            executor = submitit.AutoExecutor(
                folder=submission.folder(store.root),
                cluster="slurm",
                slurm_max_num_timeout=request.max_num_timeout,
                slurm_python=f"sh -c {shlex.quote(IGNORING)} {shlex.quote(sys.executable)}",
            )
            executor.update_parameters(
                name=submission.name,
                slurm_setup=[*exports(), *request.setup],
                **request.parameters(),
            )
            try:
                # submitit prints what sbatch says, and raises it as well
                with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                    entered = [executor.submit(each) for each in made]
            except FailedJobError as error:
                replace(submission, refused=True).write(store.root)
                raise Refused(f"sbatch: {_reason(error)}") from None
        number = str(entered[0].job_id).split("_")[0]
        submission = replace(submission, job=number)
        submission.write(store.root)
        for index, key in enumerate(keys):
            self.given[key] = submission.job_of(index) or number
        self.say(describe(number, len(keys), request))


def require_time(todo: Sequence[Run]) -> None:
    """Raises SchemaError where a run has no time limit."""
    missing = sorted({run.model for run in todo if run.slurm.timeout_min is None})
    if missing:
        raise SchemaError(
            f"slurm: missing key 'timeout_min' ({', '.join(missing)}); say how long one leg of a "
            "run may take, as in slurm.timeout_min=4:00 (hours:minutes)"
        )


def groups(runs: Sequence[Run]) -> list[tuple[Request, list[Run]]]:
    """The runs by what they ask for, in order."""
    found: dict[str, tuple[Request, list[Run]]] = {}
    for run in runs:
        name = json.dumps(run.slurm.model_dump(mode="json"), sort_keys=True)
        found.setdefault(name, (run.slurm, []))[1].append(run)
    return list(found.values())


def split(group: Sequence[T], size: int) -> list[list[T]]:
    """The same in lists of at most `size`."""
    return [list(group[start : start + size]) for start in range(0, len(group), size)]


def arrays(runs: Sequence[Run]) -> list[str]:
    """What would be submitted, in words."""
    size = largest()
    return [
        describe(None, len(chunk), request)
        for request, group in groups(runs)
        for chunk in split(group, size)
    ]


def largest() -> int:
    """Most elements of one array."""
    try:
        return squeue.largest_array()
    except squeue.Unreachable as error:
        logging.getLogger(__name__).warning("%s; taking arrays of 1000", error)
        return 1000


def exports() -> list[str]:
    """Shell lines at the head of every job."""
    names = {**search_path(), "SRUN_CPUS_PER_TASK": "$SLURM_CPUS_PER_TASK"}
    lines = [f'export {name}="{value}"' for name, value in names.items()]
    return [*lines, 'export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"']


def describe(job: str | None, count: int, request: Request) -> str:
    """`array 12: 40 runs, at most 8 at once; each 1 GPU, 4 CPUs, 4:00 h`."""
    number = f" {job}" if job else ""
    if count == 1:
        return f"job{number}: 1 run; {request}"
    most = min(count, request.array_parallelism)
    return f"array{number}: {count} runs, at most {most} at once; each {request}"


def _reason(error: Exception) -> str:
    """sbatch's own words in submitit's message."""
    lines = [line.strip().removeprefix("sbatch: error: ") for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line)
