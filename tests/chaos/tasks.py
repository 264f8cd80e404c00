"""What a life in the nursery does: tasks that can be pickled."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchbench.cli import main
from benchbench.run.job import jobs
from benchbench.run.record import Store
from benchbench.suite.plan import plan


@dataclass(frozen=True)
class Bench:
    """A `bench` command, as typed."""

    arguments: tuple[str, ...]

    def __call__(self) -> None:
        sys.argv = ["bench", *self.arguments]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise


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
