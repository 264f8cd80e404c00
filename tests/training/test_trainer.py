"""The training loop: exact resume, the published iteration, failures that name the step."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.dataset import Split
from benchbench.errors import RunFailed
from benchbench.predictor import Predictor, Progress
from benchbench.registry import build_model
from benchbench.sampling import Sampling
from benchbench.suite.schema import Train
from benchbench.training import checkpoint
from benchbench.training.events import Event, Interrupted, Training
from benchbench.training.loop import Journal, train
from benchbench.training.trainer import Trainer
from benchbench.training.weights import Weights
from benchbench.weights.certificate import options_for
from benchbench.weights.reference import load_reference

from ..stand_ins import ComputedSplit

CLIP = Clip(1, 8, 8, 3, 2)
GOLDEN = Path(__file__).parents[1] / "goldens" / "models" / "cmslstm_b_l1_trainstep.npz"


class Noisy(Predictor):
    """Draws from torch's global generator, as dropout does, and from the loss's own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(1))
        self.norm = torch.nn.BatchNorm3d(1)

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        last = self.norm(context.transpose(1, 2)).transpose(1, 2)[:, -1:]
        return (
            torch.nn.functional.dropout(last, 0.5, self.training).expand(-1, horizon, -1, -1, -1)
            * self.scale
        )

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        coin = torch.rand((), generator=progress.generator)
        return {"mse": (coin * self(context, target.shape[1]) - target).square().mean()}


def clip_at(index: int) -> Tensor:
    return torch.rand(CLIP.shape, generator=torch.Generator().manual_seed(index % 2**60))


ENDLESS = ComputedSplit(clip_at, None)


def make(predictor: Predictor | None = None, split: Split = ENDLESS, **settings: Any) -> Trainer:
    """A trainer of a tiny ConvLSTM unless told of another, with the suite's settings."""
    if predictor is None:
        torch.manual_seed(1)
        predictor = build_model("convlstm", CLIP, hidden=[4], patch=4)
    chosen = Train.model_validate({"steps": 8, "batch": 2, "validate_every": 3, **settings})
    return Trainer(predictor, split, CLIP, chosen, seed=7)


def run(folder: Path, trainer: Trainer, stop: int | None = None, **options: Any) -> Weights:
    """Trains in a folder, a checkpoint every two iterations, until told to stop."""
    folder.mkdir(parents=True, exist_ok=True)

    def validate() -> float:
        return trainer.predictor(torch.ones(1, 3, 1, 8, 8), 1).sum().item()

    options = {"validate": validate, "watch": lambda _: None, **options}
    return train(trainer, Journal(folder, "key", 2), stop=lambda: trainer.step == stop, **options)


def same(first: Weights, second: Weights) -> bool:
    """Whether two results are equal to the last bit, times apart."""
    tensors = all(torch.equal(first.tensors[k], second.tensors[k]) for k in second.tensors)
    return tensors and (first.step, first.validation_mse) == (second.step, second.validation_mse)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weights": "last", "optimizer": "adamw", "schedule": "one_cycle"},
        {"schedule": "cosine", "warmup": 3, "clip_norm": 0.1, "reverse_clip": True},
        {"sampling": {"kind": "scheduled", "until": 8}, "loss": "l1+mse"},
        {"sampling": {"kind": "reverse", "until": 8}, "precision": "bf16"},
        {"schedule": "plateau", "patience": 0, "validate_every": 1, "weights": "last"},
        {"optimizer": "adam_root", "schedule": "multistep", "milestones": [2, 5], "warmup": 1},
        {"optimizer": "adam_tensorflow", "steps": 20, "weights": {"step": 8}},
        {"optimizer": "rmsprop_tensorflow", "momentum": 0.5},
        {"optimizer": "sgd", "lr": 1e-2, "momentum": 0.9, "clip_step": 1e-4},
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [None, 5])
def test_an_interrupted_run_ends_with_the_bits_of_the_undisturbed_one(
    tmp_path: Path, settings: dict[str, Any], length: int | None
) -> None:
    split = ComputedSplit(clip_at, length)
    whole = run(tmp_path / "whole", make(split=split, **settings))
    for stop in (1, 3, 5, 7):
        folder = tmp_path / f"stopped{stop}"
        with pytest.raises(Interrupted, match=f"stopped at step {stop} of 8"):
            run(folder, make(split=split, **settings), stop)
        assert same(run(folder, make(split=split, **settings)), whole)


