"""FRNN equals arrays recorded from the authors' code; its layers run both ways."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.models.frnn import FRNN, Folded, Gates
from benchbench.predictor import Criterion, Progress
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

TINY = {"convs": [3], "hidden": [4, 3], "kernels": [3, 5], "levels": [1, 1], "kernel": 3}


def clip_of(golden: Golden) -> Clip:
    config = golden.config
    return Clip(config["C"], *config["hw"], config["Tin"], config["Tout"])


def build(golden: Golden) -> tuple[FRNN, Loaded]:
    topology = golden.meta["topology"]
    recurrent = [layer for layer in topology if layer["type"] == "bconvgru"]
    folded = [layer for layer in topology if layer["type"] == "convolutional"]
    predictor, loaded = golden.build(
        clip_of(golden),
        convs=[layer["shape"][-1] for layer in folded],
        kernel=folded[0]["shape"][0],
        hidden=[layer["shape"][-1] for layer in recurrent],
        kernels=[layer["shape"][0] for layer in recurrent],
        levels=[len(level) for level in golden.config["gru"]],
    )
    assert isinstance(predictor, FRNN)
    return predictor, loaded


def frames(golden: Golden, name: str) -> Tensor:
    """(B, T, C, H, W), of a time-major recording with channels last."""
    return golden[name].permute(1, 0, 4, 2, 3)


def recorded(golden: Golden, tensor: Tensor) -> Tensor:
    """As recorded, (T, B, H, W, C)."""
    return tensor.permute(1, 0, 3, 4, 2)


def clips(golden: Golden) -> tuple[Tensor, Tensor]:
    """Context and target in [0, 1]."""
    scaled = (frames(golden, "in/frames") + 1) / 2
    context, target = scaled.split([golden.config["Tin"], golden.config["Tout"]], dim=1)
    return context, target


def small(**options: Any) -> FRNN:
    torch.manual_seed(0)
    predictor = build_model("frnn", Clip(1, 8, 8, 2, 2), **{**TINY, **options})
    assert isinstance(predictor, FRNN)
    return predictor


@goldens("out/pred", model="frnn")
def test_predictions_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    context, _ = clips(golden)
    with torch.no_grad():
        predicted = predictor(context, golden.config["Tout"])
    golden.check(recorded(golden, 2 * predicted - 1), "out/pred")


@goldens("out/enc_input_", "out/dec_input_", model="frnn")
def test_every_layers_inputs_equal_the_recorded_both_ways(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        up, states = predictor.encode(2 * clips(golden)[0] - 1)
        _, down = predictor.decode(up[-1], states, golden.config["Tout"])
    for k, n in enumerate(predictor.recurrent):
        for way, steps in (("enc", up), ("dec", down)):
            stacked = torch.stack([inputs[n] for inputs in steps], dim=1)
            golden.check(recorded(golden, stacked), f"out/{way}_input_{k}")


@goldens("out/loss_l1", "out/mse", model="frnn")
def test_losses_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    progress = Progress(step=0, steps=1, criterion=Criterion(mse=1, l1=1))
    with torch.no_grad():
        terms = predictor.losses(*clips(golden), progress)
    golden.check_loss(terms["l1"].item(), "out/loss_l1")
    golden.check_loss(terms["mse"].item(), "out/mse")


@goldens("param/", model="frnn")
def test_a_checkpoint_is_imported_with_what_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    predictor, _ = build(golden)
    levels = [len(level) for level in golden.config["gru"]]
    golden.check_import(predictor, clip_of(golden), tmp_path, levels=levels)


def test_a_convolution_is_decoded_by_its_own_adjoint() -> None:
    layer = Folded(2, 3, 5).double()
    torch.nn.init.normal_(layer.weight, std=1e-4)  # where tanh is the identity
    x, y = torch.rand(1, 2, 6, 6).double(), torch.rand(1, 3, 6, 6).double()
    there, back = (layer.encode(x) * y).sum(), (x * layer.decode(y)).sum()
    assert there.item() == pytest.approx(back.item(), rel=1e-5)


def test_the_gates_update_what_they_are_asked_to() -> None:
    torch.manual_seed(0)
    x, s = torch.rand(1, 2, 4, 4), torch.rand(1, 3, 4, 4)
    up, down = Gates(2, 3, 3), Gates(3, 2, 3)
    for gates in (up, down):
        torch.nn.init.constant_(gates.update.bias, -100.0)  # nothing new
    assert torch.equal(up(x, s), s)
    assert torch.equal(down(x, s, back=True), x)


def test_frames_are_within_0_and_1() -> None:
    predicted = small().eval()(torch.rand(2, 2, 1, 8, 8), 4)
    assert predicted.min() >= 0
    assert predicted.max() <= 1


def test_initial_kernels_are_orthogonal_up_to_their_scale() -> None:
    predictor = small(convs=[8], hidden=[16, 16])
    kernel = predictor.layers[2].up.reset.weight.detach()  # type: ignore[union-attr]
    outputs, inputs, *sides = kernel.shape
    fans = math.prod(sides) * (outputs + inputs)
    assert kernel.std().item() == pytest.approx(2 / math.sqrt(fans), rel=1e-3)
    gram = kernel.flatten(1) @ kernel.flatten(1).T
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(outputs), rtol=0, atol=1e-4)
    assert not predictor.layers[2].initial.any()  # type: ignore[operator,union-attr]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [1, 2]}, "for each of the 3 layers"),
        ({"kernels": [3, 4]}, "must be odd numbers"),
        (
            {"levels": [1] * 4, "hidden": [2] * 4, "kernels": [3] * 4},
            "crop them to multiples of 16",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(**options)
