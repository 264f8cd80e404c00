"""DDPAE equals arrays recorded from its source with all variables at their means."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit
from benchbench.models.ddpae import DDPAE, Scene, inverted, warped
from benchbench.predictor import Progress
from benchbench.registry import build_model
from benchbench.weights.files import import_reference
from benchbench.weights.sizes import sizes_of

from .goldens import Golden, goldens

SIZES = {
    "image": "ild",
    "content": "cld",
    "hidden": "hid",
    "width": "ngf",
}

SMALL = {"hidden": 8, "image": 5, "content": 3, "width": 2}


def clip(golden: Golden) -> Clip:
    config = golden.config
    channels = golden["in/input"].shape[2]
    return Clip(channels, config["size"], config["size"], config["Tin"], config["Tout"])


def build(golden: Golden) -> DDPAE:
    config = golden.config
    sizes = {option: config[name] for option, name in SIZES.items()}
    predictor, _ = golden.build(clip(golden), **sizes, **unseen(golden))
    assert isinstance(predictor, DDPAE)
    return predictor


def unseen(golden: Golden) -> dict[str, Any]:
    """The options that an import must be given."""
    config = golden.config
    return {
        "components": config["comp"],
        "scale": float(config["scale"]),
        "independent": bool(config["indep"]),
    }


def scene(golden: Golden) -> Scene:
    with torch.no_grad():
        return build(golden).scene(
            golden["in/input"], golden.config["Tout"], lambda posterior: posterior.mu
        )


@goldens("out/input_beta_mu", model="ddpae")
def test_posteriors_of_poses_equal_the_recorded(golden: Golden) -> None:
    poses, T = scene(golden).poses, golden.config["Tin"]
    golden.check(poses.initial.mu.flatten(0, 1), "out/initial_pose_mu")
    golden.check(poses.initial.sigma.flatten(0, 1), "out/initial_pose_sigma")
    for name, part in (("input", slice(T)), ("pred", slice(T, None))):
        golden.check(poses.steps.mu[:, part].flatten(0, 2), f"out/{name}_beta_mu")
        golden.check(poses.steps.sigma[:, part].flatten(0, 2), f"out/{name}_beta_sigma")


@goldens("out/pose", "out/crops", "out/content", model="ddpae")
def test_poses_crops_and_contents_equal_the_recorded(golden: Golden) -> None:
    drawn = scene(golden)
    golden.check(drawn.pose, "out/pose")
    golden.check(drawn.crops, "out/crops")
    golden.check(drawn.content, "out/content")
    golden.check(drawn.objects, "out/objects")


@goldens("out/components", "out/output", model="ddpae")
def test_components_and_frames_equal_the_recorded(golden: Golden) -> None:
    drawn, predictor = scene(golden), build(golden)
    golden.check(drawn.components, "out/components")
    golden.check(drawn.frames, "out/output")
    horizon = golden.config["Tout"]
    with torch.no_grad():
        predicted = predictor(golden["in/input"], horizon)
    golden.check(predicted, golden["out/output"][:, -horizon:])


@goldens("param/", model="ddpae")
def test_a_checkpoint_is_imported_at_the_sizes_that_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    config = golden.config
    imported = golden.imported(tmp_path, clip(golden), **unseen(golden))
    for name, tensor in build(golden).state_dict().items():
        assert torch.equal(imported.state_dict[name].to(tensor), tensor), name
    assert {name: imported.options[name] for name in SIZES} == {
        option: config[name] for option, name in SIZES.items()
    }
    with pytest.raises(SchemaError, match="do not show components"):
        golden.imported(tmp_path, clip(golden))


@goldens("param/", model="ddpae")
def test_a_checkpoint_of_torch_0_3_counts_no_batches(golden: Golden, tmp_path: Path) -> None:
    state = {
        name: tensor
        for name, tensor in golden.under("param/").items()
        if not name.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "old.pt")
    options = unseen(golden)
    old, _ = import_reference("ddpae", "ddpae", tmp_path / "old.pt", clip(golden), options)
    assert (
        old.state_dict.keys()
        == golden.imported(tmp_path, clip(golden), **options).state_dict.keys()
    )


def small(side: int = 16, **options: Any) -> DDPAE:
    torch.manual_seed(0)
    predictor = build_model("ddpae", Clip(1, side, side, 2, 3), **{**SMALL, **options})
    assert isinstance(predictor, DDPAE)
    return predictor.double()


@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("independent", [False, True])
def test_tensors_show_the_sizes_whatever_the_frames(side: int, independent: bool) -> None:
    predictor = small(side, independent=independent)
    assert sizes_of("ddpae", predictor.state_dict()) == SMALL


def terms(predictor: DDPAE, seed: int) -> dict[str, float]:
    frames = torch.rand(2, 5, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    progress = Progress(step=0, steps=1, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        named = predictor.losses(frames[:, :2], frames[:, 2:], progress)
    return {name: term.item() for name, term in named.items()}


def test_training_draws_from_the_runs_generator_and_prediction_not_at_all() -> None:
    predictor = small().eval()
    assert terms(predictor, 0) == terms(predictor, 0) != terms(predictor, 1)
    context = torch.rand(2, 2, 1, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(predictor(context, 3), predictor(context, 3))


def test_the_bound_is_the_likelihood_less_divergences_from_the_priors() -> None:
    predictor = small().eval()
    frames = torch.rand(2, 5, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        scene = predictor.scene(frames[:, :2], 3, lambda posterior: posterior.mu)
    Normal = torch.distributions.Normal
    priors = {
        "initial": (scene.poses.initial, torch.tensor([2.0, 0, 0]), torch.tensor([0.2, 1, 1])),
        "steps": (scene.poses.steps, torch.zeros(3), torch.full((3,), 0.1)),
    }
    draws = [terms(predictor, seed) for seed in range(400)]
    for name, (posterior, mu, sigma) in priors.items():
        divergence = torch.distributions.kl_divergence(
            Normal(*posterior), Normal(mu.double(), sigma.double())
        )
        mean = sum(draw[name] for draw in draws) / len(draws)
        assert mean == pytest.approx(divergence.sum().item(), rel=0.05)
    own = -Normal(torch.zeros(()), 0.3).log_prob(torch.zeros(()))
    assert draws[0]["likelihood"] > frames.numel() * own.item()


def test_a_pose_and_its_inverse_undo_each_other() -> None:
    image = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    image[:, :, 4:12, 4:12] = torch.rand(8, 8, dtype=torch.float64)
    pose = torch.tensor([[2.0, 0.0, 0.0]], dtype=torch.float64)
    there = inverted(pose)
    torch.testing.assert_close(inverted(there), pose)
    crop = warped(image, there, 31)  # fine enough for all of the image's pixels to be in it
    back = warped(crop, pose, 16)
    torch.testing.assert_close(back[..., 4:12, 4:12], image[..., 4:12, 4:12], rtol=0, atol=1e-9)


def test_poses_stay_within_their_bounds() -> None:
    predictor = small(scale=3.0)
    pose = predictor.bounded(torch.tensor([[9.0, 50.0, -50.0], [-9.0, 0.0, 0.5]]))
    expected = torch.tensor([[4.0, 3.5, -3.5], [2.0, 0.0, 1.5 * math.tanh(0.5)]])
    torch.testing.assert_close(pose, expected)


def test_weights_are_drawn_as_the_source_draws_them() -> None:
    predictor = small(width=16)
    kernel = predictor.object_decoder[3].weight  # type: ignore[index,union-attr]
    assert kernel.std().item() == pytest.approx(0.02, rel=0.1)
    head = predictor.pose_model.step.mu
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.6)
    assert not head.bias.any()


@pytest.mark.parametrize("frames", [(1, 16, 32), (1, 8, 8), (1, 24, 24)])
def test_frames_that_cannot_be_cropped_are_refused(frames: tuple[int, int, int]) -> None:
    with pytest.raises(Unfit, match="squares with a side"):
        build_model("ddpae", Clip(*frames, 2, 2))


def test_a_scale_that_could_fall_to_nothing_is_refused() -> None:
    with pytest.raises(Unfit, match="scale must be more than 1"):
        small(scale=1.0)
