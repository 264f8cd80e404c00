"""ST-ResNet equals arrays recorded from DeepST, and reads other days, weeks and factors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit
from benchbench.models.st_resnet import STResNet
from benchbench.predictor import Progress
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

FULL = Clip(2, 8, 8, 3 + 2 * 4, 2, factors=5, trend=1, period=2)


def clip(golden: Golden) -> Clip:
    config = golden.config
    aside = config["p"] + config["t"] + (config["ext"] > 0)
    _, H, W, C = golden["in/y"].shape
    context = config["c"] + aside
    return Clip(C, H, W, context, 1, factors=config["ext"], trend=config["t"], period=config["p"])


def build(golden: Golden) -> tuple[STResNet, Loaded]:
    predictor, loaded = golden.build(clip(golden), units=golden.config["units"])
    assert isinstance(predictor, STResNet)
    return predictor, loaded


def frames(golden: Golden) -> tuple[Tensor, Tensor]:
    """Context and target as a dataset gives them, of the recorded stacks, nearest frame first."""
    shape = clip(golden)
    kinds = []
    for name in ("in/xt", "in/xp", "in/xc"):
        if name in golden:
            stack = golden[name].unflatten(3, (-1, shape.channels)).permute(0, 3, 4, 1, 2)
            kinds.append((stack.flip(1) + 1) / 2)
    if shape.factors:
        frame = torch.zeros_like(kinds[-1][:, :1], memory_format=torch.contiguous_format)
        frame.view(len(frame), -1)[:, : shape.factors] = golden["in/ext"]
        kinds.insert(0, frame)
    return torch.cat(kinds, dim=1), (golden["in/y"].permute(0, 3, 1, 2)[:, None] + 1) / 2


@goldens("out/pred", model="st_resnet")
def test_a_step_equals_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    context, _ = frames(golden)
    with torch.no_grad():
        predicted = predictor.roll(context, 1)[:, 0]
        assert torch.equal(predictor(context, 1)[:, 0], (predicted + 1) / 2)
    golden.check(predicted.permute(0, 2, 3, 1), "out/pred")


@goldens("out/loss", model="st_resnet")
def test_the_loss_and_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    context, target = frames(golden)
    (loss,) = predictor.losses(context, target, Progress(step=0, steps=1)).values()
    golden.check_loss(loss.item(), "out/loss")
    loss.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


@goldens("param/", model="st_resnet")
def test_a_checkpoint_is_imported_at_the_sizes_that_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    asked = {"units": golden.config["units"], "closeness": golden.config["c"]}
    imported = golden.imported(tmp_path, clip(golden), **asked)
    for name, tensor in build(golden)[0].state_dict().items():
        assert torch.equal(imported.state_dict[name].double(), tensor), name
    with pytest.raises(SchemaError, match="do not show units"):
        golden.imported(tmp_path, clip(golden))


def small(clip: Clip = FULL, **options: Any) -> STResNet:
    torch.manual_seed(0)
    predictor = build_model("st_resnet", clip, **{"units": 1, "width": 4, **options})
    assert isinstance(predictor, STResNet)
    return predictor.double()


def context(clip: Clip = FULL, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, *clip.shape, generator=generator, dtype=torch.float64)[:, : clip.context]


def test_the_frames_of_other_times_are_those_of_the_predicted_frame() -> None:
    predictor, read = small(), context()
    with torch.no_grad():
        both = predictor(read, 2)
        for frame in range(FULL.context):
            changed = read.clone()
            changed[:, frame] = 1 - changed[:, frame]
            first, second = (predictor(changed, 2) != both).flatten(2).any(2).any(0).tolist()
            assert second
            # the second half of those of other times is of the second frame alone
            assert first == (frame not in range(4, 8))


def test_a_frame_of_factors_is_read_no_further_than_they_reach() -> None:
    predictor, read = small(), context()
    changed = read.clone()
    changed[:, 0].view(2, -1)[:, FULL.factors :] = 0
    with torch.no_grad():
        assert torch.equal(predictor(changed, 2), predictor(read, 2))


def test_training_reads_true_frames_and_prediction_its_own() -> None:
    predictor, read = small(), context()
    target = torch.rand(2, 2, 2, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        trained, tested = predictor.roll(read, 2, target), predictor.roll(read, 2)
    assert torch.equal(trained[:, 0], tested[:, 0])
    assert not torch.equal(trained[:, 1], tested[:, 1])
    terms = predictor.losses(read, target, Progress(step=0, steps=1))
    assert terms["mse"].item() == pytest.approx((trained - (2 * target - 1)).square().mean().item())


def test_every_branch_has_a_gradient() -> None:
    predictor, target = small(), torch.rand(2, 2, 2, 8, 8, dtype=torch.float64)
    predictor.losses(context(), target, Progress(step=0, steps=1))["mse"].backward()
    assert all(p.grad is not None and p.grad.any() for p in predictor.parameters())


@pytest.mark.parametrize(("units", "published"), [(4, 924_648), (12, 2_697_192)])
def test_the_full_network_has_the_published_size(units: int, published: int) -> None:
    clip = Clip(2, 32, 32, 3 + 3, 1, factors=28, trend=1, period=1)
    count = sum(p.numel() for p in build_model("st_resnet", clip, units=units).parameters())
    assert count == published
    if units == 12:
        plain = build_model("st_resnet", replace(clip, factors=0, context=5), units=units)
        assert sum(p.numel() for p in plain.parameters()) == 2_674_374


def test_weights_are_drawn_as_the_source_draws_them() -> None:
    predictor = small(width=32)
    assert all(not bias.any() for bias in predictor.branches.biases)
    bound = (6 / (9 * (32 + 32))) ** 0.5
    kernel = predictor.branches.kernels[0]
    assert 0.95 * bound < kernel.abs().max() <= bound
    fusion = torch.stack(list(predictor.branches.fusion.values()))
    assert 0 <= fusion.min() < fusion.max() <= 1
    assert fusion.mean().item() == pytest.approx(0.5, abs=0.05)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Unfit, match="the context has 3"):
        small(closeness=4)
    with pytest.raises(Unfit, match="a horizon of 2, not 3"):
        small()(context(), 3)
    with pytest.raises(Unfit, match="convlstm reads frames that follow each other"):
        build_model("convlstm", FULL)
    with pytest.raises(SchemaError, match="expected more than the 8 frames of other times"):
        replace(FULL, context=8)
