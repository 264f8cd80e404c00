"""A run inside a SLURM job: what it does about signals, time limits and requeueing.

SLURM sends USR2 before a preemption or the time limit. Here that only sets a flag; the trainer
makes a checkpoint at the next step and submitit then puts the job back into the queue. TERM comes
with scancel, or with preemption on clusters that do not send USR2: again a checkpoint is made, and
the process waits to be killed, because SLURM does not requeue a job that ended by itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from benchbench.errors import RunFailed
from benchbench.executor.squeue import preempted
from benchbench.executor.state import StateFile
from benchbench.executor.work import handling, work
from benchbench.run.job import Job
from benchbench.training.events import Note

HELD_SECONDS = 300.0
"""How long a job waits for another process to let go of its run: the stale limit and more."""
KILL_SECONDS = 600.0
"""How long a process that was sent TERM waits for its end."""


class Signals:
    """Which signals came, and the handlers of submitit that they were kept from."""

    def __init__(self) -> None:
        self.requeue = threading.Event()
        self.end = threading.Event()

    def stop(self) -> bool:
        """Whether to make a checkpoint now."""
        return self.requeue.is_set() or self.end.is_set()

    @contextlib.contextmanager
    def caught(self) -> Iterator[Any]:
        """Sets flags instead of what submitit would do; gives its handler of USR2."""

        def handle(number: int, _: FrameType | None) -> None:
            (self.requeue if number == signal.SIGUSR2 else self.end).set()

        with handling((signal.SIGUSR2, signal.SIGTERM), handle) as before:
            yield before[signal.SIGUSR2]


@dataclass(frozen=True)
class SlurmJob:
    """What submitit pickles: it can be called again and again, all else is in the run's folder."""

    job: Job
    limit_seconds: int
    """The time limit of the job."""
    signal_seconds: int
    """How long before the limit SLURM sends the signal."""

    def checkpoint(self, *_: Any) -> Any:
        """What submitit puts back into the queue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def __call__(self) -> str:
        """Does the run; raises RunFailed where SLURM should count the job as failed."""
        began = time.monotonic()
        import torch

        cores = int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        torch.set_num_threads(cores)
        gpus = self.job.run.slurm.gpus
        device = "cuda" if gpus or torch.cuda.is_available() else "cpu"
        signals = Signals()
        with signals.caught() as requeue:
            attempt = functools.partial(
                work,
                self.job,
                device=device,
                gpus=gpus,
                watch=lambda _: None,
                stop=signals.stop,
            )
            outcome, deadline = attempt(), time.monotonic() + HELD_SECONDS
            while outcome.status == "held" and time.monotonic() < deadline and not signals.stop():
                time.sleep(1)
                outcome = attempt()
            if outcome.status in ("interrupted", "held") and signals.stop():
                self.leave(signals, requeue, began)
        if outcome.status == "failed":
            raise RunFailed(f"{outcome.message}; log: {outcome.log}")
        return outcome.status

    def leave(self, signals: Signals, requeue: Any, began: float) -> None:
        """Puts the job back into the queue and ends the process; or waits for SLURM to end it."""
        deadline = time.monotonic() + KILL_SECONDS
        while not signals.requeue.is_set() and time.monotonic() < deadline:
            time.sleep(0.2)
        if not signals.requeue.is_set():
            sys.exit(1)
        requeue.__self__.has_timed_out = self.limit_reached(began)
        try:
            requeue(signal.SIGUSR2)
        except Exception as error:
            message = self.failure(error)
            StateFile(self.job.folder).write(Note("failed", message))
            raise RunFailed(message) from error

    def limit_reached(self, began: float) -> Callable[[], bool]:
        """Whether the signal was for the time limit: asked of the scheduler, else by the clock.

        submitit's own rule takes every signal for one where the limit is below 10 minutes.
        """
        answer = preempted(os.environ["SLURM_JOB_ID"])
        if answer is None:
            # SLURM sends the signal up to a minute early
            answer = time.monotonic() - began < self.limit_seconds - self.signal_seconds - 75
        return lambda: not answer

    def failure(self, error: Exception) -> str:
        """Why the job does not go on."""
        if "too many times" in str(error):
            return (
                f"out of time: it came to its limit of {self.limit_seconds // 60} minutes and had "
                "no requeue left (max_num_timeout); its checkpoint is kept, so raise timeout_min "
                "or max_num_timeout and retry"
            )
        return f"it could not be put back into the queue, {error}; its checkpoint is kept: retry"