def test_a_killed_run_goes_on_from_its_checkpoint_and_cuts_its_history(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", make())

    def killed() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # at step 3, one after the checkpoint of step 2
        run(tmp_path / "killed", make(), validate=killed)
    with (tmp_path / "killed" / "history.jsonl").open("a") as file:
        file.write('{"step": 3, "mse": 9}\n{"step": 4, "ms')
    assert same(run(tmp_path / "killed", make()), whole)
    texts = [(tmp_path / name / "history.jsonl").read_text() for name in ("whole", "killed")]
    assert texts[0] == texts[1]
    assert [json.loads(row)["step"] for row in texts[0].splitlines()] == list(range(1, 9))


def test_global_random_state_and_buffers_resume_too(tmp_path: Path) -> None:
    def noisy() -> Trainer:
        torch.manual_seed(3)
        return make(Noisy(), weights="last")

    whole = run(tmp_path / "whole", noisy())
    with pytest.raises(Interrupted):
        run(tmp_path / "broken", noisy(), stop=5)
    assert same(run(tmp_path / "broken", noisy()), whole)


def test_the_best_weights_are_those_of_the_lowest_validation_error(tmp_path: Path) -> None:
    errors = iter([3.0, 1.0, 2.0])
    seen: list[dict[str, Tensor]] = []
    trainer = make()

    def watch(_: Event) -> None:
        seen.append({k: v.clone() for k, v in trainer.predictor.state_dict().items()})

    best = run(tmp_path, trainer, validate=lambda: next(errors), watch=watch)
    assert (best.step, best.validation_mse) == (6, 1.0)
    assert all(torch.equal(best.tensors[k], seen[5][k]) for k in best.tensors)
    assert not all(torch.equal(best.tensors[k], seen[7][k]) for k in best.tensors)


def test_the_weights_of_an_iteration_are_those_of_the_longer_run(tmp_path: Path) -> None:
    settings = {"steps": 8, "schedule": "cosine", "sampling": {"kind": "scheduled", "until": 8}}
    seen: list[dict[str, Tensor]] = []
    trainer = make(**settings)

    def watch(_: Event) -> None:
        seen.append({k: v.clone() for k, v in trainer.predictor.state_dict().items()})

    run(tmp_path / "whole", trainer, watch=watch)
    taken = run(tmp_path / "taken", make(**settings, weights={"step": 5}))
    assert taken.step == 5
    assert all(torch.equal(taken.tensors[k], seen[4][k]) for k in taken.tensors)


def test_plateau_lowers_the_rate_where_validations_bring_nothing(tmp_path: Path) -> None:
    errors = iter([3.0, 2.0, 2.5, 2.0, 2.0, 1.0, 1.0, 1.0])
    trainer, rates = make(schedule="plateau", patience=1, lr=0.1, validate_every=1), []

    def watch(_: Event) -> None:
        rates.append(trainer.learning_rate)

    run(tmp_path, trainer, validate=lambda: next(errors), watch=watch)
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001])


