"""Workers and front ends killed at random, many times over: nothing is lost, nothing done twice."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchbench.executor.inline import Inline
from benchbench.run.attempt import Attempt, attempts, file_clock, latest
from benchbench.run.job import jobs
from benchbench.run.process import search_path
from benchbench.run.record import Store
from benchbench.suite.plan import Plan, plan

from ..stand_ins import tiny

SEED = 6
FAULTS = 12
SECONDS = 45.0
"""Of chaos at most; what is left then ends in peace."""
FRONT_ENDS = 2


class Chaos:
    """Front ends on one suite, and all that may befall them.

    Runs are at different steps on machines of different speed, so that the seed fixes what is
    done, and not exactly where it strikes.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan = plan
        self.store = store
        self.random = random.Random(SEED)
        self.fronts: list[subprocess.Popen[bytes]] = []
        self.faults: Counter[str] = Counter()

    def start(self) -> None:
        """Brings the front ends to their number."""
        self.fronts = [front for front in self.fronts if front.poll() is None]
        while len(self.fronts) < FRONT_ENDS:
            command = [sys.executable, "-m", "benchbench", "run", str(self.plan.path)]
            more = ["--results", str(self.store.root), "--executor", "local"]
            self.fronts.append(
                subprocess.Popen(
                    [*command, *more, "--allow-code-change"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **search_path()},
                )
            )

    def workers(self) -> list[tuple[Path, Attempt]]:
        """Folders of runs that a process is at, and its attempt."""
        now = file_clock(self.store.root)
        folders = [self.store.folder(run.spec) for run in self.plan.runs]
        return [
            (folder, newest)
            for folder in folders
            if (newest := latest(folder)) is not None and newest.alive(now)
        ]

    def strike(self) -> None:
        """One fault."""
        kind = self.random.choice(["worker", "torn", "torn", "front end", "both", "SIGTERM"])
        front, workers = self.random.choice(self.fronts), self.workers()
        self.random.shuffle(workers)
        if kind in ("worker", "both") and workers:
            kill(workers[0][1])
        if kind in ("front end", "both"):
            front.kill()
            front.wait()
        if kind == "SIGTERM":
            front.terminate()
        if kind == "torn" and not self.tear(workers):
            return
        self.faults[kind] += 1

    def tear(self, workers: list[tuple[Path, Attempt]]) -> bool:
        """A machine that dies: the worker is gone, and its checkpoint is cut off somewhere.

        A file under a living worker is left alone: flushed to the disk it stays whole, and the
        last one is not read again.
        """
        for folder, attempt in workers:
            path = folder / "checkpoint.pt"
            if not (path.exists() and path.with_name("checkpoint.previous.pt").exists()):
                continue
            kill(attempt)
            if path.exists() and not (folder / "record.json").exists():
                os.truncate(path, int(self.random.random() * path.stat().st_size))
                return True
        return False

    def rage(self) -> None:
        """Faults, one after the other, then none until all is done."""
        deadline = time.monotonic() + SECONDS
        while sum(self.faults.values()) < FAULTS and time.monotonic() < deadline:
            self.start()
            time.sleep(self.random.uniform(0.2, 2.5))
            if self.workers():  # else there is nobody at work yet that could be disturbed
                self.strike()
        while not all(job.done for job in jobs(self.plan, self.store)):
            self.start()
            time.sleep(0.5)
        for front in self.fronts:
            front.wait(60)


@pytest.mark.slow
def test_every_run_ends_once_and_with_the_same_bits(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    train = {"steps": 300, "batch": 2, "validate_every": 100}
    shares = {"slots": 1, "threads": 1}
    models = [{"name": "convlstm", "options": {"hidden": [4, 4]}}]
    changes = {"models": models, "seeds": list(range(5)), "train": train, "local": shares}
    five = plan(write_suite(tiny(**changes, checkpoint_every=20)))
    calm, store = Store(tmp_path / "calm"), Store(tmp_path / "chaos")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    list(Inline().run(jobs(five, calm), lambda *_: None))
    torch.set_num_threads(threads)
    store.root.mkdir()
    chaos = Chaos(five, store)
    chaos.rage()

    tried = 0
    for run in five.runs:
        mine, theirs = store.folder(run.spec), calm.folder(run.spec)
        history = attempts(mine)
        tried += len(history)
        assert sum(attempt.outcome == "done" for attempt in history) <= 1
        for before, after in itertools.pairwise(history):
            assert before.facts["since"] + before.seconds <= after.facts["since"] + 0.1
        assert steps(mine) == steps(theirs)
        same(load_file(mine / "weights.safetensors"), load_file(theirs / "weights.safetensors"))
        assert not list(mine.glob("*checkpoint*"))
        tables = [pd.read_parquet(next(path.glob("scores/*.parquet"))) for path in (mine, theirs)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in chaos.faults.most_common())
    print(
        f"\nchaos: {sum(chaos.faults.values())} faults ({kinds}); {tried} attempts; "
        f"{len(five.runs)} of {len(five.runs)} runs survived, all bit-identical"
    )
    assert sum(chaos.faults.values()) >= 6


def kill(attempt: Attempt) -> None:
    """Ends a worker at once; on return it is at work no more."""
    process = int(attempt.facts["process"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    while attempt.alive(attempt.beat):
        time.sleep(0.001)


def steps(folder: Path) -> list[dict[str, Any]]:
    """The history: every iteration once, with the same loss."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Raises unless two predictors' tensors are equal to the bit."""
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
