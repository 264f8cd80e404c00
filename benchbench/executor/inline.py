"""Runs one after the other in this process: for debugging, and for machines with one device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from benchbench.executor import Outcome, Terms, Watch
from benchbench.executor.turns import Turns
from benchbench.executor.work import stopping, work
from benchbench.registry import register_executor
from benchbench.run.job import Job
from benchbench.suite.plan import Plan, Run


@register_executor("inline")
def inline(plan: Plan, terms: Terms) -> Inline:  # noqa: ARG001
    """The executor that needs nothing."""
    return Inline()


class Inline:
    """Executes runs here, on the first GPU or else the CPU."""

    def describe(self, todo: Sequence[Run]) -> list[str]:  # noqa: ARG002
        """No more than its name says."""
        return []

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Outcomes in order; after an interruption the remaining runs are left for next time."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        turns = Turns(jobs, watch)
        with stopping() as stop:
            while turns and not stop():
                yield from turns.look()
                job = turns.next()
                if job is None:
                    time.sleep(0.1)
                    continue
                outcome = work(job, device=device, watch=partial(watch, job.run), stop=stop)
                if outcome.status == "held":
                    turns.set_aside(job, outcome.message)
                else:
                    yield outcome
