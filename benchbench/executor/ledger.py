"""Submissions: which run was given to SLURM as which job, kept in `results/slurm/`.

The file is written before sbatch is called and its name is the job's name, so that the queue alone
tells which run a job is, even where the submitting process died before it read sbatch's answer.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchbench.atomic import write_text
from benchbench.executor.squeue import Queued

FOLDER = "slurm"
FILE = "submission.json"
PREFIX = "bench-"


@dataclass(frozen=True)
class Submission:
    """One array, or one job alone."""

    name: str
    suite: str
    keys: tuple[str, ...]
    """Of the runs, in the order of the array."""
    resources: str
    code: str
    made: float
    job: str | None = None
    """SLURM's number; None while sbatch has not answered."""
    refused: bool = False
    """Whether sbatch said no."""

    @classmethod
    def new(cls, suite: str, keys: Sequence[str], resources: str, code: str) -> Submission:
        """One that is about to be made."""
        name = f"{PREFIX}{suite}-{uuid.uuid4().hex[:8]}"
        return cls(name, suite, tuple(keys), resources, code, time.time())

    def job_of(self, index: int) -> str | None:
        """SLURM's name for one of its runs."""
        if self.job is None:
            return None
        return self.job if len(self.keys) == 1 else f"{self.job}_{index}"

    def folder(self, root: Path) -> Path:
        """Where its pickles and logs are."""
        return root / FOLDER / self.name

    def write(self, root: Path) -> None:
        """Keeps it."""
        write_text(self.folder(root) / FILE, json.dumps(asdict(self), indent=1))


@dataclass(frozen=True)
class Entrusted:
    """A run's newest submission."""

    submission: Submission
    index: int
    job: str | None
    queued: Queued | None
    """Its place in the queue; None once it has left it."""

    def logs(self, root: Path) -> list[Path]:
        """What SLURM and submitit wrote of the job, where there is something."""
        folder = self.submission.folder(root)
        found = [folder / f"{self.job}_0_log.{ending}" for ending in ("err", "out")]
        return [path for path in found if path.exists() and path.stat().st_size]


def submissions(root: Path) -> list[Submission]:
    """All of a results folder, oldest first."""
    found = []
    for path in (root / FOLDER).glob(f"*/{FILE}"):
        value = json.loads(path.read_text(encoding="utf-8"))
        found.append(Submission(**{**value, "keys": tuple(value["keys"])}))
    return sorted(found, key=lambda submission: submission.made)


def entrusted(root: Path, queue: Mapping[str, Queued]) -> dict[str, Entrusted]:
    """The newest submission of every run that ever had one, by key."""
    numbers = {queued.name: re.split("_", job)[0] for job, queued in queue.items()}
    found: dict[str, Entrusted] = {}
    for submission in submissions(root):
        if submission.refused:
            continue
        known = submission
        if submission.job is None and submission.name in numbers:
            known = replace(submission, job=numbers[submission.name])
        for index, key in enumerate(submission.keys):
            job = known.job_of(index)
            queued = queue.get(job) if job is not None else None
            before = found.get(key)
            if before is None or before.queued is None or queued is not None:
                found[key] = Entrusted(known, index, job, queued)
    return found


def tail(path: Path, lines: int) -> Iterator[str]:
    """The last lines of a file that may be large."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 200 * max(lines, 5)))
        text = file.read().decode("utf-8", errors="replace")
    yield from text.splitlines()[-lines:] if lines else ()
