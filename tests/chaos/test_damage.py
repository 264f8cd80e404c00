"""A bit, a digit, an end or another run's file exchanged at random: told, and never a number."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbench.errors import BenchError, Damaged
from benchbench.executor.work import work
from benchbench.report.board import boards
from benchbench.report.formats import tidy
from benchbench.run.job import Job, jobs
from benchbench.run.record import NAME, Store, faults, read_record
from benchbench.suite.plan import plan

from ..stand_ins import bench, tiny

SEED = 11
FINISHED, UNFINISHED = 240, 80
EVERY = 12
"""After so many damages the commands are typed too."""
CHECKED = ("weights.safetensors", "benchbench-v1.parquet", "benchbench-v1.json")


class Damager:
    """Spoils files of runs, one at a time, and counts how."""

    def __init__(self) -> None:
        self.random = random.Random(SEED)
        self.count: Counter[str] = Counter()

    def spoil(self, path: Path, twin: Path) -> bytes:
        """The content before; the file now differs, as what it says if it is JSON."""
        before = path.read_bytes()
        while True:
            kind = self.random.choice(["bit", "digit", "cut", "swap"])
            after = bytearray(before)
            if kind == "swap":
                after[:] = twin.read_bytes() if twin.is_file() else before
            elif kind == "cut":
                del after[self.random.randrange(len(after) or 1) :]
            elif kind == "bit" and after:
                after[self.random.randrange(len(after))] ^= 1 << self.random.randrange(8)
            elif digits := [match.start() for match in re.finditer(rb"\d", before)]:
                after[self.random.choice(digits)] = self.random.choice(b"0123456789")
            if not same(before, bytes(after)):
                path.write_bytes(after)
                self.count[kind] += 1
                return before


def same(one: bytes, other: bytes) -> bool:
    """Whether they are equal, or say the same as JSON."""
    try:
        return one == other or bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def told(folder: Path) -> list[str]:
    """What is wrong with a finished run, read to the end."""
    try:
        record = read_record(folder)
    except Damaged as error:
        return [str(error)]
    assert record is not None
    return [str(error) for error in faults(folder, record, whole=True)]


def numbers(job_list: list[Job], suite: Path, *overrides: str) -> Iterator[tuple[Any, ...]]:
    """The numbers of a table, each with its place in it."""
    for line in tidy(boards(plan(suite, overrides), job_list[0].store)):
        yield tuple(line[key] for key in ("model", "metric", "mean", "std", "seeds"))


@pytest.mark.slow
def test_no_damage_to_a_finished_run_is_taken_for_a_number_or_ends_a_table(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    suite = write_suite(tiny(seeds=[0, 1], store_predictions=True))
    bench("run", suite, "--results", tmp_path, "--executor", "inline")
    every = jobs(plan(suite), Store(tmp_path))
    sound = set(numbers(every, suite))
    truths = sound.union(*(numbers(every, suite, f"seeds=[{seed}]") for seed in (0, 1)))
    damager = Damager()
    missed = []
    for number in range(FINISHED):
        job, twin = damager.random.sample(every, 2)
        path = damager.random.choice(files(job.folder))
        place = path.relative_to(job.folder)
        before = damager.spoil(path, twin.folder / place)
        record = job.folder / NAME
        sealed = path == record or place.as_posix() in json.loads(record.read_bytes())["files"]
        if sealed and not told(job.folder):
            missed.append(str(place))
        table = set(numbers(every, suite))
        assert {line for line in table if line[-1]} <= truths, place
        if number % EVERY == 0:
            assert "persistence" in bench("table", suite, "--results", tmp_path)
            bench("status", suite, "--verify", "--results", tmp_path, status=1 if sealed else 0)
        path.write_bytes(before)
        assert not told(job.folder)
    assert set(numbers(every, suite)) == sound
    print(f"\ndamage to finished runs: {damager.count.total()} {dict(damager.count)}, all told")
    assert not missed
    assert damager.count.total() >= 200


@pytest.mark.slow
def test_a_damaged_unfinished_run_ends_with_the_same_bits_or_a_sentence(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    suite = write_suite(tiny(seeds=[0, 1], checkpoint_every=2, models=[convlstm()]))
    calm = jobs(plan(suite), Store(tmp_path / "calm"))
    for job in calm:
        assert finish(job) == "done"
    damager, refused = Damager(), 0
    for number in range(UNFINISHED):
        half = jobs(plan(suite), Store(tmp_path / str(number)))
        for job in half:
            assert finish(job, stop_at=4) == "interrupted"
        paths = files(half[0].folder)
        path = damager.random.choice([*paths, *(p for p in paths if p.suffix == ".pt")])
        damager.spoil(path, half[1].folder / path.relative_to(half[0].folder))
        for job, whole in zip(half, calm, strict=True):
            if (outcome := finish(job)) != "done":
                refused += 1
                # who may still be at work, as a damaged attempt cannot tell, is waited for a while
                assert outcome.startswith("failed: ") or (
                    outcome == "held" and path.parent.name == "attempts"
                )
                assert "Error" not in outcome, outcome
                continue
            for name in CHECKED:
                (mine,), (theirs,) = job.folder.rglob(name), whole.folder.rglob(name)
                assert mine.read_bytes() == theirs.read_bytes(), (name, path)
    kinds = dict(damager.count)
    print(f"\ndamage to unfinished runs: {damager.count.total()} {kinds}, {refused} refused")
    assert damager.count.total() >= 60


def convlstm() -> dict[str, Any]:
    return {"name": "convlstm", "options": {"hidden": [4, 4], "patch": 4}}


def finish(job: Job, stop_at: int | None = None) -> str:
    """How an attempt at a run ends, stopped after an iteration or not."""
    step = 0

    def watch(event: object) -> None:
        nonlocal step
        step = getattr(event, "step", step)

    def stop() -> bool:
        return stop_at is not None and step >= stop_at

    try:
        outcome = work(job, device="cpu", watch=watch, stop=stop)
    except BenchError as error:
        return f"failed: {error}"
    return outcome.status if outcome.status != "failed" else f"failed: {outcome.message}"
