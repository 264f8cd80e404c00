"""Runs one after the other in this process: for debugging, and for machines with one device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchbench.executor import Outcome, Terms, Watch
from benchbench.executor.turns import Turns
from benchbench.executor.work import named_gpus, say_cpu, stopping, work
from benchbench.registry import register_executor
from benchbench.run.job import Job
from benchbench.suite.plan import Plan, Run


@register_executor("inline")
def inline(plan: Plan, terms: Terms) -> Inline:
    """The executor that needs nothing."""
    return Inline(len(named_gpus(plan.suite.local)), terms.say)


@dataclass
class Inline:
    """Executes runs here, on the first GPU or else the CPU.

    Args:
        gpus: how many the suite or the environment asks for; without them no run begins.
        say: told where runs are done on the CPU that would have a GPU on a cluster.
    """

    gpus: int = 0
    say: Callable[[str], None] = lambda _: None

    def describe(self, todo: Sequence[Run]) -> list[str]:  # noqa: ARG002
        """No more than its name says."""
        return []

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Outcomes in order; after an interruption the remaining runs are left for next time."""
        import torch

        device = "cuda" if self.gpus or torch.cuda.is_available() else "cpu"
        if device == "cpu":
            say_cpu(jobs, self.say)
        turns = Turns(jobs, watch)
        with stopping() as stop:
            while turns and not stop():
                yield from turns.look()
                job = turns.next()
                if job is None:
                    time.sleep(0.1)
                    continue
                tell = partial(watch, job.run)
                outcome = work(job, device=device, gpus=self.gpus, watch=tell, stop=stop)
                if outcome.status == "held":
                    turns.set_aside(job, outcome.message)
                else:
                    yield outcome
