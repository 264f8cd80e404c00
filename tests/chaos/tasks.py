"""What a life in the nursery does: tasks that can be pickled."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchbench.cli import main
from benchbench.run.job import jobs
from benchbench.run.record import Store
from benchbench.suite.plan import plan

LOADED = (
    *("av", "h5py", "PIL.Image", "pandas", "tabulate", "jinja2", "benchbench.report.board"),
    *("benchbench.run.execute", "benchbench.executor.work", "benchbench.scoring.evaluate"),
)


@dataclass(frozen=True)
class Bench:
    """A `bench` command, as typed."""

    arguments: tuple[str, ...]
    data: str = ""
    """The data folder, if not the user's."""

    def __call__(self) -> None:
        if self.data:
            os.environ["BENCH_DATA"] = self.data
        sys.argv = ["bench", *self.arguments]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise


class Load:
    """Imports what readers of data and scores need."""

    def __call__(self) -> None:
        for module in LOADED:
            importlib.import_module(module)


@dataclass(frozen=True)
class Work:
    """A worker that does one run of a suite, as every executor lets it."""

    suite: Path
    results: Path
    run: int

    def __call__(self) -> None:
        from benchbench.executor.work import work

        job = jobs(plan(self.suite), Store(self.results))[self.run]
        outcome = work(job, device="cpu", watch=lambda _: None, stop=lambda: False)
        print(outcome.status, outcome.message)
