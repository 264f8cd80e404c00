"""Every recurrent port equals its reference on arrays recorded from it, the files of `core/`.

Torch references were recorded in float64, TensorFlow's in float32. The recordings of `others/` are
each of their own form: a port that has some reads them in a test file of its own.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.predictor import Predictor, Progress
from benchbench.recurrent import Recurrent, State, fold
from benchbench.weights.certificate import certificate
from benchbench.weights.reference import Loaded

from .goldens import HERE, Golden, claims, files, goldens

modes = pytest.mark.parametrize("mode", ["free", "mixed"])


def build(golden: Golden) -> tuple[Recurrent, Loaded]:
    predictor, loaded = golden.build()
    assert isinstance(predictor, Recurrent)
    return predictor, loaded


def mask(golden: Golden, mode: str) -> Tensor:
    """(B, Tout - 1), 1 where the true frame was fed."""
    recorded = golden["mask_mixed_bt"]
    free = mode == "free" or golden.recording.ignores_mask
    return torch.zeros_like(recorded) if free else recorded


def losses(golden: Golden, predictor: Predictor, frames: Tensor, mode: str) -> Tensor:
    progress = Progress(step=0, steps=1, criterion=golden.criterion, truth=mask(golden, mode))
    tin = golden.config["Tin"]
    return torch.stack(
        list(predictor.losses(frames[:, :tin], frames[:, tin:], progress).values())
    ).sum()


def roll(golden: Golden, predictor: Recurrent, mode: str, frames: Tensor) -> Tensor:
    """Predictions of all frames but the first, folded."""
    ones = frames.new_ones(len(frames), golden.config["Tin"])
    truth = torch.cat([ones, mask(golden, mode)], dim=1)
    with torch.no_grad():
        rolled = predictor.roll(frames, frames.shape[1] - 1, truth)
    return fold(rolled, predictor.patch, predictor.patch_order)


def predictions(golden: Golden, mode: str) -> Tensor:
    """Recorded predictions, folded, of the last frames."""
    for name in (f"pred_patched_{mode}", f"pred_patched_nhwc_{mode}"):
        if name in golden:
            recorded = golden[name]
            return recorded.permute(0, 1, 4, 2, 3) if "nhwc" in name else recorded
    name = "pred_frames_free_future" if mode == "free" else f"pred_frames_{mode}"
    if name not in golden or golden.config["patch"] != 1:
        pytest.skip(f"the extract has no {mode} predictions")
    return golden[name]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_a_file_of_arrays_is_claimed_by_a_certificate(path: Any) -> None:
    if not claims(path) and path.parent != HERE:
        pytest.skip("no certificate claims it")
    assert claims(path)


@goldens("pred_", "mask_mixed_bt")
@modes
def test_predictions_equal_the_recorded(golden: Golden, mode: str) -> None:
    predictor, _ = build(golden)
    expected = predictions(golden, mode)
    ours = roll(golden, predictor, mode, golden["frames"])
    golden.check(ours[:, -expected.shape[1] :], expected)


@goldens("frames", "mask_mixed_bt")
def test_the_forward_pass_is_the_free_running_roll(golden: Golden) -> None:
    predictor, _ = build(golden)
    tin, tout = golden.config["Tin"], golden.config["Tout"]
    with torch.no_grad():
        ours = predictor(golden["frames"][:, :tin], tout)
    for name in ("pred_frames_eval", "pred_frames_free", "pred_frames_free_future"):
        if name in golden:
            return golden.check(ours, golden[name][:, -tout:])
    pytest.skip("the extract has no free-running frames")


@goldens("loss_free")
def test_free_running_losses_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    ours = losses(golden, predictor, golden["frames"], "free")
    golden.check_loss(ours.item(), "loss_free")


@goldens("loss_mixed")
def test_losses_under_the_mask_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    ours = losses(golden, predictor, golden["frames"], "mixed")
    golden.check_loss(ours.item(), "loss_mixed")


@goldens("pred_patched_mixed_reversed")
def test_predictions_of_the_reversed_clip_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    expected = predictions(golden, "mixed_reversed")
    ours = roll(golden, predictor, "mixed", golden["frames"].flip(1))
    golden.check(ours[:, -expected.shape[1] :], expected)


@goldens("loss_mixed_reversed")
def test_the_loss_of_the_reversed_clip_equals_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    ours = losses(golden, predictor, golden["frames"].flip(1), "mixed")
    golden.check_loss(ours.item(), "loss_mixed_reversed")


@goldens("gradnorm_mixed/")
def test_gradient_norms_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    losses(golden, predictor, golden["frames"], "mixed").backward()
    norms = {name: norm.item() for name, norm in golden.under("gradnorm_mixed/").items()}
    golden.check_gradients(predictor, loaded, norms)


@goldens("frames", "param/")
def test_a_checkpoint_of_the_recorded_tensors_is_imported(golden: Golden, tmp_path: Path) -> None:
    predictor, _ = golden.build()
    sizes = certificate(golden.model).sizes
    told = {name: value for name, value in golden.options().items() if name not in sizes}
    golden.check_import(predictor, golden.clip, tmp_path, **told)


def ours(module: str, loaded: Loaded) -> str:
    """The module of ours that holds all the parameters of one of the reference's."""
    names = [
        name.rpartition(".")[0].split(".")
        for theirs, placed in loaded.used.items()
        for name in placed
        if theirs.startswith(f"{module}.")
    ]
    common = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))
    return ".".join(parts[0] for parts in common)


@goldens("trace/")
@modes
def test_intermediate_traces_equal_the_recorded(golden: Golden, mode: str) -> None:
    recorded = golden.under(f"trace/{mode}/")
    if not recorded:
        pytest.skip(f"the recording has no {mode} traces")
    predictor, loaded = build(golden)
    theirs = {name.split("/")[1] for name in recorded}
    outputs: dict[str, list[Any]] = {module: [] for module in theirs}
    for module, seen in outputs.items():
        predictor.get_submodule(ours(module, loaded)).register_forward_hook(
            lambda module, inputs, output, seen=seen: seen.append(output)
        )
    roll(golden, predictor, mode, golden["frames"])
    steps = golden["frames"].shape[1] - 1
    for name, expected in recorded.items():
        call, module, out = name.split("/")
        # OpenSTL steps its MIM-N at the first frame, too, and drops the result
        number = int(call.removeprefix("call")) - (steps - len(outputs[module]))
        if number >= 0:
            output = outputs[module][number]
            index = int(out.removeprefix("out"))
            golden.check(output[index] if isinstance(output, (tuple, State)) else output, expected)


@goldens("param_after_iter/")
def test_one_training_iteration_equals_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=1e-3, weight_decay=0.01)
    for number, frames in enumerate((golden["frames"], golden["frames"].flip(1)), start=1):
        optimizer.zero_grad()
        loss = losses(golden, predictor, frames, "mixed")
        loss.backward()
        optimizer.step()
        golden.check_loss(loss.item(), f"step_loss_{number}")
    parameters = dict(predictor.named_parameters())
    for theirs, expected in golden.under("param_after_iter/").items():
        # the gradient of the keys' bias is zero: its update is rounding noise
        if theirs not in loaded.dead and not theirs.endswith("f_key.bias"):
            (name,) = loaded.used[theirs]
            golden.check(parameters[name], expected)
