"""MAU equals arrays recorded from OpenSTL, and attends to its own past."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit
from benchbench.predictor import Progress
from benchbench.recurrent import Recurrent
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

CLIP = Clip(1, 8, 8, 2, 2)


def build(golden: Golden) -> tuple[Recurrent, Loaded]:
    config = golden.config
    predictor, loaded = golden.build(
        clip_of(golden),
        hidden=[int(width) for width in config["nh"].split(",")],
        kernel=config["fs"],
        halvings=int(math.log2(config["sr"])),
        **unseen(golden),
    )
    assert isinstance(predictor, Recurrent)
    return predictor, loaded


def clip_of(golden: Golden) -> Clip:
    config = golden.config
    return Clip(config["C"], *config["hw"], config["Tin"], config["Tout"])


def unseen(golden: Golden) -> dict[str, Any]:
    """The options that no tensor shows."""
    return {
        "tau": golden.config["tau"],
        "residual": golden.config["cell"] == "residual",
        "recall": golden.config["mode"] == "recall",
    }


def small(**options: Any) -> Recurrent:
    torch.manual_seed(0)
    sizes = {"hidden": [4, 4], "kernel": 3, "halvings": 1, "tau": 2}
    predictor = build_model("mau", CLIP, **{**sizes, **options})
    assert isinstance(predictor, Recurrent)
    return predictor


@goldens("out/pred", model="mau")
def test_predictions_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        golden.check(predictor(golden["in/x"], golden.config["Tout"]), "out/pred")


@goldens("out/pred", model="mau")
def test_a_checkpoint_shows_what_is_not_asked_for(golden: Golden, tmp_path: Path) -> None:
    predictor, _ = build(golden)
    golden.check_import(predictor, clip_of(golden), tmp_path, **unseen(golden))
    with pytest.raises(SchemaError, match="tensors do not show tau, how many steps back"):
        golden.check_import(predictor, clip_of(golden), tmp_path, residual=False, recall=False)


@goldens("out/next_frames_masked", model="mau")
def test_predictions_under_a_mask_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    context, target = golden["in/x"], golden["in/y"]
    frames = torch.cat([context, target], dim=1)
    progress = Progress(step=0, steps=1, truth=golden["in/mask"])
    mask = progress.mask(len(frames), context.shape[1], target.shape[1])
    with torch.no_grad():
        rolled = predictor.roll(frames, frames.shape[1] - 1, mask)
    golden.check(rolled, "out/next_frames_masked")


@goldens("out/train_loss_masked", model="mau")
def test_the_loss_and_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    progress = Progress(step=0, steps=1, truth=golden["in/mask"])
    (loss,) = predictor.losses(golden["in/x"], golden["in/y"], progress).values()
    golden.check_loss(loss.item(), "out/train_loss_masked")
    loss.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


def test_a_cell_remembers_its_last_inputs_and_memories_only() -> None:
    predictor = small(hidden=[4], tau=3)
    frames = torch.rand(2, 5, 1, 8, 8)
    carries = [carry[0] for _, carry in predictor.steps(frames, 5)]
    inputs = [predictor.stack.embed(frames[:, t])[-1] for t in range(5)]
    past_s, past_t = carries[-1].more
    assert torch.equal(past_s, torch.stack(inputs[-3:]))
    assert torch.equal(past_t, torch.stack([state.c for state in carries[-3:]]))
    # before there were as many, what is lacking is zero
    past_s, past_t = carries[0].more
    assert not past_s[:2].any()
    assert not past_t[:2].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": [4, 3]}, "widths must be equal"),
        ({"tau": 1}, "tau must be at least 2"),
        ({"halvings": 4}, "cannot be halved 4 times"),
        ({"kernel": 4}, "kernel must be an odd number"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(**options)
