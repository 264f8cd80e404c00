"""What a person sees while runs go on, on a terminal and in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchbench.cli import progress
from benchbench.cli.progress import Display, watching
from benchbench.executor import Outcome, Status
from benchbench.run.job import Job, Settings
from benchbench.run.record import Store
from benchbench.suite.plan import plan
from benchbench.training import events
from benchbench.training.events import Note, Training

HALF = Training(50, 100, loss=0.25, validation=0.5, seconds_a_step=2.0)


class Screen:
    """A console whose output can be read."""

    def __init__(self, *, terminal: bool, width: int = 120) -> None:
        self.file = StringIO()
        self.console = Console(
            file=self.file, force_terminal=terminal, width=width, color_system=None
        )

    @property
    def text(self) -> str:
        """All that was printed."""
        return self.file.getvalue()

    def shows(self, display: Display) -> str:
        """The bars as they are now."""
        self.file.truncate(0)
        display.live.refresh()
        return self.text


@pytest.fixture
def jobs(write_suite: Callable[..., Path], tmp_path: Path) -> list[Job]:
    """Jobs of persistence and of a ConvLSTM."""
    suite = plan(write_suite())
    return [Job(run, Store(tmp_path), Settings.of(suite.suite)) for run in suite.runs]


def test_a_terminal_shows_a_bar_for_each_run_that_goes_on(jobs: list[Job]) -> None:
    screen = Screen(terminal=True)
    first, second = jobs
    with Display(screen.console, 2) as display:
        assert "runs" in screen.shows(display)
        display.event(first.run, events.Testing(3, 6))
        display.event(second.run, Note("start"))
        display.event(second.run, HALF)
        shown = screen.shows(display)
        assert "persistence on moving_digits, seed 0" in shown
        assert "testing 3/6" in shown
        assert "step 50/100, loss 0.25" in shown
        bars = {task.description: task.percentage for task in display.live.tasks}
        assert bars["convlstm on moving_digits, seed 0"] == 50
        display.outcome(Outcome(first, "done"))
        shown = screen.shows(display)
        assert "testing" not in shown
        assert "1/2 done" in shown


def test_a_file_gets_a_line_now_and_then_and_one_for_each_end(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(terminal=False)
    clock = iter([100.0, 100.0, 105.0, 110.0, 110.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    first, second = jobs
    with Display(screen.console, 2) as display:
        for _ in range(3):
            display.event(second.run, HALF)
        display.outcome(Outcome(first, "done"))
        display.outcome(Outcome(second, "failed", "no memory"))
    line = "  convlstm on moving_digits, seed 0: step 50/100, loss 0.25, val MSE 0.5, 2m left"
    assert screen.text.splitlines() == [
        line,
        line,
        "done 1/2: persistence on moving_digits, seed 0",
        f"failed: convlstm on moving_digits, seed 0: no memory; log: {second.log}",
    ]


def test_a_terminal_of_80_columns_has_the_seed_and_the_time_that_is_left(jobs: list[Job]) -> None:
    screen = Screen(terminal=True, width=80)
    with Display(screen.console, 2) as display:
        display.event(jobs[1].run, HALF)
        shown = screen.shows(display)
    assert "convlstm on moving_digits, seed 0 step 50/100, loss 0.25, 2m left" in shown


def test_a_label_is_shown_as_it_is_written(jobs: list[Job]) -> None:
    screen = Screen(terminal=True)
    run = replace(jobs[1].run, model="blocks=[ce]")
    with Display(screen.console, 2) as display:
        display.event(run, HALF)
        assert "blocks=[ce] on moving_digits" in screen.shows(display)


@pytest.mark.parametrize("status", ["held", "interrupted", "killed"])
def test_whatever_is_not_done_is_told_with_its_log(jobs: list[Job], status: Status) -> None:
    screen = Screen(terminal=True)
    with Display(screen.console, 2) as display:
        display.event(jobs[0].run, Note("held", "process 7 on n1"))
        assert "held by another: process 7 on n1" in screen.shows(display)
        display.outcome(Outcome(jobs[0], status, "why"))
        assert f"{status}: persistence on moving_digits, seed 0: why; log: " in screen.text
        assert "0/2 done" in screen.shows(display)


def test_what_was_submitted_was_said_by_the_executor(jobs: list[Job]) -> None:
    screen = Screen(terminal=False)
    with Display(screen.console, 2) as display:
        display.outcome(Outcome(jobs[0], "submitted", "job 7"))
    assert screen.text == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_downloads_are_watched(terminal: bool) -> None:
    screen = Screen(terminal=terminal)
    with watching(screen.console) as watch:
        for done in (0, 1, 5, 10):
            watch("mnist.gz", done * 10**6, 10**7)
        watch("unknown.gz", 5, 0)
    assert "mnist.gz" in screen.text
    assert "unknown.gz" in screen.text
    if not terminal:
        assert "mnist.gz:  50 % of 10.0 MB\n" in screen.text
        assert "unknown.gz: begun\n" in screen.text
