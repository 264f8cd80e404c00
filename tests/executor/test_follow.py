"""Runs that other processes do are followed to their end, through all that a queue may say."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from benchbench.executor import Outcome, slurm, squeue
from benchbench.executor.slurm import follow
from benchbench.executor.squeue import Queued, Unreachable
from benchbench.executor.work import work
from benchbench.suite.plan import Run
from benchbench.training.events import Event, Note

from .cases import TRAIN, Case

Step = Callable[[], None]


class Watched:
    """What was seen of one run, while the world goes one step further at every pause."""

    def __init__(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case = case
        self.events: list[Event] = []
        self.said: list[str] = []
        self.steps: list[Step] = []
        self.clock = 0.0
        monkeypatch.setattr(squeue, "queue", self.queue)
        clock = SimpleNamespace(monotonic=lambda: self.clock, sleep=self.pause)
        monkeypatch.setattr(slurm, "time", clock)

    def queue(self) -> dict[str, Queued]:
        if self.case.queue is None:
            raise Unreachable("squeue: no answer in 60 s")
        return self.case.queue

    def pause(self, _: float) -> None:
        self.clock += slurm.ASK_SECONDS[1]
        self.steps.pop(0)()

    def follow(self, *steps: Step) -> list[tuple[str, str]]:
        self.steps = list(steps)
        outcomes = list(follow([self.case.job], self.watch, self.said.append))
        assert not self.steps
        return [(outcome.status, outcome.message) for outcome in outcomes]

    def watch(self, _: Run, event: Event) -> None:
        self.events.append(event)


@pytest.fixture
def watched(case: Case, monkeypatch: pytest.MonkeyPatch) -> Watched:
    case.submitted("PENDING", "Priority")
    return Watched(case, monkeypatch)


def do(case: Case) -> Outcome:
    case.queue = {}
    return work(case.job, device="cpu", watch=lambda _: None, stop=lambda: False)


def test_a_run_waits_is_trained_and_ends(watched: Watched) -> None:
    case = watched.case

    def start() -> None:
        case.submitted("RUNNING")
        case.attempt(alive=True)
        case.event(TRAIN)

    def end() -> None:
        case.attempt(alive=False)
        do(case)

    assert watched.follow(start, lambda: None, end) == [("done", "")]
    assert watched.events == [TRAIN, TRAIN]


def test_a_failure_is_told_once_it_is_sure(watched: Watched) -> None:
    case = watched.case

    def fail() -> None:
        case.queue = {}
        case.attempt(alive=False, ended=time.time(), outcome="failed", message="no memory")
        case.event(Note("failed", "no memory"))

    assert watched.follow(fail, lambda: None) == [("failed", "no memory")]


def test_a_scheduler_that_forgets_a_job_for_a_moment_ends_no_run(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "SURE_SECONDS", 1.5 * slurm.ASK_SECONDS[1])
    case = watched.case

    def forget() -> None:
        case.queue = {}

    def remember() -> None:
        case.submitted("RUNNING")

    steps = [forget, lambda: None, remember, forget, lambda: None, lambda: do(case)]
    assert watched.follow(*steps) == [("done", "")]


def test_a_scheduler_that_does_not_answer_is_asked_again(watched: Watched) -> None:
    case = watched.case

    def vanish() -> None:
        case.queue = None

    assert watched.follow(vanish, lambda: do(case)) == [("done", "")]
    assert watched.said == ["squeue: no answer in 60 s; asking again"]


def test_ctrl_c_ends_the_watching_and_not_the_run(watched: Watched) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    assert watched.follow(interrupt) == []
    assert watched.said == ["1 go on without being watched; look with 'bench status'"]
    assert watched.case.line == "waiting: job 7_3, Priority"
