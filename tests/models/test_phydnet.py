"""PhyDNet equals arrays recorded from the authors' code and OpenSTL's; its filters have moments."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit
from benchbench.models.phydnet import Carry, Moments, PhyDNet
from benchbench.predictor import Progress
from benchbench.registry import build_model
from benchbench.sampling import Sampling
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

CLIP = Clip(1, 8, 8, 2, 3)


def build(golden: Golden) -> tuple[PhyDNet, Loaded]:
    config = golden.config
    state = golden.under("param/")
    name = next(name for name in state if name.endswith("encoder_E.c1.main.0.weight"))
    kernels = {name: tensor for name, tensor in state.items() if ".convcell." in f".{name}"}
    cells = [kernels[name] for name in sorted(kernels) if name.endswith("conv.weight")]
    predictor, loaded = golden.build(
        Clip(state[name].shape[1], *config["hw"], config["Tin"], config["Tout"]),
        width=len(state[name]),
        hidden=[len(kernel) // 4 for kernel in cells],
        kernel=list(cells[0].shape[2:]),
        reduction=config.get("ps", 4),
    )
    assert isinstance(predictor, PhyDNet)
    return predictor, loaded


def small(**options: Any) -> PhyDNet:
    torch.manual_seed(0)
    sizes = {"hidden": [4, 64], "side": 3}
    predictor = build_model("phydnet", CLIP, **{**sizes, **options})
    assert isinstance(predictor, PhyDNet)
    return predictor


def steps(golden: Golden, predictor: PhyDNet) -> tuple[list[Tensor], list[Carry]]:
    """Predictions and carries of the free-running roll-out."""
    frames = golden["in/frames"]
    with torch.no_grad():
        rolled = list(predictor.steps(frames, frames.shape[1] + golden.config["Tout"] - 1))
    return [prediction[:, 0] for prediction, _ in rolled], [carry for _, carry in rolled]


@goldens("out/warmup", "out/pred", model="phydnet")
def test_the_frames_of_warm_up_and_prediction_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    frames, horizon = golden["in/frames"], golden.config["Tout"]
    with torch.no_grad():
        rolled = predictor.roll(frames, frames.shape[1] - 1 + horizon)
        golden.check(predictor(frames, horizon), "out/pred")
    golden.check(rolled[:, :-horizon], "out/warmup")


@goldens("out/phys", "out/conv", "out/H_phy", model="phydnet")
def test_each_branch_alone_equals_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    stack = predictor.stack
    _, carries = steps(golden, predictor)
    with torch.no_grad():
        physical = [stack.frame(stack.decode_p(carry.physical)) for carry in carries]
        residual = [stack.frame(stack.decode_r(carry.residual[-1].h)) for carry in carries]
    golden.check(torch.stack(physical, dim=1), "out/phys")
    golden.check(torch.stack(residual, dim=1), "out/conv")
    golden.check(carries[-1].physical, "out/H_phy")


@goldens("out/moments_first4", model="phydnet")
def test_moments_of_filters_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    filters = predictor.stack.cell.derivatives.weight.detach()
    golden.check(predictor.moments(filters[:, :4]), "out/moments_first4", atol=1e-8)


@goldens("out/k2m", "out/m2k_of_k2m", model="phydnet")
def test_moments_and_filters_of_them_equal_the_recorded(golden: Golden) -> None:
    kernel = golden["in/k2m_kernel"]
    moments = Moments(kernel.shape[-1])
    golden.check(moments(kernel), "out/k2m", atol=1e-8)
    golden.check(moments.filters(moments(kernel)), "out/m2k_of_k2m", atol=1e-8)


@goldens("out/pred", "in/x", model="phydnet")
def test_predictions_equal_the_recorded_of_openstl(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        golden.check(predictor(golden["in/x"], golden.config["Tout"]), "out/pred")


@goldens("out/loss_", "out/moment_loss", model="phydnet")
def test_losses_and_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    context, target = golden["in/x"], golden["in/y"]
    fed = {"teacher_forced": torch.ones, "free_running": torch.zeros}
    for mode, make in fed.items():
        mask = make(len(target), target.shape[1] - 1)
        predictor.zero_grad()
        terms = predictor.losses(context, target, Progress(step=0, steps=1, truth=mask))
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        golden.check_loss(loss.item(), f"out/loss_{mode}")
        golden.check_loss(terms["moments"].item(), "out/moment_loss")
        if norms := golden.meta.get(f"grad_l2_{mode}"):
            # the recorder left out the second names, and took the gradients' from them
            placed = {
                name if name in loaded.used else f"encoder.{name}": norm
                for name, norm in norms.items()
            }
            golden.check_gradients(predictor, loaded, placed)


@goldens("in/constraints", model="phydnet")
def test_filters_with_the_moments_asked_for_lose_nothing(golden: Golden) -> None:
    wanted = golden["in/constraints"]
    moments = Moments(wanted.shape[-1])
    filters = moments.filters(wanted)[:, None].expand(-1, 3, -1, -1)
    assert moments.loss(filters).item() < 1e-20


@goldens("param/", model="phydnet")
def test_a_checkpoint_is_imported_at_the_sizes_that_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    ours, _ = build(golden)
    assert ours.built_as is not None
    channels = ours.stack.embed[0].layers[0].in_channels  # type: ignore[index,union-attr]
    clip = Clip(channels, *golden.config["hw"], 2, 2)
    options = ours.built_as.options
    # a square kernel is shown
    asked = {} if len(set(options["kernel"])) == 1 else {"kernel": options["kernel"]}
    imported = golden.imported(tmp_path, clip, reduction=options["reduction"], **asked)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(imported.state_dict[name].double(), tensor), name
    with pytest.raises(SchemaError, match="do not show reduction"):
        golden.imported(tmp_path, clip)


def masks(predictor: PhyDNet, *, step: int, batches: int, **fields: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    progress = Progress(step=step, steps=10**6, steps_per_epoch=10, generator=generator, **fields)
    frames = torch.zeros(4, 3, 1, 8, 8)
    return [predictor.truth(frames[:, :2], frames, progress) for _ in range(batches)]


def test_one_coin_a_batch_falls_with_the_epochs() -> None:
    predictor = small()
    assert all(mask.all() for mask in masks(predictor, step=9, batches=50))
    later = masks(predictor, step=1_000, batches=2_000)  # epoch 100: probability 0.7
    assert all(torch.equal(mask, mask[:1].expand(4, -1)) for mask in later)
    assert all(mask[:, :2].all() and mask[0, 2:].unique().numel() == 1 for mask in later)
    assert torch.stack(later)[:, 0, -1].mean() == pytest.approx(0.7, abs=0.03)
    assert not any(mask[:, 2:].any() for mask in masks(predictor, step=3_340, batches=50))


def test_a_sampling_of_the_suite_takes_the_place_of_the_coin() -> None:
    sampling = Sampling("scheduled", until=100)
    (mask,) = masks(small(), step=50, batches=1, sampling=sampling)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(mask, sampling.mask(50, 4, 2, 3, generator))


def test_the_loss_sums_the_means_of_all_frames_but_the_first() -> None:
    predictor = small().double()
    frames = torch.rand(2, 5, 1, 8, 8, dtype=torch.float64)
    terms = predictor.losses(frames[:, :2], frames[:, 2:], Progress(step=0, steps=1))
    fed = predictor.roll(frames, 4, torch.ones(2, 4))
    assert terms["mse"].item() == pytest.approx(4 * (fed - frames[:, 1:]).square().mean().item())
    assert set(terms) == {"mse", "moments"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 24}, "multiple of 16"),
        ({"hidden": [4, 32]}, "twice the option width, 64"),
        ({"kernel": [3, 4]}, "odd numbers"),
        ({"side": 2}, "odd numbers"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(**options)


def test_frames_that_do_not_divide_are_refused() -> None:
    with pytest.raises(Unfit, match="do not divide by the reduction 4"):
        build_model("phydnet", Clip(1, 10, 8, 2, 2))


def test_teacher_forcing_without_bound_is_refused() -> None:
    with pytest.raises(SchemaError, match="teacher_forcing: expected a finite number"):
        small(teacher_forcing=math.inf)
