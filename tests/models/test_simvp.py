"""SimVP, SimVP v2 and TAU equal arrays recorded from their references, and start as they do."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.models._layers import DropPath
from benchbench.models.simvp import SimVP
from benchbench.models.tau import divergence
from benchbench.predictor import Progress
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

FAMILY = ["simvp", "simvp_v2", "tau"]
RECORDED = r".*(SimVP|simvp_model\.py).*"
CLIP = Clip(1, 16, 16, 4, 4)
SMALL: dict[str, Any] = {"width": 8, "depth": 2, "translator_width": 64, "translator_depth": 4}


# their names of options: ours
RENAMED = {
    "hid_S": "width",
    "N_S": "depth",
    "hid_T": "translator_width",
    "N_T": "translator_depth",
    "spatio_kernel_enc": "encoder_kernel",
    "spatio_kernel_dec": "decoder_kernel",
    "incep_ker": "translator_kernels",
    "mlp_ratio": "mlp_ratio",
    "drop_path": "drop_path",
    "groups": "groups",
    "alpha": "weight",
}


def build(golden: Golden, **more: Any) -> tuple[SimVP, Loaded]:
    config = golden.config
    options = {ours: config[theirs] for theirs, ours in RENAMED.items() if theirs in config}
    if golden.model == "simvp" and options["translator_width"] // 2 % options.get("groups", 8):
        options["groups"] = 1  # so do the references
    predictor, loaded = golden.build(clip_of(golden), **{**options, **more})
    assert isinstance(predictor, SimVP)
    return predictor, loaded


def clip_of(golden: Golden) -> Clip:
    T, C, H, W = golden.config["in_shape"]
    return Clip(C, H, W, T, golden.config.get("aft", T))


def small(model: str, clip: Clip = CLIP, **options: Any) -> SimVP:
    torch.manual_seed(0)
    predictor = build_model(model, clip, **{**SMALL, **options})
    assert isinstance(predictor, SimVP)
    return predictor


def clips(clip: Clip, *, horizon: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(2, clip.context + horizon, *clip.shape[1:], generator=generator)
    return frames[:, : clip.context], frames[:, clip.context :]


@goldens("out/pred", "out/mse_loss", ref=RECORDED)
def test_predictions_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        golden.check(predictor(golden["in/x"], golden["in/y"].shape[1]), "out/pred")


@goldens("out/hid", "out/latent", ref=RECORDED)
def test_maps_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    frames = golden["in/x"]
    with torch.no_grad():
        latent, skip = predictor.encoder(frames.flatten(0, 1))
        stacked = latent.unflatten(0, frames.shape[:2]).flatten(1, 2)
        translated = predictor.translator(stacked).view_as(golden["out/hid"])
        golden.check(latent, "out/latent")
        golden.check(translated, "out/hid")
        if "out/skip" in golden:
            golden.check(skip, "out/skip")
        if "out/one_pass" in golden:
            golden.check(predictor.one_pass(frames), "out/one_pass")


@goldens("out/mse_loss", ref=RECORDED)
def test_losses_and_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    terms = predictor.losses(golden["in/x"], golden["in/y"], Progress(step=0, steps=1))
    golden.check_loss(terms["mse"].item(), "out/mse_loss")
    total = torch.stack(list(terms.values())).sum()
    if "out/train_loss" in golden:
        weight = golden.config.get("alpha", 0.1)
        golden.check_loss(terms["divergence"].item() / weight, "out/diff_div_reg")
        golden.check_loss(total.item(), "out/train_loss")
    total.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


@goldens("out/pred", ref=RECORDED)
def test_a_checkpoint_shows_all_options_but_stochastic_depth(
    golden: Golden, tmp_path: Path
) -> None:
    predictor, _ = build(golden)
    unseen = ("drop_path", "alpha")
    given = {RENAMED[name]: golden.config[name] for name in unseen if name in golden.config}
    golden.check_import(predictor, clip_of(golden), tmp_path, **given)


@goldens("out/mse_loss", ref=RECORDED, model_type="gSTA|tau")
def test_rates_of_stochastic_depth_equal_the_recorded(golden: Golden) -> None:
    # the recordings' default is that of TaxiBJ
    predictor, _ = build(golden, drop_path=golden.config.get("drop_path", 0.1))
    rates = [module.rate for module in predictor.modules() if isinstance(module, DropPath)]
    # the reference has none where the rate is 0
    assert [rate for rate in rates if rate] == pytest.approx(golden.meta["drop_path_probs"])
    assert len(rates) == golden.config["N_T"]


@pytest.mark.parametrize("model", FAMILY)
def test_a_longer_horizon_takes_several_passes_and_a_shorter_one_a_part(model: str) -> None:
    predictor = small(model).eval()
    context, _ = clips(CLIP, horizon=1)
    with torch.no_grad():
        first = predictor.one_pass(context)
        second = predictor.one_pass(first)
        assert torch.equal(predictor(context, 7), torch.cat([first, second], dim=1)[:, :7])
        assert torch.equal(predictor(context, 3), first[:, :3])


def test_the_gradient_reaches_the_first_pass_from_the_last_frame() -> None:
    predictor = small("simvp").eval()
    context, _ = clips(CLIP, horizon=1)
    context.requires_grad_()
    predictor(context, 9)[:, -1].sum().backward()
    assert context.grad is not None
    assert context.grad.abs().sum() > 0


@pytest.mark.parametrize("model", ["simvp_v2", "tau"])
def test_kernels_of_the_blocks_are_drawn_by_their_fan_out(model: str) -> None:
    weights = dict(small(model, translator_width=256).named_parameters())
    for name, fan_out in (("mlp.widen", 2048), ("mlp.depthwise", 9), ("mlp.narrow", 256)):
        kernel = weights[f"translator.blocks.1.{name}.weight"]
        assert kernel.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
        assert not weights[f"translator.blocks.1.{name}.bias"].any()
    for name in ("attention_scale", "mlp_scale"):
        assert (weights[f"translator.blocks.1.{name}"] == 0.01).all()


def test_gstas_attention_is_drawn_by_its_fan_out_and_taus_is_not() -> None:
    gsta, tau = (
        dict(small(model, translator_width=256).named_parameters()) for model in ("simvp_v2", "tau")
    )
    inside = "translator.blocks.1.attention."
    fan_out = {"enter": 256, "leave": 256, "gate.large.near": 25, "gate.large.far": 49}
    for name, fan in fan_out.items():
        kernel = f"{inside}{name}.weight"
        assert gsta[kernel].std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.05)
        assert not gsta[f"{inside}{name}.bias"].any()
        # PyTorch's: uniform within 1 / sqrt(fan-in)
        fan_in = 256 if name in ("enter", "leave") else fan
        assert tau[kernel].abs().max().item() <= 1 / math.sqrt(fan_in)
        assert tau[kernel].std().item() == pytest.approx(1 / math.sqrt(3 * fan_in), rel=0.05)
        assert tau[f"{inside}{name}.bias"].any()
    assert tau[f"{inside}gate.squeeze.weight"].std().item() == pytest.approx(
        1 / math.sqrt(3 * 256), rel=0.05
    )


@pytest.mark.parametrize(
    ("model", "options"), [("simvp", {"source": "openstl"}), ("simvp_v2", {}), ("tau", {})]
)
def test_openstls_layers_are_drawn_with_a_deviation_of_2_percent(
    model: str, options: dict[str, Any]
) -> None:
    weights = dict(small(model, width=32, depth=4, **options).named_parameters())
    drawn = [name for name in weights if re.match(r"(en|de)coder\.layers\.\d+\.conv\.weight", name)]
    assert len(drawn) == 8
    together = torch.cat([weights[name].flatten() for name in drawn])
    assert together.std().item() == pytest.approx(0.02, rel=0.05)
    assert not any(weights[name.replace("weight", "bias")].any() for name in drawn)
    assert weights["decoder.readout.bias"].any()


def test_the_authors_layers_are_pytorchs() -> None:
    weights = dict(small("simvp", width=32).named_parameters())
    kernel = weights["encoder.layers.1.conv.weight"]
    assert kernel.std().item() == pytest.approx(1 / math.sqrt(3 * 32 * 9), rel=0.05)


def test_stochastic_depth_leaves_whole_samples_out_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    dropped = drop(torch.ones(4000, 2, 3))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(drop.eval()(torch.ones(8, 2)), torch.ones(8, 2))


def test_the_divergence_needs_three_frames_and_is_0_between_equal_ones() -> None:
    frames, others = clips(CLIP, horizon=4)
    assert divergence(frames[:, :2], others[:, :2]).item() == 0
    assert divergence(frames, frames).item() == pytest.approx(0, abs=1e-6)
    assert divergence(frames, others).item() > 1e-4


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("simvp", {"width": 7}, "width must be even"),
        ("simvp", {"depth": 3}, "depth must be even"),
        ("simvp_v2", {"depth": 10}, "choose a smaller depth"),
        ("tau", {"encoder_kernel": 4}, "encoder_kernel must be an odd number"),
        ("simvp", {"translator_depth": 1}, "translator_depth"),
        ("tau", {"translator_depth": 1}, "translator_depth"),
        ("simvp", {"translator_kernels": [2]}, "must be odd numbers"),
        ("simvp", {"width": 2, "groups": 16}, "8 channels do not divide into 16 groups"),
    ],
)
def test_what_cannot_be_built_is_refused(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(model, **options)
