"""CrevNet equals arrays recorded from both codes; its autoencoder is inverted exactly."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit
from benchbench.models._reversible import spread, squeeze
from benchbench.models.crevnet import CrevNet
from benchbench.predictor import Progress
from benchbench.registry import build_model
from benchbench.sampling import Sampling
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

TINY = {"stages": [1, 2], "strides": [1, 2], "layers": 2}


def options(golden: Golden) -> dict[str, Any]:
    config = golden.config
    frames = golden["in/frames"]
    return {
        "window": frames.shape[3] if frames.ndim == 6 else 1,
        "stages": config["nB"],
        "strides": config["nS"],
        "bottleneck": config["mult"],
        "layers": config["layers"],
    }


def clip_of(golden: Golden) -> Clip:
    config, n = golden.config, options(golden)["window"]
    return Clip(config["C"], *config["hw"], config["Tin"] + n - 1, config["Tout"])


def build(golden: Golden) -> tuple[CrevNet, Loaded]:
    predictor, loaded = golden.build(clip_of(golden), **options(golden))
    assert isinstance(predictor, CrevNet)
    return predictor, loaded


def recorded_clips(golden: Golden, name: str) -> Tensor:
    """(B, N, n, C, H, W); the clips of the 3-D recording do not overlap as a video's do."""
    frames = golden[name]
    return frames.transpose(2, 3) if frames.ndim == 6 else frames[:, :, None]


def small(**more: Any) -> CrevNet:
    torch.manual_seed(0)
    predictor = build_model("crevnet", Clip(1, 8, 8, 3, 2), **{**TINY, **more})
    assert isinstance(predictor, CrevNet)
    return predictor


@goldens("out/latent_1", "out/reconstruction", model="crevnet")
def test_latent_maps_and_the_frames_made_of_them_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    autoencoder = predictor.stack.embed
    with torch.no_grad():
        pair = autoencoder(golden["in/frames"][:, 0])
        golden.check(pair[0], "out/latent_1")
        golden.check(pair[1], "out/latent_2")
        golden.check(autoencoder.inverse(pair), "out/reconstruction")  # type: ignore[operator]


@goldens("out/teacher_forced", "out/train_loss", model="crevnet")
def test_predictions_and_loss_of_true_frames_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    clips = recorded_clips(golden, "in/frames")
    predicted = predictor.roll(clips, 0, torch.ones(len(clips), clips.shape[1] - 1))
    expected = recorded_clips(golden, "out/teacher_forced")
    golden.check(torch.stack(predicted, dim=1), expected)
    pairs = zip(predicted, clips[:, 1:].unbind(1), strict=True)
    loss = torch.stack([(a - b).square().mean() for a, b in pairs]).sum()
    golden.check_loss(loss.item(), "out/train_loss")
    loss.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


@goldens("out/train_loss", "in/frames", model="crevnet", ref="gnosisyuw.*")
def test_losses_are_those_of_true_frames(golden: Golden) -> None:
    predictor, _ = build(golden)
    context, target = golden["in/frames"].split([golden.config["Tin"], golden.config["Tout"]], 1)
    terms = predictor.losses(context, target, Progress(step=0, steps=1))
    golden.check_loss(terms["mse"].item(), "out/train_loss")


def amplified(golden: Golden, predictor: CrevNet, clips: Tensor, context: int) -> float:
    """What a roll of own frames may be off by: many times what float32 alone changes in it.

    The recordings are float32, and the norms of small maps amplify its rounding at each step.
    """
    exact = torch.stack(predictor.roll(clips, context))
    rounded = torch.stack(copy.deepcopy(predictor).float().roll(clips.float(), context))
    return max(golden.tolerance.atol, 10 * (exact - rounded).abs().max().item())


