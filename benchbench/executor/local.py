"""A queue over the devices of this machine: one run at a time on each GPU or CPU slot."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchbench.executor import Outcome, Terms, Watch
from benchbench.executor.turns import Turns
from benchbench.executor.work import check_gpus, log_file, named_gpus, say_cpu, stopping
from benchbench.registry import register_executor
from benchbench.run.job import Job
from benchbench.run.process import search_path
from benchbench.suite.plan import Plan, Run
from benchbench.suite.resources import Shares

DEATHS = 3
"""Workers that may die of one run before it counts as failed."""
DRIVERS = ("nvidia*", "nvhost*", "nvmap", "kfd", "dxg")
"""Device files of NVIDIA's drivers, those of Jetson included, of ROCm's, and of GPUs in WSL."""
LEAVE_SECONDS = 30.0
"""Time that an idle worker has to end by itself."""


@dataclass(frozen=True)
class Slot:
    """A place for one run."""

    gpu: str | None
    """The GPU as in `CUDA_VISIBLE_DEVICES`; None for a slot of the CPU."""
    threads: int

    @property
    def device(self) -> str:
        """The device as the worker sees it."""
        return "cpu" if self.gpu is None else "cuda"

    def __str__(self) -> str:
        place = "CPU slot" if self.gpu is None else f"GPU {self.gpu}"
        return f"{place}, {self.threads} thread{'' if self.threads == 1 else 's'}"

    def environment(self) -> dict[str, str]:
        """Variables of the worker's process."""
        return {
            **search_path(),
            "CUDA_VISIBLE_DEVICES": self.gpu or "",
            "OMP_NUM_THREADS": str(self.threads),
            "MKL_NUM_THREADS": str(self.threads),
        }


def slots(shares: Shares, environment: Mapping[str, str] = os.environ) -> list[Slot]:
    """The places of this machine as the suite shares them out."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    names = named_gpus(shares, environment) or _visible(shares, environment)
    count = len(names) or shares.slots or max(1, cores // 4)
    threads = shares.threads or max(1, cores // count)
    return [Slot(name, threads) for name in names] or [Slot(None, threads)] * count


def _visible(shares: Shares, environment: Mapping[str, str]) -> list[str]:
    """All GPUs of this machine, where nothing says which to use."""
    if shares.gpus is not None or "CUDA_VISIBLE_DEVICES" in environment or _no_driver():
        return []
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def _no_driver() -> bool:
    """Whether this Linux has no device file of a GPU's driver, so that torch need not be asked."""
    files = (path for pattern in DRIVERS for path in Path("/dev").glob(pattern))
    return sys.platform == "linux" and not any(files)


class _Seat:
    """A slot with its worker process, started when first needed and again after a death."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.job: Job | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: Connection[Any, Any] | None = None

    def assign(self, job: Job) -> None:
        """Lets the worker do a run."""
        self.job = job
        if self.channel is None:
            self._start(job.log)
        assert self.channel is not None
        # a worker that died idle shows by the end of its socket
        with contextlib.suppress(OSError):
            self.channel.send(job)

    def _start(self, log: Path) -> None:
        self.channel, theirs = multiprocessing.Pipe()
        command = [sys.executable, "-m", "benchbench.executor.worker"]
        with theirs, log_file(log) as file:
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno()), self.slot.device],
                env={**os.environ, **self.slot.environment()},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def stop(self) -> None:
        """Asks the worker to make a checkpoint and end."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.channel.send(None)

    def dismiss(self) -> int:
        """Lets the worker go, and gives its exit status."""
        assert self.channel is not None
        assert self.process is not None
        self.channel.close()
        try:
            status = self.process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.channel = self.process = self.job = None
        return status


@register_executor("local")
def local(plan: Plan, terms: Terms) -> Local:
    """The queue over the devices that the suite's `local` section shares out."""
    return Local(plan.suite.local, terms.say)


class Local:
    """Executes runs in worker processes, never more at once than there are devices.

    Args:
        shares: how the machine is shared out.
        say: told where runs are done on the CPU that would have a GPU on a cluster.
    """

    def __init__(self, shares: Shares, say: Callable[[str], None] = lambda _: None) -> None:
        self.slots = slots(shares)
        self.say = say

    def describe(self, todo: Sequence[Run]) -> list[str]:  # noqa: ARG002
        """A line for each slot."""
        return [str(slot) for slot in self.slots]

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Outcomes as they come; after an interruption the remaining runs are left.

        Raises:
            RunFailed: there are fewer GPUs than slots for them.
        """
        check_gpus(sum(slot.gpu is not None for slot in self.slots))
        if self.slots[0].gpu is None:
            say_cpu(jobs, self.say)
        turns = Turns([job.resolved() for job in jobs], watch)
        seats = [_Seat(slot) for slot in self.slots]
        deaths: Counter[str] = Counter()
        told_to_stop = False
        try:
            with stopping() as stop:
                while any(seat.job for seat in seats) or (turns and not stop()):
                    if stop() and not told_to_stop:
                        told_to_stop = True
                        for seat in seats:
                            seat.stop()
                    if not stop():
                        yield from turns.look()
                        _fill(seats, turns)
                    yield from _receive(seats, turns, deaths, watch)
        finally:
            _dismiss(seats)


def _fill(seats: Sequence[_Seat], turns: Turns) -> None:
    for seat in seats:
        if seat.job is None and (job := turns.next()) is not None:
            seat.assign(job)


def _dismiss(seats: Sequence[_Seat]) -> None:
    """Ends the idle workers; those at work stop by themselves when their socket ends."""
    for seat in seats:
        if seat.channel is not None and seat.job is None:
            seat.dismiss()
        elif seat.channel is not None:
            seat.channel.close()


def _receive(
    seats: Sequence[_Seat], turns: Turns, deaths: Counter[str], watch: Watch
) -> Iterator[Outcome]:
    """Outcomes of what the workers say within a short while."""
    busy = {seat.channel: seat for seat in seats if seat.job and seat.channel}
    if not busy:
        time.sleep(0.05)
        return
    for channel in wait(list(busy), timeout=0.2):
        seat = busy[channel]  # type: ignore[index]
        job = seat.job
        assert job is not None
        assert seat.channel is not None
        try:
            message = seat.channel.recv()
        except (EOFError, OSError):
            outcome = _died(job, seat.dismiss(), turns, deaths)
            if outcome is not None:
                yield outcome
            continue
        if not isinstance(message, Outcome):
            watch(job.run, message)
            continue
        seat.job = None
        if message.status == "failed":
            # whatever is broken in that process is not the next run's trouble
            seat.dismiss()
        if message.status == "held":
            turns.set_aside(job, message.message)
        else:
            yield message


def _died(job: Job, status: int, turns: Turns, deaths: Counter[str]) -> Outcome | None:
    """What a worker's death means for its run: nothing yet, which is tried again, or failure."""
    deaths[job.key] += 1
    if deaths[job.key] < DEATHS:
        turns.again(job)
        return None
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    hint = "; the machine may be out of memory" if status == -signal.SIGKILL else ""
    return Outcome(job, "failed", f"its worker died {DEATHS} times, the last time by {how}{hint}")
