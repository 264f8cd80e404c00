"""A run's ends: stored predictions, kept weights, what another attempt finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench import protocols
from benchbench.errors import DataMissing
from benchbench.predictor import Predictor
from benchbench.registry import build_dataset
from benchbench.run.execute import Execution
from benchbench.run.job import Job, Settings
from benchbench.run.load import PREDICTIONS, load_predictions, load_predictor
from benchbench.run.record import Store
from benchbench.run.rescore import Rescoring, finished
from benchbench.scoring.summary import Summary
from benchbench.suite.plan import plan

Write = Callable[..., Path]
CPU = torch.device("cpu")


def made(suite: Path, results: Path, *overrides: str) -> tuple[Execution, Path]:
    """The finished run of the suite's ConvLSTM, and its folder."""
    suite_plan = plan(suite, overrides)
    job = Job(suite_plan.runs[1], Store(results), Settings.of(suite_plan.suite))
    run = Execution(job, CPU, lambda event: None)
    run.execute()
    return run, run.folder


def rescore(folder: Path, name: str, **how: Any) -> Summary:
    (record,) = finished([folder]).values()
    (summary,) = Rescoring.of(folder, record, [protocols.get(name)]).score(**how)
    return summary


def test_stored_predictions_are_those_that_were_scored(write_suite: Write, tmp_path: Path) -> None:
    run, folder = made(write_suite(), tmp_path, "store_predictions=true", "test_batch=4")
    file = np.load(folder / PREDICTIONS)
    assert file.shape == (6, 2, 1, 16, 16)
    assert file.dtype == np.float32
    dataset = build_dataset(run.spec.dataset, **run.spec.dataset_options)

    def predictions() -> Tensor:
        stream = load_predictions(folder, run.spec, dataset, batch=4, device=CPU)
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
        _, folder = made(write_suite(), tmp_path / name, f"store_predictions={stored}")
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        summary = rescore(folder, "openstl")
        assert {path: path.read_bytes() for path in before} == before
        scores.append({name: score.value for name, score in summary.scores.items()})
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_a_rescore_predicts_in_the_batches_of_the_run(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = made(write_suite(), tmp_path, "test_batch=4")
    sizes: list[int] = []
    clip = build_dataset(run.spec.dataset, **run.spec.dataset_options).clip
    model = type(load_predictor(folder, run.spec, clip))
    forward = model.forward

    def watched(self: Predictor, context: Tensor, horizon: int) -> Tensor:
        sizes.append(len(context))
        return forward(self, context, horizon)

    monkeypatch.setattr(model, "forward", watched)
    rescore(folder, "openstl")
    rescore(folder, "cms_lstm", batch=5)
    more = Settings(("benchbench", "predrnn"), test_batch=3)
    replace(run, job=replace(run.job, settings=more)).execute()
    assert sizes == [4, 2, 5, 1, 4, 2]


def test_damaged_files_of_a_run_are_named(write_suite: Write, tmp_path: Path) -> None:
    _, folder = made(write_suite(), tmp_path, "store_predictions=true")
    file = folder / PREDICTIONS
    for content in (b"\x93NUMPY", file.read_bytes()[:-1], b""):
        file.write_bytes(content)
        with pytest.raises(DataMissing, match=r"predictions\.npy: .*move it away"):
            rescore(folder, "openstl")
    np.save(file, np.zeros((5, 2, 1, 16, 16), np.float32))
    with pytest.raises(DataMissing, match=r"holds float32 \(5, 2, 1, 16, 16\), not float32 \(6,"):
        rescore(folder, "openstl")
    file.unlink()
    (folder / "checkpoint.pt").unlink()
    with pytest.raises(DataMissing, match="missing or damaged; delete the folder"):
        rescore(folder, "openstl")
    assert not list((folder / "scores").glob("*openstl*"))


def test_a_run_killed_before_its_record_is_scored_without_training_again(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = made(write_suite(), tmp_path)
    record = run.job.store.record(run.spec)
    parquet = (folder / "scores" / "benchbench-v1.parquet").read_bytes()
    (folder / "record.json").unlink()
    (folder / "scores" / "benchbench-v1.parquet").unlink()
    monkeypatch.setattr("benchbench.training.trainer.Trainer.iterate", None)
    run.execute()
    again = run.job.store.record(run.spec)
    assert record is not None
    assert again is not None
    assert (again.tested_step, again.train_seconds) == (record.tested_step, record.train_seconds)
    assert (folder / "scores" / "benchbench-v1.parquet").read_bytes() == parquet
