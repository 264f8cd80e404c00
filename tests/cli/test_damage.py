"""Damaged runs, as each command tells of them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.run.claim import Claim

from ..stand_ins import bench, invoke, tiny

Write = Callable[..., Path]


@pytest.fixture
def suite(write_suite: Write, tmp_path: Path) -> Path:
    """The suite's two runs, done; the first one's record says something else since."""
    path = write_suite(tiny())
    bench("run", path, "--results", tmp_path / "results")
    record = damaged_file(tmp_path / "results")
    record.write_text(record.read_text().replace('"parameters": 0', '"parameters": 9'))
    return path


def damaged_file(results: Path) -> Path:
    """The record of the suite's first run."""
    (record,) = results.glob("runs/moving_digits/persistence/*/record.json")
    return record


@pytest.mark.parametrize("command", ["plan", "run", "table", "status", "retry"])
def test_every_command_names_the_damaged_file_and_goes_on(
    suite: Path, tmp_path: Path, command: str
) -> None:
    results = tmp_path / "results"
    before = damaged_file(results).read_bytes()
    status = 1 if command == "run" else 0
    told = bench(command, suite, "--results", results, status=status)
    assert f"{damaged_file(results)}: its digest is not that" in told.replace("\n", "")
    assert "convlstm" in told or command == "retry"
    assert damaged_file(results).read_bytes() == before


def test_plan_and_run_count_damaged_runs_apart(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    planned = bench("plan", suite, "--results", results)
    assert "tiny: 0 to run, 1 done, 1 damaged" in planned
    told = bench("run", suite, "--results", results, status=1)
    assert "tiny: 0 to run, 1 done, 1 damaged" in told
    assert "persistence (0 of 1 seeds, 1 damaged)" in told
    last = told.splitlines()[-1]
    assert last.startswith("damaged runs, neither used nor replaced: 1; what to do: bench status ")
    rows = bench(*shlex.split(last.rpartition("what to do: bench ")[2])).splitlines()
    assert "its digest is not that of what it says; delete the run's folder" in rows[1]


def test_what_is_advised_mends_a_damaged_score_and_the_number_is_the_same(
    suite: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    damaged_file(results).unlink()
    table = bench("run", suite, "--results", results)
    folder = damaged_file(results).parent
    scores = folder / "scores" / "benchbench-v1.json"
    scores.write_text(scores.read_text().replace("1", "2", 3))
    told = bench("table", suite, "--results", results, "--format", "markdown")
    key = folder.name.removeprefix("seed0-")
    assert f"score it again: bench rescore {key} -p benchbench" in told
    bench("rescore", key, "-p", "benchbench", "--results", results)
    again = bench("table", suite, "--results", results)
    assert again[again.index("moving_digits") :] in table


def test_status_reads_every_file_to_the_end_where_it_is_asked(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (parquet,) = results.glob("runs/*/convlstm/*/scores/*.parquet")
    content = bytearray(parquet.read_bytes())
    content[len(content) // 2] ^= 1
    parquet.write_bytes(content)
    assert str(parquet) not in bench("status", suite, "--results", results)
    told = bench("status", suite, "--verify", "--results", results, status=1)
    assert f"{parquet}: its sha256 is " in told
    assert "2 damaged" in told


def test_rescore_names_damaged_runs_and_scores_the_others(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    bad = damaged_file(results).parent
    (good,) = (path.parent for path in results.glob("runs/*/convlstm/*/record.json"))
    answer = invoke("rescore", bad, good, "-p", "openstl", "--json", status=1)
    assert [each["run"] for each in json.loads(answer.stdout)] == [str(good)]
    assert f"not scored: {bad}/record.json: its digest " in answer.stderr
    assert "delete the run's folder" in answer.stderr
    weights = good / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    answer = invoke("rescore", good, "-p", "mim", status=1)
    assert f"not scored: {weights}: " in answer.stderr


def test_a_run_that_was_passed_on_alone_is_rescored_and_nothing_lies_beside_it(
    suite: Path, tmp_path: Path
) -> None:
    (run,) = (tmp_path / "results").glob("runs/*/convlstm/*")
    with tempfile.TemporaryDirectory() as place:
        for parent in (Path(place), tmp_path / "a" / "b" / "c" / "d"):
            folder = shutil.copytree(run, parent / run.name)
            assert "mim" in bench("rescore", folder, "-p", "mim", "--results", tmp_path / "none")
            assert list(parent.iterdir()) == [folder]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert not (tmp_path / "none").exists()


def test_a_run_that_another_holds_is_not_rescored(suite: Path, tmp_path: Path) -> None:
    (folder,) = (path.parent for path in tmp_path.glob("results/runs/*/convlstm/*/record.json"))
    held = Claim(folder)
    answer = invoke("rescore", folder, "-p", "openstl", status=1)
    assert f"not scored: {folder}: held by process {os.getpid()} on " in answer.stderr
    held.release("done")
    assert "openstl" in bench("rescore", folder, "-p", "openstl")
