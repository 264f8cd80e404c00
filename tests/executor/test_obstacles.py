"""Files of a run that are damaged, folders or links: its own run fails in words, others go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.executor.local import Local
from benchbench.executor.standing import standings
from benchbench.executor.state import StateFile, last_report
from benchbench.executor.submission import submissions
from benchbench.executor.work import work
from benchbench.run.attempt import attempts, latest
from benchbench.run.job import Job, jobs
from benchbench.run.record import Store, read_record
from benchbench.suite.plan import Plan
from benchbench.suite.resources import Shares
from benchbench.training.events import Training

from .cases import Case

Make = Callable[..., Plan]
HOSTILE = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "half": b'{"phase": "train", "st',
    "deep": b"[" * 100_000,
    "no fields": b"{}",
    "other types": b'{"phase": [], "host": 3, "updated": "x"}',
    "a phase alone": b'{"phase": "train", "host": "n", "updated": 1}',
    "endless": b'{"phase": "train", "host": "n", "updated": 1e999, "step": 1, "steps": 2}',
    "many digits": b'{"phase": "train", "step": ' + b"9" * 6000 + b"}",
    "markup": b'"[/nope]\\u001b[2J"',
    "zeros": bytes(100),
}


def do(job: Job) -> tuple[str, str]:
    outcome = work(job, device="cpu", watch=lambda _: None, stop=lambda: False)
    return outcome.status, outcome.message


def pair(make_plan: Make, root: Path) -> list[Job]:
    """The jobs of two runs."""
    return jobs(make_plan(seeds=[0, 1]), Store(root))


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_state_is_named_by_status_and_replaced_by_the_next_report(
    case: Case, content: bytes
) -> None:
    case.attempt(alive=True)
    path = case.job.folder / "state.json"
    path.write_bytes(content)
    assert case.standing.state == "running"
    assert f"{path}: " in case.standing.detail
    assert "\n" not in case.standing.detail
    StateFile(case.job.folder).write(Training(1, 6, 0.5))
    assert last_report(case.job.folder).step == "step 1/6"


def test_a_damaged_attempt_is_named_by_status(case: Case) -> None:
    case.attempt(alive=True)
    path = case.job.folder / "attempts" / "001.json"
    path.write_text("{")
    assert f"{path}: " in case.standing.detail


@pytest.mark.parametrize("content", [b"", b"[]", b'{"name": 3}', b"[" * 100_000])
def test_a_damaged_submission_is_warned_of_and_the_others_count(
    case: Case, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    case.submitted("PENDING")
    path = case.job.store.root / "slurm" / "bench-x-0" / "submission.json"
    path.parent.mkdir()
    path.write_bytes(content)
    assert [each.name for each in submissions(case.job.store.root)] == ["bench-x-1"]
    assert f"{path}: " in caplog.text


OBSTACLES = {
    "log.txt": "folder",
    "attempts": "file",
    "history.jsonl": "folder",
    "checkpoint.pt": "folder",
    "cancelled": "folder",
    "scores": "file",
    "spec.yaml": "folder",
    "weights.safetensors": "folder",
    ".": "file",
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_lies_in_the_way_fails_its_own_run_in_one_sentence(
    make_plan: Make, tmp_path: Path, name: str
) -> None:
    first, second = pair(make_plan, tmp_path / "r")
    path = first.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(parents=True) if OBSTACLES[name] == "folder" else path.touch()
    assert not isinstance(first.state, Exception)
    status, message = do(first)
    assert status == "failed"
    assert str(path) in message
    assert "\n" not in message
    assert "Errno" not in message
    assert [row.state for row in standings([first, second], {})][1] == "to run"
    assert do(second)[0] == "done"
    newest = latest(first.folder)
    assert newest is None or newest.ended


def test_links_in_place_of_what_a_run_adds_to_are_not_followed(
    make_plan: Make, tmp_path: Path
) -> None:
    job, _ = pair(make_plan, tmp_path / "r")
    job.folder.mkdir(parents=True)
    (tmp_path / "theirs").write_text("theirs")
    job.log.symlink_to(tmp_path / "theirs")
    status, message = do(job)
    assert (status, str(job.log) in message) == ("failed", True)
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_log_that_cannot_be_written_costs_no_worker(
    make_plan: Make, tmp_path: Path, kind: str
) -> None:
    first, second = pair(make_plan, tmp_path / "r")
    first.folder.mkdir(parents=True)
    first.log.mkdir() if kind == "folder" else os.mkfifo(first.log)
    shares = Shares.model_validate({"slots": 1, "threads": 1})
    outcomes = {o.job.key: o for o in Local(shares).run([first, second], lambda *_: None)}
    assert outcomes[first.key].status == "failed"
    assert str(first.log) in outcomes[first.key].message
    assert outcomes[second.key].status == "done"


def test_a_run_past_a_damaged_attempt_names_it_in_its_log(make_plan: Make, tmp_path: Path) -> None:
    job, _ = pair(make_plan, tmp_path / "r")
    path = job.folder / "attempts" / "001.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    os.utime(path, (1, 1))
    assert do(job)[0] == "done"
    assert f"{path}: " in job.log.read_text()


def test_the_time_of_a_run_is_that_of_all_its_attempts(make_plan: Make, tmp_path: Path) -> None:
    job, _ = pair(make_plan, tmp_path / "r")
    assert do(job)[0] == "done"
    record = read_record(job.folder)
    assert record is not None
    (attempt,) = attempts(job.folder)
    wall = record.provenance["wall_seconds"]
    assert record.train_seconds + record.test_seconds <= wall <= attempt.seconds + 0.5
    assert json.loads((job.folder / "record.json").read_text())["provenance"]["attempts"]
