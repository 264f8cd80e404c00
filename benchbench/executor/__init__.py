"""Where runs go: each executor brings the runs that are not done to their records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from benchbench.run.record import Store
from benchbench.suite.plan import Run

if TYPE_CHECKING:
    from benchbench.run.execute import Settings

Event = dict[str, Any]
"""What a run reports: its `phase` (train, test, held, …) and the phase's numbers."""

Watch = Callable[[Run, Event], None]

Status = Literal["done", "failed", "interrupted", "held", "submitted"]
"""`held`: another process is at it; `submitted`: a cluster has it and nobody waits here."""


@dataclass(frozen=True)
class Outcome:
    """How one attempt at a run ended."""

    run: Run
    status: Status
    message: str
    log: Path


class Executor(Protocol):
    """Brings runs to their records, in any order; one failure never stops the others."""

    def run(
        self, todo: Sequence[Run], store: Store, settings: Settings, watch: Watch
    ) -> Iterator[Outcome]:
        """Outcomes as they come; runs that another process holds are waited for."""
