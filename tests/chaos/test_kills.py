"""Front ends and workers killed at single file operations, or at any moment, 200 times and more."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..stand_ins import tiny
from .nursery import Doom, Ending, Nursery, opened
from .tasks import Bench, Work

SEED = 6
KILLS = 240
A_ROUND = 12
"""Kills that one results folder goes through."""
RUNS = 3
MOMENTS = 0.3
"""Share of the kills that come at a moment; the others come at a file operation."""
PASSING = ("attempts", "log.txt", "state.json", "record.json")
"""What tells of time and of attempts."""


class Campaign:
    """Results folders of one suite, one after the other, and whom to kill at work on them."""

    def __init__(self, nursery: Nursery, suite: Path, calm: Path) -> None:
        self.nursery = nursery
        self.suite = suite
        self.random = random.Random(SEED)
        self.kills: Counter[str] = Counter()
        nursery.warm(Work(suite, calm.with_name("warm"), 1))
        self.endings = {
            "front end": nursery.live(self.front_end(calm), Doom(str(calm))),
            "rescore": nursery.live(self.rescore(calm), Doom(str(calm))),
            "table": nursery.live(self.table(calm), Doom(str(calm))),
        }
        other = calm.with_name("worker")
        self.endings["worker"] = nursery.live(Work(suite, other, 1), Doom(str(other)))
        assert [ending.status for ending in self.endings.values()] == [0] * 4, self.endings

    def front_end(self, results: Path) -> Bench:
        return Bench(("run", str(self.suite), "--results", str(results), "--executor", "inline"))

    def table(self, results: Path) -> Bench:
        return Bench(("table", str(self.suite), "--results", str(results)))

    def rescore(self, results: Path) -> Callable[[], None]:
        folders = sorted(str(path.parent) for path in results.rglob("record.json"))
        return Bench(("rescore", *folders, "--protocol", "openstl", "--results", str(results)))

    def kill(self, kind: str, task: Callable[[], None], results: Path) -> Ending:
        """Lets a task be killed at an operation, or at a moment, if it lives that long."""
        how = "moment" if self.random.random() < MOMENTS else "operation"
        if how == "moment":
            doom = Doom(str(results), seconds=self.random.uniform(0.0, 0.5))
        else:
            last = self.endings[kind].operations
            doom = Doom(str(results), operation=self.random.randint(1, last))
        ending = self.nursery.live(task, doom)
        assert ending.killed or ending.status == 0, ending.printed
        self.kills[f"{kind} at {how}"] += ending.killed
        return ending

    def rage(self, results: Path) -> None:
        """Kills until there have been enough, then lets everything end in peace."""
        before = self.kills.total()
        while self.kills.total() - before < A_ROUND * 2 // 3:
            kind = self.random.choice(["front end", "worker"])
            task: Callable[[], None] = self.front_end(results)
            if kind == "worker":
                task = Work(self.suite, results, self.random.randrange(RUNS))
            if not self.kill(kind, task, results).killed and kind == "front end":
                break  # there is nothing left to do
        assert self.nursery.live(self.front_end(results)).status == 0
        while self.kills.total() - before < A_ROUND:
            kind = self.random.choice(["rescore", "table"])
            task = self.rescore(results) if kind == "rescore" else self.table(results)
            if not self.kill(kind, task, results).killed and kind == "rescore":
                break
        assert self.nursery.live(self.rescore(results)).status == 0
        assert self.nursery.live(self.front_end(results)).status == 0


def contents(results: Path) -> dict[str, bytes]:
    """The files of all runs that are the same in each repetition."""
    paths = [path for path in (results / "runs").rglob("*") if path.is_file()]
    places = {path.relative_to(results): path for path in paths}
    return {
        place.as_posix(): path.read_bytes()
        for place, path in sorted(places.items())
        if not (set(place.parts) & set(PASSING) or place.name.startswith("."))
    }


def records(results: Path) -> dict[str, dict[str, Any]]:
    """What the records of all runs say, less what tells of time and of attempts."""
    passing = ("train_seconds", "test_seconds", "provenance", "digest", "files")
    return {
        path.relative_to(results).as_posix(): {
            name: value
            for name, value in json.loads(path.read_text()).items()
            if name not in passing
        }
        for path in results.rglob("record.json")
    }


def leaderboard(results: Path) -> list[dict[str, Any]]:
    """The scores in the suite's leaderboard file."""
    lines = json.loads((results / "tiny" / "leaderboard.json").read_text())["scores"]
    return [{key: line[key] for key in line if key != "train_seconds"} for line in lines]


@pytest.mark.slow
def test_whatever_is_killed_wherever_every_run_ends_with_the_same_bits(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    suite = write_suite(tiny(seeds=[0, 1], checkpoint_every=2))
    calm = tmp_path / "calm"
    with opened() as nursery:
        campaign = Campaign(nursery, suite, calm)
        rounds = 0
        while campaign.kills.total() < KILLS and rounds < 2 * KILLS // A_ROUND:
            rounds += 1
            results = tmp_path / f"round{rounds}"
            campaign.rage(results)
            assert contents(results) == contents(calm)
            assert records(results) == records(calm)
            assert leaderboard(results) == leaderboard(calm)
    kinds = ", ".join(f"{count} {kind}" for kind, count in campaign.kills.most_common())
    print(f"\nkills: {campaign.kills.total()} ({kinds}); {rounds * RUNS} runs, all bit-identical")
    assert campaign.kills.total() >= 200
