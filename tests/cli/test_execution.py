"""How `bench run` ends: interrupted, failed or done, and what a shell learns of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchbench.executor import Outcome, Status, Watch
from benchbench.run.job import Job
from benchbench.suite.plan import Run
from benchbench.training.trainer import Trainer

from ..stand_ins import bench


@pytest.fixture
def run(write_suite: Callable[..., Path], tmp_path: Path) -> Callable[..., str]:
    """`bench run` on the tiny suite."""
    return partial(bench, "run", write_suite(), "--results", tmp_path / "results")


def signalled(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Lets a signal come in the middle of step 3."""
    real = Trainer.update

    def update(self: Trainer, *arguments: Any) -> Any:
        if self.step == 2:
            os.kill(os.getpid(), number)
        return real(self, *arguments)

    monkeypatch.setattr(Trainer, "update", update)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_a_checkpoint_and_exit_status_130(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    with monkeypatch.context() as patch:
        signalled(patch, number)
        stopped = run(status=130)
    assert "interrupted: convlstm on moving_digits, seed 0: stopped at step 3 of 6" in stopped
    assert stopped.endswith("interrupted; the same command goes on from here\n")
    assert "tiny: 1 to run, 1 done" in run()


def test_runs_that_were_not_reached_are_left_for_next_time(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGINT)
        stopped = run("seeds=[0, 1]", status=130)
    assert "convlstm on moving_digits, seed 1" not in stopped
    assert "tiny: 2 to run, 1 done" in run("seeds=[0, 1]", "--dry-run")


def test_a_failed_run_is_exit_status_1(run: Callable[..., str]) -> None:
    assert "interrupted" not in run("train.lr=1e30", status=1)


class Ending:
    """An executor whose runs end as they are told to."""

    def __init__(self, *statuses: Status) -> None:
        self.statuses = statuses

    def describe(self, todo: Sequence[Run]) -> list[str]:
        return []

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        for job, status in zip(jobs, self.statuses, strict=False):
            yield Outcome(job, status, "its reason")


FAILED = "1 of 2 runs failed; the reasons: bench status "
STOPPED = "interrupted; the same command goes on from here"


@pytest.mark.parametrize(
    ("statuses", "exit_status", "closing"),
    [
        (("failed", "done"), 1, [FAILED]),
        (("killed", "held"), 1, [FAILED]),
        (("failed", "submitted"), 1, ["follow them with: bench status ", FAILED]),
        (("failed", "interrupted"), 130, [FAILED, STOPPED]),
        (("failed",), 130, [FAILED, STOPPED]),
        (("done", "interrupted"), 130, [STOPPED]),
        (("submitted", "submitted"), 0, ["follow them with: bench status "]),
    ],
)
def test_however_runs_end_the_last_lines_say_how_many_failed_and_what_to_type(
    run: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    statuses: tuple[Status, ...],
    exit_status: int,
    closing: list[str],
) -> None:
    ending = Ending(*statuses)
    monkeypatch.setattr("benchbench.cli.execution.choose_executor", lambda *_: ending)
    lines = run(status=exit_status).splitlines()[-len(closing) :]
    assert all(line.startswith(text) for line, text in zip(lines, closing, strict=True))
    for line in lines:
        if line.startswith(FAILED):
            assert "--only failed; when they are mended: bench retry " in line


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_retry_that_fails_closes_with_the_same_line(
    run: Callable[..., str], write_suite: Callable[..., Path], tmp_path: Path, executor: str
) -> None:
    how = ("train.lr=1e30", "models=[{name: convlstm, options: {hidden: [4]}}]")
    run(*how, "--executor", executor, status=1)
    place = ("--results", tmp_path / "results", "--executor", executor)
    told = bench("retry", write_suite(), *how, *place, status=1)
    assert told.splitlines()[-1].startswith("1 of 1 runs failed; the reasons: bench status ")


def test_a_dry_run_after_failures_tells_what_is_to_do_and_ends_well(
    run: Callable[..., str],
) -> None:
    run("train.lr=1e30", status=1)
    assert "failed" not in run("train.lr=1e30", "--dry-run")