@goldens("out/free_running", model="crevnet")
def test_free_running_predictions_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    clips, tin = recorded_clips(golden, "in/frames"), golden.config["Tin"]
    clips, context = clips[:, : tin + golden.config["Tout"]], tin + predictor.window - 1
    with torch.no_grad():
        rolled = predictor.roll(clips, context)
        atol = amplified(golden, predictor, clips, context)
    # the source has the known frames of what it gives copied as well
    later = [
        predictor.completed(clips, context, t, rolled[t - 1])
        for t in range(tin, tin + golden.config["Tout"])
    ]
    expected = recorded_clips(golden, "out/free_running")
    golden.check(torch.stack(later, dim=1), expected, atol=atol)


@goldens("out/free_running", model="crevnet", ref="gnosisyuw.*")
def test_the_forward_pass_is_the_free_running_roll(golden: Golden) -> None:
    predictor, _ = build(golden)
    frames, tin, tout = golden["in/frames"], golden.config["Tin"], golden.config["Tout"]
    with torch.no_grad():
        atol = amplified(golden, predictor, frames[:, : tin + tout, None], tin)
        golden.check(predictor(frames[:, :tin], tout), "out/free_running", atol=atol)


@goldens("out/memo", model="crevnet")
def test_the_memory_that_climbs_equals_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    clips, tin = recorded_clips(golden, "in/frames"), golden.config["Tin"]
    memories: list[Tensor] = []
    predictor.stack.register_forward_hook(
        lambda module, inputs, output: memories.append(output[1].memory)
    )
    with torch.no_grad():
        predictor.roll(clips[:, : tin + golden.config["Tout"]], tin + predictor.window - 1)
    golden.check(memories[-1], "out/memo")


@goldens("param/", model="crevnet")
def test_a_checkpoint_is_imported_with_what_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    ours, _ = build(golden)
    told = {name: value for name, value in options(golden).items() if name != "layers"}
    if golden.source == "gnosisyuw":
        del told["window"]
    golden.check_import(ours, clip_of(golden), tmp_path, **told)
    with pytest.raises(SchemaError, match="do not show"):
        golden.imported(tmp_path, clip_of(golden))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 3, 5, 4, 6)])
def test_squeezing_is_undone_and_keeps_offsets_outside_channels(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    assert torch.equal(spread(squeeze(x)), x)
    assert torch.equal(squeeze(x)[:, 3:6], x[..., 0::2, 1::2])  # dy 0, dx 1, all channels


@pytest.mark.parametrize("frames", [1, 3])
def test_the_autoencoder_is_inverted_exactly(frames: int) -> None:
    predictor = small(window=frames).double().eval()
    maps = torch.rand(2, 1, *([frames] if frames > 1 else []), 8, 8, dtype=torch.float64)
    autoencoder = predictor.stack.embed
    back = autoencoder.inverse(autoencoder(maps))  # type: ignore[operator]
    torch.testing.assert_close(back, maps, rtol=0, atol=1e-12)


def test_known_frames_are_fed_again_and_the_rest_as_predicted_last() -> None:
    predictor = small(window=3)
    frames = torch.rand(2, 6, 1, 8, 8)
    predicted = torch.rand(2, 3, 1, 8, 8)
    clips = predictor.windows(frames)
    clip = predictor.completed(clips, 4, 3, predicted)  # of frames 3, 4, 5 the first is known
    assert torch.equal(clip, torch.cat([frames[:, 3:4], predicted[:, 1:]], dim=1))
    assert torch.equal(predictor.completed(clips, 4, 1, predicted), frames[:, 1:4])


def test_true_frames_are_fed_in_training_unless_the_suite_asks_for_a_sampling() -> None:
    predictor, frames = small(), torch.rand(2, 5, 1, 8, 8)
    context, target = frames[:, :3], frames[:, 3:]
    generator = torch.Generator().manual_seed(0)
    assert predictor.truth(context, target, Progress(step=0, steps=1)).all()
    progress = Progress(
        step=9, steps=10, sampling=Sampling("scheduled", until=1), generator=generator
    )
    assert predictor.truth(context, target, progress)[:, 3:].sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [1, 2, 2]}, "a number of each for every stage"),
        ({"stages": [1, 1, 1], "strides": [2, 2, 2]}, "multiples of 16"),
        ({"window": 4}, "set window: 3"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(**options)
