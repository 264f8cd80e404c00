"""Job: a run and where it is done, for whatever process does it. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchbench.run.record import Store
from benchbench.suite.plan import Plan, Run
from benchbench.suite.schema import Suite


@dataclass(frozen=True)
class Settings:
    """What a suite says of how its runs are done; none of it changes a number."""

    protocols: tuple[str, ...] = ("benchbench",)
    checkpoint_every: int = 500
    workers: int = 0
    store_predictions: bool = False

    @classmethod
    def of(cls, suite: Suite) -> Settings:
        """The settings a suite gives its runs."""
        return cls(
            tuple(suite.protocols),
            suite.checkpoint_every,
            suite.workers,
            suite.store_predictions,
        )


@dataclass(frozen=True)
class Job:
    """A run and where it is done; it can be pickled."""

    run: Run
    store: Store
    settings: Settings
    code: str | None = None
    """Digest of the code it was submitted with; None to take any."""

    @property
    def key(self) -> str:
        return self.run.spec.key

    @property
    def folder(self) -> Path:
        return self.store.folder(self.run.spec)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def done(self) -> bool:
        """Whether the run has its record, and scores under all the protocols of the suite."""
        return self.store.done(self.run.spec, self.settings.protocols)

    def resolved(self) -> Job:
        """The same with a path that means the same to processes with another working directory."""
        return replace(self, store=Store(self.store.root.resolve()))


def jobs(plan: Plan, store: Store) -> list[Job]:
    """The jobs of a suite's runs."""
    settings = Settings.of(plan.suite)
    return [Job(run, store, settings) for run in plan.runs]
