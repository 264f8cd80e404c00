"""A run's ends: stored predictions, kept weights, what another attempt finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import Damaged, RunFailed
from benchbench.predictor import Predictor
from benchbench.registry import build_dataset, build_model
from benchbench.run.execute import execute
from benchbench.run.job import Job, Settings
from benchbench.run.load import load_predictions, load_predictor
from benchbench.run.record import PREDICTIONS, Record, Store, read_record
from benchbench.run.rescore import Rescoring, records
from benchbench.scoring.summary import Summary
from benchbench.suite.plan import plan
from benchbench.training.events import Event, Interrupted
from benchbench.training.trainer import Trainer
from benchbench.weights import files

Write = Callable[..., Path]
CPU = torch.device("cpu")


def ignore(_: Event) -> None:
    """Watches nothing."""


def make_job(suite: Path, results: Path, *overrides: str) -> Job:
    """The run of the suite's ConvLSTM."""
    suite_plan = plan(suite, overrides)
    return Job(suite_plan.runs[1], Store(results), Settings.of(suite_plan.suite))


def finish(suite: Path, results: Path, *overrides: str) -> Job:
    """The same, done."""
    job = make_job(suite, results, *overrides)
    execute(job, CPU, ignore)
    return job


def record_of(job: Job) -> Record:
    """The record of a job that is done."""
    record = read_record(job.folder)
    assert record is not None
    return record


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a run that are the same in each repetition."""
    names = ["spec.yaml", "history.jsonl", "weights.safetensors", "scores/benchbench-v1.parquet"]
    return {name: (folder / name).read_bytes() for name in names}


def rescore(folder: Path, name: str, **how: Any) -> Summary:
    (record,) = records([folder])[0].values()
    (summary,) = Rescoring.of(folder, record, [protocols.get(name)]).score(**how)
    return summary


def test_stored_predictions_are_those_that_were_scored(write_suite: Write, tmp_path: Path) -> None:
    job = finish(write_suite(), tmp_path, "store_predictions=true", "test_batch=4")
    folder, spec = job.folder, job.run.spec
    file = np.load(folder / PREDICTIONS)
    assert file.shape == (6, 2, 1, 16, 16)
    assert file.dtype == np.float32
    dataset = build_dataset(spec.dataset, **spec.dataset_options)

    def predictions() -> Tensor:
        stream = load_predictions(folder, record_of(job), spec, dataset, CPU)
        return torch.cat([batch.prediction for batch in stream.batches])

    stored = predictions()
    (folder / PREDICTIONS).rename(folder / "aside.npy")
    assert torch.equal(stored, torch.from_numpy(file))
    torch.testing.assert_close(predictions(), stored)


def test_a_rescore_from_either_gives_the_same_and_changes_nothing(
    write_suite: Write, tmp_path: Path
) -> None:
    scores = []
    for name, stored in (("a", "true"), ("b", "false")):
        folder = finish(write_suite(), tmp_path / name, f"store_predictions={stored}").folder
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        summary = rescore(folder, "openstl")
        changes = [path.name for path in before if path.read_bytes() != before[path]]
        assert changes == ["record.json"]
        scores.append({name: score.value for name, score in summary.scores.items()})
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_a_rescore_predicts_in_the_batches_of_the_run(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finish(write_suite(), tmp_path, "test_batch=4")
    folder, spec = job.folder, job.run.spec
    sizes: list[int] = []
    dataset = build_dataset(spec.dataset, **spec.dataset_options)
    model = type(load_predictor(folder, record_of(job), dataset))
    forward = model.forward

    def watched(self: Predictor, context: Tensor, horizon: int) -> Tensor:
        sizes.append(len(context))
        return forward(self, context, horizon)

    monkeypatch.setattr(model, "forward", watched)
    rescore(folder, "openstl")
    rescore(folder, "cms_lstm", batch=5)
    execute(replace(job, settings=Settings(("benchbench", "predrnn"))), CPU, ignore)
    assert sizes == [4, 2, 5, 1, 4, 2]


def test_damaged_files_of_a_run_are_named(write_suite: Write, tmp_path: Path) -> None:
    folder = finish(write_suite(), tmp_path, "store_predictions=true").folder
    file = folder / PREDICTIONS
    for content in (b"\x93NUMPY", file.read_bytes()[:-1], b""):
        file.write_bytes(content)
        with pytest.raises(Damaged, match=r"predictions\.npy: .*when it was written; delete it"):
            rescore(folder, "openstl")
    assert not list((folder / "scores").glob("*openstl*"))


def test_weights_that_are_not_those_of_the_record_are_never_tested(
    write_suite: Write, tmp_path: Path
) -> None:
    folder = finish(write_suite(), tmp_path / "one").folder
    other = finish(write_suite(), tmp_path / "other", "seeds=[1]").folder
    path = folder / "weights.safetensors"
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[-1] ^= 1
    swapped = (other / path.name).read_bytes()
    for content in (swapped, bytes(broken), whole[:-1], b"", None):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(Damaged, match=r"weights\.safetensors: .*; delete the run's folder"):
            rescore(folder, "openstl")
    path.write_bytes(whole)
    rescore(folder, "openstl")


def test_the_tested_weights_can_be_read_without_us(write_suite: Write, tmp_path: Path) -> None:
    job = finish(write_suite(), tmp_path)
    tensors = load_file(job.folder / "weights.safetensors")
    dataset = build_dataset(job.run.spec.dataset, **job.run.spec.dataset_options)
    state = load_predictor(job.folder, record_of(job), dataset).state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_a_model_that_is_not_trained_leaves_weights_too(write_suite: Write, tmp_path: Path) -> None:
    suite_plan = plan(write_suite())
    job = Job(suite_plan.runs[0], Store(tmp_path), Settings.of(suite_plan.suite))
    execute(job, CPU, ignore)
    assert load_file(job.folder / "weights.safetensors") == {}
    assert rescore(job.folder, "openstl").protocol == "openstl"


def test_imported_weights_are_tested_as_they_are_and_not_others(
    write_suite: Write, tmp_path: Path
) -> None:
    clip = Clip(1, 16, 16, 3, 2)
    predictor = build_model("convlstm", clip, hidden=[8], patch=4)
    assert predictor.built_as is not None
    state = predictor.state_dict()
    files.save(tmp_path / "w.pt", files.Imported(*predictor.built_as, clip, "openstl", "", state))
    entry = "models.1={name: convlstm, weights: w.pt, options: {patch: 4, hidden: [8]}}"
    job = finish(write_suite(), tmp_path / "results", entry)
    tensors = load_file(job.folder / "weights.safetensors")
    assert all(torch.equal(tensors[name], state[name]) for name in state)
    late = make_job(write_suite(), tmp_path / "late", entry)
    with (tmp_path / "w.pt").open("ab") as file:
        file.write(b" ")
    with pytest.raises(RunFailed, match=r"w\.pt: not the weights that were planned with"):
        execute(late, CPU, ignore)


class Killed(BaseException):
    """Stands for kill -9."""


def test_killed_at_any_of_its_writings_a_run_ends_with_the_same_bits_and_trains_no_step_again(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ("train.steps=3", "train.validate_every=2", "checkpoint_every=1")
    whole = finish(write_suite(), tmp_path / "whole", *short)
    writings, steps = 0, 0
    real_replace, real_unlink, real_iterate = Path.replace, Path.unlink, Trainer.iterate

    def replace_or_die(path: Path, target: Path) -> Path:
        strike()
        return real_replace(path, target)

    def unlink_or_die(path: Path, missing_ok: bool = False) -> None:
        if path.suffix != ".tmp":
            strike()
        real_unlink(path, missing_ok)

    def strike() -> None:
        nonlocal writings
        writings += 1
        if writings == fatal:
            raise Killed

    def iterate(trainer: Trainer, frames: Tensor) -> dict[str, float]:
        nonlocal steps
        steps += 1
        return real_iterate(trainer, frames)

    monkeypatch.setattr(Path, "replace", replace_or_die)
    monkeypatch.setattr(Path, "unlink", unlink_or_die)
    monkeypatch.setattr(Trainer, "iterate", iterate)
    for fatal in itertools.count(1):
        writings = steps = 0
        job = make_job(write_suite(), tmp_path / f"killed{fatal}", *short)
        try:
            execute(job, CPU, ignore)
            break  # it has fewer writings than that
        except Killed:
            pass
        for name in (".weights.safetensors", ".predictions.npy", "scores/.benchbench-v1.parquet"):
            path = job.folder / f"{name}.{'a0' * 16}.tmp"  # as kill -9 leaves it
            path.parent.mkdir(exist_ok=True)
            path.touch()
        execute(job, CPU, ignore)
        assert not list(job.folder.rglob(".*"))
        assert steps <= 4, f"killed at writing {fatal}"  # 3 and the one whose checkpoint was lost
        assert contents(job.folder) == contents(whole.folder)
        assert not list(job.folder.glob("*checkpoint*"))
    assert fatal > 10


def test_a_run_stopped_in_its_test_is_scored_without_training_again(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finish(write_suite(), tmp_path / "whole", "test_batch=4")
    job = make_job(write_suite(), tmp_path / "stopped", "test_batch=4")
    path = job.folder / "weights.safetensors"
    with pytest.raises(Interrupted, match="stopped at test sequence 4 of 6"):
        execute(job, CPU, ignore, stop=path.exists)
    path.write_bytes(path.read_bytes()[:-1])  # a disk that lost the end
    monkeypatch.setattr(Trainer, "iterate", None)
    execute(job, CPU, ignore)
    record, other = record_of(job), record_of(whole)
    weights = "weights.safetensors"
    assert record.tested_step == other.tested_step
    assert record.files[weights] == other.files[weights]
    assert record.train_seconds > 0
    assert contents(job.folder) == contents(whole.folder)
