"""How `bench run` ends: interrupted, failed or done, and what a shell learns of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

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