def test_a_loss_is_told_the_epoch(tmp_path: Path) -> None:
    epochs: list[int] = []
    trainer = make(split=ComputedSplit(clip_at, 5))
    losses = trainer.predictor.losses

    def watched(context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        epochs.append(progress.epoch)
        return losses(context, target, progress)

    trainer.predictor.losses = watched  # type: ignore[method-assign]
    run(tmp_path, trainer)
    assert epochs == [0, 0, 0, 1, 1, 2, 2, 3, 3]  # the preflight, then 2 whole batches each


@pytest.mark.parametrize("weights", ["best", "last"])
def test_the_last_weights_are_tested_where_no_validation_is_a_number(
    tmp_path: Path, weights: str
) -> None:
    chosen = run(tmp_path, make(weights=weights), validate=lambda: math.nan)
    assert (chosen.step, chosen.validation_mse) == (8, None)


def test_events_tell_of_loss_validation_and_pace(tmp_path: Path) -> None:
    events: list[Training] = []
    errors = iter([3.0, 1.0, 2.0])
    run(tmp_path, make(), validate=lambda: next(errors), watch=events.append)
    assert [event.step for event in events] == list(range(1, 9))
    assert [event.validation for event in events] == [None, None, 3.0, 3.0, 3.0, 1.0, 1.0, 2.0]
    assert events[0].seconds_a_step is None
    assert all(event.seconds_a_step for event in events[1:])
    rows = [json.loads(row) for row in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [event.loss for event in events] == [row["mse"] for row in rows]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    def poisoned(index: int) -> Tensor:
        return clip_at(index) * (float("nan") if index % 2**40 >= 8 else 1.0)

    with pytest.raises(RunFailed, match=r"the loss is nan at step 5 of 8 \(mse nan\); lower"):
        run(tmp_path, make(split=ComputedSplit(poisoned, None)))
    state = checkpoint.load(tmp_path, "key", device=torch.device("cpu"))
    assert state is not None
    assert state["step"] == 4


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        ({"loss": {"mse": 0.5, "l1": 2.0}, "reduction": "sum"}, {"mse": 2.5, "l1": 6.0}),
        ({"loss": "l1+mse"}, {"mse": 2.5, "l1": 1.5}),
        ({"loss": {"l1": 1.0}}, {"l1": 1.5}),
        ({}, {"mse": 2.5}),
    ],
)
def test_the_loss_has_the_weights_and_the_reduction_of_the_suite(
    settings: dict[str, Any], terms: dict[str, float]
) -> None:
    losses = make(**settings).criterion(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0]))
    assert {name: term.item() for name, term in losses.items()} == terms


def test_gradients_are_clipped_to_the_norm_asked() -> None:
    trainer = make(clip_norm=1e-3)
    trainer.update(clip_at(0)[None])
    norm = torch.stack([p.grad.norm() for p in trainer.predictor.parameters()]).norm()  # type: ignore[union-attr]
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_the_reversed_clip_makes_a_second_update_with_the_same_draws() -> None:
    trainer = make(reverse_clip=True, sampling="scheduled")
    seen: list[tuple[Tensor, Tensor]] = []

    def losses(context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        seen.append((torch.cat([context, target], 1), progress.mask(2, 3, 2)))
        return losses_before(context, target, progress)

    losses_before = trainer.predictor.losses
    trainer.predictor.losses = losses  # type: ignore[method-assign]
    trainer.iterate(torch.stack([clip_at(0), clip_at(1)]))
    (forward, first), (backward, second) = seen
    assert torch.equal(forward.flip(1), backward)
    assert torch.equal(first, second)


def test_one_iteration_equals_that_of_the_cms_lstm_trainer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """czh-98/CMS-LSTM `FPTrainer.optimize_parameters`, recorded in float64: two AdamW updates."""
    arrays = np.load(GOLDEN)
    meta = json.loads(str(arrays["meta"]))
    clip = Clip(meta["C"], meta["H"], meta["W"], meta["Tin"], meta["Tout"])

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: arrays[name] for name in arrays if name.startswith(prefix)}

    options = {
        "hidden": [meta["hidden"]] * meta["layers"],
        "kernel": meta["filter_size"],
        "patch": meta["patch"],
        "se_scales": meta["scales"],
    }

    predictor = build_model("cms_lstm", clip, **{**options_for("cms_lstm", "czh-98"), **options})
    names = load_reference(predictor.double(), "czh-98", under("param/"))

    recorded = torch.from_numpy(arrays["mask_mixed_bt"]).double()
    truth = torch.cat([torch.ones(len(recorded), clip.context), recorded], dim=1)
    monkeypatch.setattr(Sampling, "mask", lambda *_: truth)
    settings = {
        "optimizer": "adamw", "weight_decay": 0.01, "reverse_clip": True,
        "loss": {"mse": 0.25, "l1": 0.25}, "reduction": "sum",
    }  # fmt: skip
    trainer = make(predictor, **settings)
    trainer.clip = clip
    terms = trainer.iterate(torch.from_numpy(arrays["frames"]).double())
    assert sum(terms.values()) == pytest.approx(float(arrays["step_loss_mean"]), rel=1e-10)
    ours = predictor.state_dict()
    compared = 0
    for theirs, after in under("param_after_iter/").items():
        # the gradient of the keys' bias is zero: its update is rounding noise
        if theirs in names.dead or theirs.endswith("f_key.bias"):
            continue
        (name,) = names.used[theirs]
        np.testing.assert_allclose(ours[name].numpy(), after, rtol=0, atol=1e-8)
        compared += 1
    assert compared > 30
