"""What a run inside a SLURM job does about signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbench.errors import RunFailed
from benchbench.executor import slurm_job
from benchbench.executor.slurm_job import SlurmJob
from benchbench.executor.state import last_report
from benchbench.run.attempt import attempts
from benchbench.run.claim import Claim
from benchbench.run.job import Job, Settings
from benchbench.run.record import Store
from benchbench.suite.code import Code
from benchbench.suite.plan import Plan
from benchbench.training.events import Note
from benchbench.training.trainer import Trainer


class Handler:
    """Plays submitit's handler of USR2."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.timed_out: list[bool] = []
        self.has_timed_out: Callable[[], bool] = lambda: True

    def requeue(self, *_: Any) -> None:
        self.timed_out.append(self.has_timed_out())
        if self.error is not None:
            raise self.error
        raise SystemExit(-1)


@pytest.fixture
def handler() -> Iterator[Handler]:
    """In place as in a process of submitit."""
    handler = Handler()
    before = signal.signal(signal.SIGUSR2, handler.requeue)
    yield handler
    signal.signal(signal.SIGUSR2, before)


@pytest.fixture
def job(
    make_plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SlurmJob]:
    """The tiny run as a job of 20 minutes."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(slurm_job, "preempted", lambda _: True)
    plan = make_plan()
    threads = torch.get_num_threads()
    yield SlurmJob(Job(plan.runs[0], Store(tmp_path / "r"), Settings.of(plan.suite)), 1200, 120)
    torch.set_num_threads(threads)


def signalled(monkeypatch: pytest.MonkeyPatch, *numbers: signal.Signals) -> None:
    """Lets signals come in the middle of step 3."""
    real = Trainer.update

    def update(self: Trainer, *arguments: Any) -> Any:
        terms = real(self, *arguments)
        if self.step == 2:
            for number in numbers:
                os.kill(os.getpid(), number)
        return terms

    monkeypatch.setattr(Trainer, "update", update)


def test_an_undisturbed_job_does_its_run(job: SlurmJob, handler: Handler) -> None:
    assert job() == "done"
    assert handler.timed_out == []
    assert signal.getsignal(signal.SIGUSR2) == handler.requeue


@pytest.mark.parametrize("preempted", [True, False])
def test_usr2_makes_a_checkpoint_at_the_step_and_requeues(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch, preempted: bool
) -> None:
    monkeypatch.setattr(slurm_job, "preempted", lambda _: preempted)
    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGUSR2)
        with pytest.raises(SystemExit):
            job()
    assert handler.timed_out == [not preempted]
    state = torch.load(job.job.folder / "checkpoint.pt")
    assert state["step"] == 3
    assert last_report(job.job.folder).event == Note("interrupted", "stopped at step 3 of 6")
    assert job.checkpoint().function == job
    assert job() == "done"
    assert [attempt.outcome for attempt in attempts(job.job.folder)] == ["interrupted", "done"]


def test_without_an_answer_of_the_scheduler_the_clock_decides(
    job: SlurmJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_job, "preempted", lambda _: None)
    monkeypatch.setattr(slurm_job.time, "monotonic", lambda: 10_000.0)
    assert job.limit_reached(began=10_000 - 1100)() is True
    assert job.limit_reached(began=10_000 - 900)() is False


def test_the_last_time_limit_fails_the_run_in_words(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.error = RuntimeError("Job not requeued because: timed-out too many times.")
    signalled(monkeypatch, signal.SIGUSR2)
    with pytest.raises(RunFailed, match="out of time: it came to its limit of 20 minutes"):
        job()
    assert "max_num_timeout" in (last_report(job.job.folder).failure or "")


def test_a_job_that_cannot_be_requeued_says_so(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.error = OSError("scontrol is away")
    signalled(monkeypatch, signal.SIGUSR2)
    with pytest.raises(RunFailed, match="could not be put back into the queue, scontrol is away"):
        job()


def test_term_makes_a_checkpoint_and_waits_for_the_end(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_job, "KILL_SECONDS", 0.0)
    signalled(monkeypatch, signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        job()
    assert caught.value.code == 1
    assert handler.timed_out == []
    assert attempts(job.job.folder)[0].outcome == "interrupted"


def test_usr2_after_term_requeues(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled(monkeypatch, signal.SIGTERM, signal.SIGUSR2)
    with pytest.raises(SystemExit):
        job()
    assert handler.timed_out == [False]


def test_a_failure_fails_the_job(job: SlurmJob, handler: Handler) -> None:
    other = replace(job, job=replace(job.job, code=Code("0", "0", "0")))
    with pytest.raises(RunFailed, match=r"the code has changed .* log: .*log.txt"):
        other()


def test_a_job_waits_for_the_one_before_it(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Claim(job.job.folder)
    monkeypatch.setattr(slurm_job.time, "sleep", lambda _: held.release("interrupted"))
    assert job() == "done"


def test_a_job_does_not_wait_for_ever(
    job: SlurmJob, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Claim(job.job.folder)
    monkeypatch.setattr(slurm_job, "HELD_SECONDS", 0.0)
    assert job() == "held"
    held.release("interrupted")


def test_submitit_asks_what_a_job_sets_before_it_requeues() -> None:
    """`leave` replaces a method of submitit's handler; here is that of the installed version."""
    from submitit.core.job_environment import SignalHandler

    handler = SignalHandler.__new__(SignalHandler)
    assert callable(handler.has_timed_out)
    assert handler.checkpoint_and_try_requeue.__self__ is handler

    def asked() -> bool:
        raise InterruptedError

    handler.has_timed_out = asked
    with pytest.raises(InterruptedError):
        handler.checkpoint_and_try_requeue(signal.SIGUSR2)
