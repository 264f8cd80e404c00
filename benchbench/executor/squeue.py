"""Questions to SLURM's own commands, each asked once for all jobs."""

from __future__ import annotations

import getpass
import logging
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchbench.errors import BenchError

T = TypeVar("T")

log = logging.getLogger(__name__)

ASK_SECONDS = 60.0
MOST_IDS = 500
"""Job ids that are put on one command line."""
UNENDED = ("PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED")
"""States of jobs that sacct has not closed."""


class Unreachable(BenchError):
    """The scheduler does not answer."""


@dataclass(frozen=True)
class Queued:
    """A job, or one element of an array, that the scheduler has not done with."""

    job: str
    """`12`, or `12_3` for an element of an array."""
    state: str
    name: str
    reason: str
    """Why it waits, as SLURM says it."""

    @property
    def waits(self) -> bool:
        """Whether it has yet to start, or to start again."""
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")


def queue() -> dict[str, Queued]:
    """What this user has in the queue, by job.

    Raises:
        Unreachable: there is no squeue or it gives no answer.
    """
    user = getpass.getuser()
    answer = ask("squeue", "--noheader", "--array", f"--user={user}", "--format=%i|%T|%j|%r")
    rows = (Queued(*line.split("|", 3)) for line in answer.splitlines())
    return {row.job: row for row in rows}


def configuration() -> dict[str, str]:
    """What the cluster's configuration sets, by name.

    Raises:
        Unreachable: the scheduler does not answer.
    """
    return dict(
        re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", ask("scontrol", "show", "config"), re.M)
    )


def largest_array() -> int:
    """How many elements one array may have on this cluster; 1,000 where it does not answer."""
    try:
        return int(configuration().get("MaxArraySize", 1001))
    except Unreachable as error:
        log.warning("%s; taking arrays of 1000", error)
        return 1000


def cancel(jobs: Sequence[str]) -> None:
    """Takes jobs from the queue, running or not."""
    for ids in split(jobs, MOST_IDS):
        ask("scancel", *ids)


def endings(jobs: Sequence[str]) -> dict[str, str]:
    """State and exit code of ended jobs where the cluster keeps accounts, else nothing.

    Accounts lag behind the queue: of a job that they have not closed they say nothing yet.
    """
    texts = {}
    for ids in split(jobs, MOST_IDS):
        columns = ("-o", "JobID,State,ExitCode")
        try:
            answer = ask("sacct", "-n", "-P", "-X", "-j", ",".join(ids), *columns)
        except Unreachable:
            return {}
        for line in answer.splitlines():
            job, state, code = line.split("|")
            if state in UNENDED:
                continue
            texts[job] = state if code in ("0:0", "") else f"{state}, exit code {code}"
    return texts


def preempted(job: str) -> bool | None:
    """Whether the scheduler is taking a running job's place away; None where it does not say."""
    try:
        answer = ask("scontrol", "show", "job", job)
    except Unreachable:
        return None
    match = re.search(r"PreemptTime=(\S+)", answer)
    return match is not None and match[1] not in ("None", "N/A", "Unknown")


def split(items: Sequence[T], size: int) -> list[list[T]]:
    """The items in lists of at most `size`."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def ask(*command: str) -> str:
    """The answer of one of SLURM's commands.

    Raises:
        Unreachable: it is not there, does not answer, or refuses.
    """
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ASK_SECONDS
        )
    except FileNotFoundError:
        raise Unreachable(f"{command[0]}: no such command; is this a SLURM login node?") from None
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{command[0]}: no answer in {ASK_SECONDS:.0f} s") from None
    if answer.returncode != 0:
        lines = (answer.stderr or answer.stdout).strip().splitlines()
        words = lines[-1].removeprefix(f"{command[0]}: ") if lines else "no answer"
        raise Unreachable(f"{command[0]}: {words}")
    return answer.stdout
