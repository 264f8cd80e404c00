"""What a person sees while runs go on: live bars in a terminal, plain lines in a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from benchbench.executor import Outcome
from benchbench.report.terminal import visible
from benchbench.suite.plan import Run
from benchbench.training.events import Event, Note, Testing, Training

if TYPE_CHECKING:
    from benchbench.data.download import Watch
    from benchbench.dataset import Dataset

WIDE = 110
"""Columns of a terminal that has room for bars beside the words."""
LINE_SECONDS = 10.0
"""Least time between two lines on one run where the output is not a terminal."""


class Display:
    """Shows events and outcomes of `total` runs.

    Args:
        console: where to; a terminal gets live bars, anything else a line now and then.
        total: runs to do.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.ended = 0
        self.printed: dict[str, float] = {}
        self.tasks: dict[str, TaskID] = {}
        self.narrow = console.is_terminal and console.width < WIDE
        name = TextColumn("{task.description}", markup=False)
        what = TextColumn("{task.fields[what]}", markup=False)
        columns: list[ProgressColumn] = [name, what]
        if not self.narrow:
            columns = [SpinnerColumn(), name, BarColumn(bar_width=20), what, TimeElapsedColumn()]
        terminal = console.is_terminal
        self.live = Progress(*columns, console=console, disable=not terminal, transient=True)
        self.overall = self.live.add_task("runs", total=total, what=f"0/{total} done")

    def __enter__(self) -> Display:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def event(self, run: Run, event: Event) -> None:
        """Shows where one run stands."""
        key = run.spec.key
        done, total = _share(event)
        if self.narrow and isinstance(event, Training):
            event = replace(event, validation=None)  # the time that is left matters more
        words = "" if isinstance(event, Note) and event.phase != "held" else str(event)
        if self.console.is_terminal:
            if key not in self.tasks:
                self.tasks[key] = self.live.add_task(visible(run.title), total=total, what="")
            self.live.update(self.tasks[key], completed=done, total=total, what=visible(words))
        elif words and time.monotonic() - self.printed.get(key, 0.0) >= LINE_SECONDS:
            self.printed[key] = time.monotonic()
            self.say(f"  {run.title}: {words}")

    def outcome(self, outcome: Outcome) -> None:
        """Notes that a run has ended, for better or worse."""
        self.ended += outcome.status == "done"
        key = outcome.run.spec.key
        if key in self.tasks:
            self.live.remove_task(self.tasks.pop(key))
        self.live.update(self.overall, completed=self.ended, what=f"{self.ended}/{self.total} done")
        if outcome.status == "submitted":
            return  # the executor has said what it submitted
        if outcome.status == "done":
            self.say(f"done {self.ended}/{self.total}: {outcome.run.title}")
        else:
            message = f"{outcome.status}: {outcome.run.title}: {outcome.message}"
            self.say(f"{message}; log: {outcome.log}")

    def say(self, text: str) -> None:
        """Prints a line above the bars."""
        lines = "\n".join(map(visible, text.split("\n")))
        self.console.print(lines, markup=False, highlight=False, soft_wrap=True)


def _share(event: Event) -> tuple[int | None, int | None]:
    """How much is done and how much there is, in a phase that counts."""
    if isinstance(event, Training):
        return event.step, event.steps
    return (event.done, event.total) if isinstance(event, Testing) else (None, None)


@contextlib.contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A bar for each transfer on a terminal, a line for each tenth of it elsewhere."""
    if not console.is_terminal:
        yield _tenths(console)
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def watch(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=total or None)

        yield watch


def prepare(datasets: Iterable[Dataset], console: Console) -> None:
    """Prepares datasets, and shows what is downloaded."""
    from benchbench import dataset

    with watching(console) as watch:
        dataset.prepare(datasets, watch)


def _tenths(console: Console) -> Watch:
    printed: dict[str, int] = {}

    def watch(name: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        if tenth != printed.get(name):
            printed[name] = tenth
            share = f"{tenth * 10:3} % of {total / 1e6:.1f} MB" if total else "begun"
            console.print(f"{name}: {share}", highlight=False, soft_wrap=True)

    return watch
