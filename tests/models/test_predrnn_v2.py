"""PredRNN-V2 equals arrays recorded from OpenSTL, and its samplings draw the recorded masks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.predictor import Progress
from benchbench.recurrent import Recurrent, fold
from benchbench.registry import build_model
from benchbench.sampling import Sampling
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens


def build(golden: Golden) -> tuple[Recurrent, Loaded]:
    config = golden.config
    predictor, loaded = golden.build(
        clip_of(golden),
        hidden=[int(width) for width in config["nh"].split(",")],
        kernel=config["fs"],
        patch=config["ps"],
        norm=bool(config["ln"]),
        decoupling=config["beta"],
    )
    assert isinstance(predictor, Recurrent)
    return predictor, loaded


def clip_of(golden: Golden) -> Clip:
    config = golden.config
    return Clip(config["C"], *config["hw"], config["Tin"], config["Tout"])


def progress(golden: Golden) -> Progress:
    """Reverse masks begin with the second input, scheduled ones after the context."""
    mask = golden["in/mask"]
    if golden.config["rss"]:
        mask = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
    return Progress(step=0, steps=1, truth=mask)


def nhwc(frames: Tensor, patch: int) -> Tensor:
    return fold(frames, patch).permute(0, 1, 3, 4, 2)


@goldens("out/pred", model="predrnn_v2")
def test_predictions_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        golden.check(predictor(golden["in/x"], golden.config["Tout"]), "out/pred")


@goldens("out/pred", model="predrnn_v2")
def test_a_checkpoint_shows_all_options_but_the_weight_of_the_penalty(
    golden: Golden, tmp_path: Path
) -> None:
    predictor, _ = build(golden)
    beta = golden.config["beta"]
    golden.check_import(predictor, clip_of(golden), tmp_path, decoupling=beta)


@goldens("out/next_frames_masked", model="predrnn_v2")
def test_predictions_under_a_mask_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    context, target = golden["in/x"], golden["in/y"]
    frames = torch.cat([context, target], dim=1)
    mask = progress(golden).mask(len(frames), context.shape[1], target.shape[1])
    with torch.no_grad():
        rolled = predictor.roll(frames, frames.shape[1] - 1, mask)
    golden.check(nhwc(rolled, predictor.patch), "out/next_frames_masked")


@goldens("out/patched", model="predrnn_v2")
def test_patches_equal_the_recorded(golden: Golden) -> None:
    frames = torch.cat([golden["in/x"], golden["in/y"]], dim=1)
    assert torch.equal(nhwc(frames, golden.config["ps"]), golden["out/patched"])


@goldens("out/decouple_loss", model="predrnn_v2")
def test_losses_and_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    terms = predictor.losses(golden["in/x"], golden["in/y"], progress(golden))
    golden.check_loss(terms["mse"].item(), "out/mse_masked")
    golden.check_loss(terms["decoupling"].item() / golden.config["beta"], "out/decouple_loss")
    total = torch.stack(list(terms.values())).sum()
    golden.check_loss(total.item(), "out/train_loss_masked")
    total.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


def recorded_draws(golden: Golden, step: int) -> np.random.RandomState:
    seed = re.search(r"seed\((\d+) \+ itr\)", golden.meta["seed_rule"])
    assert seed is not None
    return np.random.RandomState(int(seed[1]) + step)


@goldens("out/rss_mask_", "out/ss_mask_", model="predrnn_v2")
def test_reverse_sampling_draws_the_recorded_masks(golden: Golden) -> None:
    sampling = Sampling("reverse", until=50_000, alpha=5_000.0)
    for step in golden["in/iterations"].tolist():
        recorded = golden[f"out/rss_mask_{step}"].numpy()
        draws = recorded_draws(golden, step)
        after = golden[f"out/ss_mask_{step}"].shape[1]
        parts = [
            draws.random_sample((len(recorded), inputs)) < chance
            for inputs, chance in zip(
                (recorded.shape[1] - after, after), sampling.probabilities(step), strict=True
            )
        ]
        assert (np.concatenate(parts, axis=1) == recorded).all(), step


@goldens("out/ss_mask_", model="predrnn_v2")
def test_scheduled_sampling_draws_the_recorded_masks(golden: Golden) -> None:
    sampling = Sampling("scheduled", until=50_000)
    for step in golden["in/iterations"].tolist():
        recorded = golden[f"out/ss_mask_{step}"].numpy()
        # the reference lowers its probability before it draws
        _, chance = sampling.probabilities(step + 1)
        assert chance == pytest.approx(golden[f"out/ss_eta_{step}"].item(), abs=1e-12)
        draws = recorded_draws(golden, step).random_sample(recorded.shape)
        assert ((draws < chance) == recorded).all(), step


def test_without_a_weight_the_loss_is_predrnns() -> None:
    options = {"hidden": [3, 3], "kernel": 3, "patch": 2, "norm": False}
    clip = Clip(1, 8, 8, 2, 2)
    v2 = build_model("predrnn_v2", clip, **options, decoupling=0.0)
    predrnn = build_model("predrnn", clip, **options)
    state = {k: v for k, v in v2.state_dict().items() if not k.startswith("penalty")}
    predrnn.load_state_dict(state)
    context, target = torch.rand(2, 2, 2, 1, 8, 8).unbind()
    terms = v2.losses(context, target, Progress(step=0, steps=1))
    expected = predrnn.losses(context, target, Progress(step=0, steps=1))
    assert torch.equal(terms["mse"], expected["mse"])
    assert terms["decoupling"].item() == 0


def test_layers_of_different_widths_are_refused() -> None:
    with pytest.raises(Unfit, match="widths must be equal"):
        build_model("predrnn_v2", Clip(1, 8, 8, 2, 2), hidden=[3, 4], patch=2)
