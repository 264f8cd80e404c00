"""Submissions: runs that were given to SLURM as jobs, kept in `results/slurm/`.

The file is written before sbatch is called and its name is the job's name, so that the queue alone
tells which run a job is, even where the submitting process died before it read sbatch's answer.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shlex
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchbench.atomic import write_text
from benchbench.errors import BenchError, Damaged
from benchbench.executor import squeue
from benchbench.executor.slurm_job import SlurmJob
from benchbench.executor.squeue import Queued, split
from benchbench.jsonfile import read
from benchbench.run.attempt import Attempt
from benchbench.run.job import Job
from benchbench.run.process import search_path
from benchbench.suite.resources import Request

log = logging.getLogger(__name__)

FOLDER = "slurm"
FILE = "submission.json"
LIMITS = ("limit", "MaxSubmit", "MaxArraySize", "Invalid job array specification")
"""Words of sbatch where the number of jobs is what it minds."""
IGNORING = 'trap "" USR2; exec "$0" "$@"'
"""Shell that keeps a signal from killing Python before there is a handler for it."""


class Refused(BenchError):
    """sbatch does not take a job."""


@dataclass(frozen=True)
class Submission:
    """One array, or one job alone."""

    name: str
    keys: tuple[str, ...]
    """Keys of the runs, in the order of the array."""
    resources: str
    submitted: float
    """When, in seconds since the epoch."""
    number: str | None = None
    """SLURM's number; None while sbatch has not answered."""
    refused: bool = False
    """Whether sbatch did not take it."""

    @property
    def jobs(self) -> dict[str, str]:
        """SLURM's name for the job of each run, by key; empty while sbatch has not answered."""
        if self.number is None:
            return {}
        if len(self.keys) == 1:
            return {self.keys[0]: self.number}
        return {key: f"{self.number}_{index}" for index, key in enumerate(self.keys)}

    def folder(self, root: Path) -> Path:
        """The folder of its pickles and logs."""
        return root / FOLDER / self.name

    def write(self, root: Path) -> None:
        """Writes its file."""
        write_text(self.folder(root) / FILE, json.dumps(asdict(self), indent=1))


@dataclass(frozen=True)
class Submitted:
    """A run's newest submission, and its place in the queue."""

    submission: Submission
    job: str | None
    """SLURM's name for the run's job."""
    queued: Queued | None
    """Its place in the queue; None once it has left it, or where no scheduler was asked."""
    scheduler: bool
    """Whether there was a scheduler to be asked."""

    def includes(self, attempt: Attempt | None) -> bool:
        """Whether an attempt was one of its job."""
        ids = (attempt.facts.get("slurm") if attempt else None) or {}
        if "SLURM_ARRAY_TASK_ID" in ids:
            return self.job == f"{ids.get('SLURM_ARRAY_JOB_ID')}_{ids['SLURM_ARRAY_TASK_ID']}"
        return self.job is not None and self.job == ids.get("SLURM_JOB_ID")

    def begun(self, attempt: Attempt | None) -> bool:
        """Whether the newest attempt at the run was made since it was submitted."""
        since = attempt.facts.get("since", 0) if attempt else 0
        return self.includes(attempt) or since > self.submission.submitted

    def over(self, attempt: Attempt) -> bool:
        """Whether an attempt's job has left the queue, which ends all doubt about its process."""
        return self.scheduler and self.queued is None and self.includes(attempt)

    def waits_or_runs(self, attempt: Attempt | None, *, cancelled: bool) -> bool:
        """Whether its job is in the queue, and not only because SLURM still clears up behind it."""
        if self.queued is None:
            return False
        failed = attempt is not None and attempt.outcome == "failed"
        return not (self.queued.state == "COMPLETING" and (failed or cancelled))

    def logs(self, root: Path) -> list[Path]:
        """What SLURM and submitit wrote of the job, where there is something."""
        folder = self.submission.folder(root)
        paths = [folder / f"{self.job}_0_log.{ending}" for ending in ("err", "out")]
        return [path for path in paths if path.exists() and path.stat().st_size]


