"""Where runs go: each executor brings the runs that are not done to their records.

An executor is a file that registers a function `(plan, terms, *, options) -> Executor` under
`@register_executor("name")`; a third-party package offers its own as an entry point of the group
`benchbench.executors`. The options are those of `executor: {name: …, options: …}` in a suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from benchbench.registry import EXECUTORS
from benchbench.run.job import Job
from benchbench.suite.plan import Plan, Run
from benchbench.training.events import Event

Watch = Callable[[Run, Event], None]

Status = Literal["done", "failed", "interrupted", "killed", "held", "submitted"]
"""`held`: another process works on it; `submitted`: a cluster has it and nobody waits here."""


@dataclass(frozen=True)
class Outcome:
    """How one attempt at a run ended."""

    job: Job
    status: Status
    message: str = ""

    @property
    def run(self) -> Run:
        return self.job.run

    @property
    def log(self) -> Path:
        """Where to read on."""
        return self.job.log


@dataclass(frozen=True)
class Terms:
    """What the command line says of the execution, whatever the executor."""

    say: Callable[[str], None] = lambda _: None
    """Told in words what is neither an event nor an outcome of one run."""


class Executor(Protocol):
    """Brings runs to their records, in any order; one failure never stops the others."""

    def describe(self, todo: Sequence[Run]) -> Sequence[str]:
        """Lines that say what `run` would make of the runs, for a dry run.

        Raises:
            SchemaError: the suite lacks something that the executor needs.
        """

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Outcomes as they come; runs that another process holds are waited for."""


def build_executor(plan: Plan, terms: Terms, name: str = "", **options: Any) -> Executor:
    """The executor of a registered name, or else the suite's choice, with the suite's options.

    Raises:
        UnknownName: no such executor.
        OptionError: an option is unknown or of the wrong type.
    """
    chosen = plan.suite.executor
    if name in ("", chosen.name):
        options = {**chosen.options, **options}
    entry = EXECUTORS.get(name or chosen.name)
    executor: Executor = entry.build(plan, terms, **entry.bind(options))
    return executor
