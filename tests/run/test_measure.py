"""What a run would take, from its own training loop and its own scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from benchbench.predictor import Predictor
from benchbench.registry import build_dataset, build_model
from benchbench.run.job import Settings
from benchbench.run.measure import STEPS, WARM_STEPS, Estimate, configurations, measure
from benchbench.suite.plan import plan
from benchbench.suite.resources import Request
from benchbench.training.trainer import Trainer

Write = Callable[..., Path]


def test_a_run_is_measured_by_its_own_loops_and_leaves_nothing(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite_plan = plan(write_suite(), ["train.steps=100", "test_batch=2"])
    _, run = suite_plan.runs
    dataset = build_dataset(run.spec.dataset, **run.spec.dataset_options)
    model = type(build_model(run.spec.model, dataset.clip, **run.spec.model_options))
    tested: list[int] = []
    iterations: list[int] = []
    forward, iterate = model.forward, Trainer.iterate

    def predict(self: Predictor, context: Tensor, horizon: int) -> Tensor:
        tested.append(len(context))
        return forward(self, context, horizon)

    def train(self: Trainer, *arguments: object) -> object:
        iterations.append(self.step)
        return iterate(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "forward", predict)
    monkeypatch.setattr(Trainer, "iterate", train)
    estimate = measure(run, Settings.of(suite_plan.suite))
    assert 1 <= len(iterations) - WARM_STEPS <= STEPS
    # the look at the first batch, two batches of the validation set, two of the test set
    assert tested == [2, 2, 2, 2, 2]
    assert min(estimate.step_seconds, estimate.validation_seconds, estimate.test_seconds) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_runs_shorter_than_a_measurement_are_measured_whole(write_suite: Write) -> None:
    suite_plan = plan(write_suite(), ["train.steps=1", "train.validate_every=1"])
    for run in suite_plan.runs:
        estimate = measure(run, Settings.of(suite_plan.suite))
        assert (estimate.step_seconds > 0) == (run.spec.train is not None)
        assert estimate.test_seconds > 0


def test_hours_and_warnings_follow_from_what_was_measured(write_suite: Write) -> None:
    suite_plan = plan(write_suite(), ["train.steps=7", "train.validate_every=3", "seeds=[0, 1]"])
    assert len(suite_plan.runs) == 3
    persistence, run = configurations(suite_plan.runs)
    estimate = Estimate(run, "cpu", 600.0, 300.0, 900.0, peak_bytes=4 << 30)
    assert estimate.hours == (7 * 600 + 3 * 300 + 900) / 3600
    assert Estimate(persistence, "cpu", 0.0, 0.0, 900.0, 0).hours == 0.25

    def warnings(**slurm: object) -> list[str]:
        asked = replace(run, slurm=Request.model_validate(slurm))
        return replace(estimate, run=asked).warnings()

    assert warnings() == []
    assert warnings(mem_gb=4, timeout_min=600, signal_delay_s=1000) == ["needs 4.0 GB, mem_gb is 4"]
    requeued, delay = warnings(timeout_min=60)
    assert requeued == "will be requeued: timeout_min is 60"
    assert delay.startswith("a validation takes 300 s: raise signal_delay_s")
    (jobs,) = warnings(timeout_min=30, max_num_timeout=1, signal_delay_s=1000)
    assert jobs == "needs 3 jobs of timeout_min 30, and max_num_timeout allows 2"
