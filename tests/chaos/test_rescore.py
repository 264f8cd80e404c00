"""Rescores killed at every one of their file operations: the run is what it was, or scored too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.run.record import faults, read_finished, read_record

from ..stand_ins import bench, tiny
from .nursery import Doom, Nursery, opened
from .tasks import Bench


@pytest.fixture
def folder(write_suite: Callable[..., Path], tmp_path: Path) -> Path:
    """The folder of a finished run."""
    models = [{"name": "convlstm", "options": {"hidden": [4], "patch": 4}}]
    suite = write_suite(tiny(models=models, store_predictions=True))
    bench("run", suite, "--results", tmp_path / "calm")
    (record,) = (tmp_path / "calm").glob("runs/*/*/*/record.json")
    return record.parent


def contents(folder: Path) -> dict[str, bytes]:
    """What a run's record names."""
    record = read_record(folder)
    assert record is not None
    assert not list(faults(folder, record, whole=True))
    return {name: (folder / name).read_bytes() for name in record.files}


def rescore(folder: Path, protocol: str) -> Bench:
    return Bench(("rescore", str(folder), "-p", protocol))


def struck(nursery: Nursery, folder: Path, protocol: str, check: Callable[[Path], None]) -> int:
    """Kills a rescore of a copy of a run at each operation in turn, and lets another end."""
    calm = folder.parents[4] / "rescored" / folder.name
    shutil.copytree(folder, calm)
    operations = nursery.live(rescore(calm, protocol), Doom(str(calm))).operations
    for operation in range(1, operations + 1):
        copy = folder.parents[4] / str(operation) / folder.name
        shutil.copytree(folder, copy)
        ending = nursery.live(rescore(copy, protocol), Doom(str(copy), operation=operation))
        assert ending.killed, ending.printed
        check(copy)
        again = nursery.live(rescore(copy, protocol))
        assert again.status == 0, again.printed
        assert contents(copy) == contents(calm)
        shutil.rmtree(copy)
    shutil.rmtree(calm)
    return operations


@pytest.mark.slow
def test_killed_at_any_operation_a_rescore_leaves_a_whole_run(folder: Path) -> None:
    def is_whole(copy: Path) -> None:
        finished = read_finished(copy)
        assert finished is not None
        assert finished.scores.keys() in ({"benchbench"}, {"benchbench", "openstl"})
        assert contents(folder).items() <= contents(copy).items()

    with opened() as nursery:
        nursery.warm(rescore(shutil.copytree(folder, folder.parents[4] / folder.name), "openstl"))
        operations = struck(nursery, folder, "openstl", is_whole)
    print(f"\nrescore: killed at each of {operations} file operations")
    assert operations > 15


@pytest.mark.slow
def test_killed_at_any_operation_the_mending_of_a_score_is_done_by_the_next(folder: Path) -> None:
    path = folder / "scores" / "benchbench-v1.json"
    path.write_bytes(path.read_bytes()[:-3])
    with opened() as nursery:
        nursery.warm(rescore(shutil.copytree(folder, folder.parents[4] / folder.name), "openstl"))
        assert struck(nursery, folder, "benchbench", lambda _: None) > 15
