"""Records: sealed, a run's own and whole, or told with what to do about it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open

from benchbench.digest import file_digest, values_digest
from benchbench.errors import Damaged
from benchbench.run.execute import execute
from benchbench.run.job import ASIDE, Job, jobs
from benchbench.run.record import Store, faults, read_record
from benchbench.suite.code import Code
from benchbench.suite.plan import plan

from ..stand_ins import tiny

FILES = [
    "code.json",
    "history.jsonl",
    "predictions.npy",
    "scores/benchbench-v1.json",
    "scores/benchbench-v1.parquet",
    "spec.yaml",
    "weights.safetensors",
]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """Two seeds of one model, done."""
    root = tmp_path_factory.mktemp("twins")
    suite = root / "twins.yaml"
    models = [{"name": "convlstm", "options": {"hidden": [4], "patch": 4}}]
    suite.write_text(tiny(models=models, seeds=[0, 1], store_predictions=True))
    pair = jobs(plan(suite), Store(root / "results"))
    for job in pair:
        execute(job, torch.device("cpu"), lambda _: None)
    return pair


@pytest.fixture
def job(twins: list[Job], tmp_path: Path) -> Job:
    """The first of them, to be damaged; the other lies beside it."""
    first = twins[0]
    shutil.copytree(first.store.root, tmp_path / "results")
    return Job(first.run, Store(tmp_path / "results"), first.settings)


def other(job: Job) -> Path:
    """The folder of the other seed."""
    (folder,) = (path for path in job.folder.parent.iterdir() if path != job.folder)
    return folder


def damage(job: Job) -> str:
    """What is wrong with a run that is done."""
    state = job.state
    assert isinstance(state, Damaged), state
    return str(state)


def test_a_record_names_every_file_of_its_run_and_closes_with_its_digest(job: Job) -> None:
    values = json.loads((job.folder / "record.json").read_text())
    assert sorted(values["files"]) == FILES
    for name, seal in values["files"].items():
        assert seal["sha256"] == file_digest(job.folder / name)
        assert seal["bytes"] == (job.folder / name).stat().st_size
    assert list(values)[-1] == "digest"
    assert values.pop("digest") == values_digest(values)
    assert job.state == "done"


def test_scores_and_weights_tell_their_run_to_whoever_holds_only_them(job: Job) -> None:
    scores = job.folder / "scores"
    assert json.loads((scores / "benchbench-v1.json").read_text())["key"] == job.key
    metadata = pq.read_schema(scores / "benchbench-v1.parquet").metadata
    assert metadata[b"key"].decode() == job.key
    with safe_open(job.folder / "weights.safetensors", "pt") as file:
        assert file.metadata()["key"] == job.key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"parameters": ', '"parameters": 1'),
        ('"steps": 6', '"steps": 7'),
        ("moving", "mowing"),
        ('"steps": 6', '"steps":  6'),  # the same number
    ],
)
def test_a_digit_of_a_record_that_is_changed_is_told(job: Job, old: str, new: str) -> None:
    path = job.folder / "record.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    told = damage(job)
    assert "record.json: its digest is not that of what it says; delete the run's folder" in told


@pytest.mark.parametrize("name", ["record.json", "scores/benchbench-v1.json"])
def test_no_digit_of_a_record_or_a_score_can_change_unnoticed(job: Job, name: str) -> None:
    path = job.folder / name
    whole = path.read_bytes()
    digits = [place for place, sign in enumerate(whole) if chr(sign).isdigit()]
    for place in digits[::5]:
        changed = bytearray(whole)
        changed[place] = ord("0") + (whole[place] - ord("0") + 1) % 10
        path.write_bytes(changed)
        assert isinstance(job.state, Damaged), place
    assert len(digits) > 100


# two seeds were made by the same code
@pytest.mark.parametrize("name", [name for name in FILES if name != "code.json"])
def test_a_file_of_another_run_is_told_with_what_to_do(job: Job, name: str) -> None:
    shutil.copy(other(job) / name, job.folder / name)
    record = read_record(job.folder)
    assert record is not None
    (fault,) = faults(job.folder, record, whole=True)
    again = f"score it again: bench rescore {job.key} -p benchbench"
    mend = "delete the run's folder and run its suite again"
    mend = again if name.startswith("scores/") else mend
    mend = "delete it: predictions are made again" if name == "predictions.npy" else mend
    assert f"{job.folder / name}: " in str(fault)
    assert mend in str(fault)


def test_a_folder_copied_over_anothers_is_told(job: Job) -> None:
    theirs = other(job)
    shutil.rmtree(job.folder)
    shutil.copytree(theirs, job.folder)
    key = theirs.name.rpartition("-")[2]
    told = damage(job)
    assert f"the record of run {key}, in another's folder" in told
    assert f"let it end in -{key} again; else delete the run's folder" in told


@pytest.mark.parametrize("ending", [".bak", " (copy)", "_old", "-2"])
def test_a_copy_beside_a_run_under_another_name_changes_nothing(job: Job, ending: str) -> None:
    before = job.store.find(job.key[:6]), job.store.alike([job.run.spec])
    shutil.copytree(job.folder, job.folder.with_name(f"{job.folder.name}{ending}"))
    assert (job.store.find(job.key[:6]), job.store.alike([job.run.spec])) == before
    assert job.state == "done"


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_told_by_its_size_alone(job: Job, name: str) -> None:
    path = job.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path}: " in damage(job)
    assert "when it was written; " in damage(job)


@pytest.mark.parametrize("name", FILES)
def test_a_bit_of_any_file_is_told_where_all_is_read(job: Job, name: str) -> None:
    path = job.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    record = read_record(job.folder)
    assert record is not None
    assert [str(path) in str(fault) for fault in faults(job.folder, record, whole=True)] == [True]


def test_a_file_that_the_record_does_not_name_is_not_read(job: Job) -> None:
    shutil.copy(job.folder / "scores/benchbench-v1.json", job.folder / "scores/openstl-v1.json")
    (job.folder / "scores" / "notes.json").write_text("{")
    finished = job.store.read(job.run.spec)
    assert finished is not None
    assert list(finished.scores) == ["benchbench"]


def test_results_may_be_passed_on_without_their_large_files(job: Job) -> None:
    for name in ("weights.safetensors", "predictions.npy"):
        (job.folder / name).unlink()
    assert job.state == "done"
    record = read_record(job.folder)
    assert record is not None
    assert [str(fault) for fault in faults(job.folder, record, whole=True)] == [
        f"{job.folder / 'weights.safetensors'}: not there; delete the run's folder and run its "
        "suite again"
    ]


HOSTILE = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "half": b'{"key": "abc", "spec": {',
    "not UTF-8": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "not a number": b'{"digest": NaN}',
    "endless": b'{"digest": 1e999}',
    "many digits": b'{"digest": ' + b"9" * 6000 + b"}",
    "a surrogate": b'{"digest": "\\ud800"}',
    "markup": b'{"digest": "[/red]\\u001b[2J"}',
    "huge": b" " * ((1 << 26) + 1),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["record.json", "scores/benchbench-v1.json"])
def test_whatever_a_file_holds_its_run_alone_is_damaged(
    job: Job, name: str, content: bytes
) -> None:
    (job.folder / name).write_bytes(content)
    assert str(job.folder / name) in damage(job)
    assert "\n" not in damage(job)
    assert read_record(other(job)) is not None


@pytest.mark.parametrize("name", ["record.json", "scores/benchbench-v1.json", "history.jsonl"])
def test_a_folder_or_a_link_to_nothing_in_place_of_a_file_is_told(job: Job, name: str) -> None:
    path = job.folder / name
    path.unlink()
    path.mkdir()
    assert f"{path}: " in damage(job)
    path.rmdir()
    path.symlink_to("nowhere")
    assert f"{path}: " in damage(job)


def test_checkpoints_that_a_kill_after_the_record_left_go_with_the_next_run(job: Job) -> None:
    left = [job.folder / "checkpoint.pt", job.folder / "checkpoint.previous.pt"]
    for path in left:
        path.touch()
    job.drop_checkpoints()
    assert not any(path.exists() for path in left)
    assert job.state == "done"


def test_what_is_set_aside_takes_no_place_of_what_was_set_aside_before(job: Job) -> None:
    place = job.store.root / ASIDE / job.run.spec.name
    (place / "2").mkdir(parents=True)  # the first was deleted
    (place / "2" / "record.json").touch()
    replace(job, code=Code("other", "other", "other"), anew=True).set_aside()
    assert sorted(path.name for path in place.iterdir()) == ["2", "3"]
    assert not job.folder.exists()
