"""Job: a run and where it is done, for whatever process does it. No torch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from benchbench.errors import Damaged
from benchbench.run.attempt import LOG, file_clock, latest
from benchbench.run.claim import Held, alone
from benchbench.run.provenance import checkpoints, codes, differences, trail
from benchbench.run.record import Store
from benchbench.suite.code import Code, codes_of
from benchbench.suite.plan import Plan, Run
from benchbench.suite.schema import Suite
from benchbench.suite.spec import RunSpec

ASIDE = "superseded"
"""Folder below the results of runs that were made again under other code, numbered by run."""
JobState = Literal["done", "to do"] | Damaged
"""Damaged: it was done, and a file is not what was written."""


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
    code: Code | None = None
    """The code that it was submitted with; None to take any."""
    any_code: bool = False
    """Whether it may begin or go on under other code."""
    anew: bool = False
    """Whether what was made under other code is set aside, and the run made again."""

    @property
    def key(self) -> str:
        return self.run.spec.key

    @property
    def folder(self) -> Path:
        return self.store.folder(self.run.spec)

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def inspect(self) -> Inspection:
        """What the run's folder says, each of its files read once."""
        try:
            finished = self.store.read(self.run.spec)
        except Damaged as error:
            return Inspection(self, error)
        past = trail(self.folder) if finished is None else codes(finished.record.provenance)
        stale = differences(past, self.code) if self.code else ()
        done = finished is not None and not finished.unscored(self.settings.protocols)
        return Inspection(self, "done" if done and not (self.anew and stale) else "to do", stale)

    @property
    def done(self) -> bool:
        """Whether the run has its record, and scores under all the protocols of the suite.

        Raises:
            Damaged: it had, and a file is not what was written.
        """
        if isinstance(state := self.inspect().state, Damaged):
            raise state
        return state == "done"

    @property
    def state(self) -> JobState:
        """Whether the run is done, or what is wrong with one that was."""
        return self.inspect().state

    @property
    def stale(self) -> tuple[str, ...]:
        """Parts of the code that are other now; see `Inspection`."""
        return self.inspect().stale

    def drop_checkpoints(self) -> None:
        """Deletes what a kill between the record and their end left of a run that is done."""
        for path in checkpoints(self.folder):
            with contextlib.suppress(OSError):
                path.unlink()

    def set_aside(self) -> None:
        """Moves what was made under other code away, if the run is to be made `anew`.

        Raises:
            Held: somebody else is at work in its folder.
        """
        if not self.anew:
            return
        aside = self.store.root / ASIDE
        with alone(aside, lambda _: None):
            if not self.stale:
                return
            attempt = latest(self.folder)
            if attempt is not None and attempt.alive(file_clock(self.folder)):
                raise Held(attempt)
            place = aside / self.run.spec.name
            place.mkdir(parents=True, exist_ok=True)
            numbers = (int(path.name) for path in place.iterdir() if path.name.isdecimal())
            self.folder.rename(place / str(max(numbers, default=0) + 1))

    def resolved(self) -> Job:
        """The job with a path that means the same in any working directory."""
        return replace(self, store=Store(self.store.root.resolve()))


class Inspection(NamedTuple):
    """What the folder of a job's run says of it."""

    job: Job
    state: JobState
    stale: tuple[str, ...] = ()
    """Parts of the code that were other when its record, or its checkpoint, was made; none where
    the run is damaged, which is the greater fault."""


def jobs(plan: Plan, store: Store) -> list[Job]:
    """The jobs of a suite's runs, with the code as it is now."""
    settings = Settings.of(plan.suite)
    now = codes_of(run.spec for run in plan.runs)
    return [Job(run, store, settings, now[run.spec.key]) for run in plan.runs]


def recall(plan: Plan, store: Store) -> Plan:
    """The plan; where data are not here, with those that the finished runs of it were made with.

    Only where all of a dataset's are of one content, which lay at the same place.
    """
    unknown = [run for run in plan.runs if not run.spec.data]
    alike = store.alike(run.spec for run in unknown)
    contents: dict[str, set[str]] = {}
    for run in unknown:
        others = alike.get(run.spec.key, [])
        alike[run.spec.key] = mine = [spec for spec in others if _lay_at(spec, run.spec)]
        contents.setdefault(run.dataset, set()).update(spec.data for spec in mine)
    specs = {
        run.spec.key: replace(run.spec, data=spec.data, places=spec.places)
        for run in unknown
        for spec in alike[run.spec.key][:1]
        if len(contents[run.dataset]) == 1
    }
    runs = (replace(run, spec=specs.get(run.spec.key, run.spec)) for run in plan.runs)
    return replace(plan, runs=tuple(runs)) if specs else plan


def _lay_at(finished: RunSpec, planned: RunSpec) -> bool:
    """Whether the data of a finished run lay where those of a planned one should."""
    places = ((finished.dataset_options[p], planned.dataset_options[p]) for p in finished.places)
    return all(
        was == text or (isinstance(text, str) and Path("/", str(was)).match(text))
        for was, text in places
    )