def submissions(root: Path) -> list[Submission]:
    """All the submissions of a results folder, oldest first; warns of those that are damaged."""
    unsorted = []
    for path in (root / FOLDER).glob(f"*/{FILE}"):
        try:
            if submission := read(path, Submission, "delete it: nothing more is told of its jobs"):
                unsorted.append(submission)
        except Damaged as error:
            log.warning("%s", error)
    return sorted(unsorted, key=lambda submission: submission.submitted)


def newest_submissions(root: Path, queue: Mapping[str, Queued] | None) -> dict[str, Submitted]:
    """The newest submission of every run that was ever submitted, by key.

    Args:
        root: the results folder.
        queue: the user's jobs in the queue; None where there is no scheduler to be asked.
    """
    numbers = {queued.name: job.partition("_")[0] for job, queued in (queue or {}).items()}
    newest: dict[str, Submitted] = {}
    for submission in submissions(root):
        if submission.refused:
            continue
        if submission.number is None:
            submission = replace(submission, number=numbers.get(submission.name))
        jobs = submission.jobs
        for key in submission.keys:
            job = jobs.get(key)
            queued = (queue or {}).get(job or "")
            before = newest.get(key)
            if before is None or before.queued is None or queued is not None:
                newest[key] = Submitted(submission, job, queued, queue is not None)
    return newest


def submit_group(suite: str, request: Request, jobs: Sequence[Job]) -> Iterator[Submission]:
    """Submits runs with the same request, in arrays as large as sbatch takes them.

    Raises:
        Refused: sbatch does not take the next one, whatever its size.
    """
    chunks = split(jobs, squeue.largest_array() if len(jobs) > 1 else 1)
    while chunks:
        chunk = chunks.pop(0)
        try:
            yield submit(suite, request, chunk)
        except Refused as error:
            if len(chunk) == 1 or not any(word in str(error) for word in LIMITS):
                raise
            chunks[:0] = split(chunk, (len(chunk) + 1) // 2)


def submit(suite: str, request: Request, jobs: Sequence[Job]) -> Submission:
    """Submits one array, or one job alone.

    Raises:
        Refused: sbatch does not take it.
    """
    root = jobs[0].store.root
    name, keys = f"bench-{suite}-{uuid.uuid4().hex[:8]}", tuple(job.key for job in jobs)
    submission = Submission(name, keys, str(request), time.time())
    submission.write(root)
    calls = [SlurmJob(job, request.seconds, request.signal_delay_s) for job in jobs]
    try:
        number = _sbatch(submission.name, submission.folder(root), request, calls)
    except Refused:
        replace(submission, refused=True).write(root)
        raise
    submission = replace(submission, number=number)
    submission.write(root)
    return submission


def _sbatch(name: str, folder: Path, request: Request, calls: Sequence[SlurmJob]) -> str:
    """SLURM's number of the jobs that sbatch took from submitit."""
    import submitit
    from submitit.core.utils import FailedJobError
    from submitit.helpers import clean_env

    configuration = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():  # a job's own variables, where this runs in one
        os.environ.update(configuration)
        executor = submitit.AutoExecutor(
            folder=folder,
            cluster="slurm",
            slurm_max_num_timeout=request.max_num_timeout,
            slurm_python=f"sh -c {shlex.quote(IGNORING)} {shlex.quote(sys.executable)}",
        )
        executor.update_parameters(
            name=name,
            # a line that fails, as of `module load`, ends the job before its run begins
            slurm_setup=["set -e", *exports(), *request.setup, "set +e"],
            **request.parameters(),
        )
        try:
            # submitit prints what sbatch says, and raises it as well
            with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                jobs = [executor.submit(call) for call in calls]
        except FailedJobError as error:
            raise Refused(f"sbatch: {_reason(error)}") from None
    return str(jobs[0].job_id).partition("_")[0]


def _reason(error: Exception) -> str:
    """sbatch's own words in submitit's message."""
    lines = [line.strip().removeprefix("sbatch: error: ") for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line)


def exports() -> list[str]:
    """Shell lines at the head of every job."""
    names = {**search_path(), "SRUN_CPUS_PER_TASK": "$SLURM_CPUS_PER_TASK"}
    lines = [f'export {name}="{value}"' for name, value in names.items()]
    return [*lines, 'export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"']
