"""A run that is anywhere between its submission and its end, as its files and a queue tell it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from benchbench.executor.squeue import Queued
from benchbench.executor.standing import Standing, standings
from benchbench.executor.state import StateFile
from benchbench.executor.submission import Submission
from benchbench.run.attempt import FOLDER
from benchbench.run.job import Job, Settings
from benchbench.run.process import identity
from benchbench.run.record import Store
from benchbench.suite.plan import Plan
from benchbench.training.events import Event, Training

TRAIN = Training(40, 100, loss=0.25)


class Case:
    """One run, its files, and the queue."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self.job = Job(plan.runs[0], Store(root), Settings.of(plan.suite))
        self.queue: dict[str, Queued] | None = {}
        self.job.folder.mkdir(parents=True)

    def submitted(self, state: str | None, reason: str = "None", *, ago: float = 100) -> None:
        """As element 3 of array 7, which is in the queue in a state or has left it."""
        keys = ("a", "b", "c", self.job.run.spec.key)
        Submission("bench-x-1", keys, "1 CPU", time.time() - ago, "7").write(self.job.store.root)
        if state is not None:
            self.queue = {"7_3": Queued("7_3", state, "bench-x-1", reason)}

    def attempt(self, *, alive: bool, slurm: bool = True, ago: float = 50, **ended: Any) -> None:
        """The next attempt's file."""
        folder = self.job.folder / FOLDER
        folder.mkdir(exist_ok=True)
        ids = {"SLURM_JOB_ID": "10", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
        facts = {**identity(), "since": time.time() - ago, "slurm": ids if slurm else {}, **ended}
        if not alive:
            facts["start"] = "1"
        number = len(list(folder.iterdir())) + 1
        (folder / f"{number:03d}.json").write_text(json.dumps(facts))

    def event(self, *events: Event) -> None:
        """What the run reported."""
        file = StateFile(self.job.folder)
        for event in events:
            file.write(event)

    @property
    def standing(self) -> Standing:
        """Where it is."""
        (standing,) = standings([self.job], self.queue)
        return standing

    @property
    def line(self) -> str:
        """State and detail, as one line."""
        return f"{self.standing.state}: {self.standing.detail}"
