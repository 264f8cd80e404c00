"""A run's ends: stored predictions, kept weights, what another attempt finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench import protocols
from benchbench.errors import DataMissing
from benchbench.predictor import Predictor
from benchbench.run.execute import Execution, load_run
from benchbench.run.job import Job, Settings
from benchbench.run.record import Store
from benchbench.run.rescore import rescore
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


def test_stored_predictions_are_those_that_were_scored(write_suite: Write, tmp_path: Path) -> None:
    _, folder = made(write_suite(), tmp_path, "store_predictions=true", "test_batch=4")
    kept = np.load(folder / "predictions.npy")
    assert kept.shape == (6, 2, 1, 16, 16)
    assert kept.dtype == np.float32
    replay, dataset, _ = load_run(folder)
    (folder / "predictions.npy").rename(folder / "aside.npy")
    predictor, _, _ = load_run(folder)
    frames = torch.stack([dataset.split("test")[i] for i in range(6)])
    with torch.inference_mode():
        again = predictor.eval()(frames[:, :3], 2)
        assert torch.equal(replay(frames[:4, :3], 2), torch.from_numpy(kept[:4]))
        assert torch.equal(replay(frames[4:, :3], 2), torch.from_numpy(kept[4:]))
    np.testing.assert_allclose(again.numpy(), kept, atol=1e-6)


def test_a_rescore_from_either_gives_the_same_and_changes_nothing(
    write_suite: Write, tmp_path: Path
) -> None:
    openstl = [protocols.get("openstl")]
    scores = []
    for name, stored in (("a", "true"), ("b", "false")):
        _, folder = made(write_suite(), tmp_path / name, f"store_predictions={stored}")
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        summary = rescore(folder, openstl)["openstl"]
        assert {path: path.read_bytes() for path in before} == before
        scores.append({name: score.value for name, score in summary.scores.items()})
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_a_rescore_predicts_in_the_batches_of_the_run(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = made(write_suite(), tmp_path, "test_batch=4")
    sizes: list[int] = []
    forward = type(load_run(folder)[0]).forward

    def watched(self: Predictor, context: Tensor, horizon: int) -> Tensor:
        sizes.append(len(context))
        return forward(self, context, horizon)

    monkeypatch.setattr(type(load_run(folder)[0]), "forward", watched)
    rescore(folder, [protocols.get("openstl")])
    rescore(folder, [protocols.get("cms_lstm")], batch=5)
    more = Settings(("benchbench", "predrnn"), test_batch=3)
    replace(run, job=replace(run.job, settings=more)).execute()
    assert sizes == [4, 2, 5, 1, 4, 2]


def test_a_damaged_file_of_predictions_is_named(write_suite: Write, tmp_path: Path) -> None:
    _, folder = made(write_suite(), tmp_path, "store_predictions=true")
    (folder / "predictions.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataMissing, match=r"predictions\.npy: .*move it away"):
        load_run(folder)


def test_a_folder_that_is_no_finished_run_is_named(write_suite: Write, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"it has no spec\.yaml"):
        load_run(tmp_path)
    _, folder = made(write_suite(), tmp_path)
    (folder / "checkpoint.pt").unlink()
    with pytest.raises(DataMissing, match="missing or damaged; delete the folder"):
        load_run(folder)


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
