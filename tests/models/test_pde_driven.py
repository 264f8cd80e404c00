"""PDE-Driven equals arrays recorded from the authors' code; its terms are what they are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.models.pde_driven import PDEDriven
from benchbench.predictor import Criterion, Progress
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

CLIP = Clip(1, 32, 32, 3, 4)
TINY = {"width": 2, "static": 5, "dynamic": 3, "hidden": 6, "window": 2}


def clip_of(golden: Golden) -> Clip:
    config = golden.config
    return Clip(*config["shape"], config["ntc"], config["ntp"])


def build(golden: Golden) -> tuple[PDEDriven, Loaded]:
    c = golden.config
    autoencoding, invariance, prior, prediction = map(float, c["lam"])
    predictor, loaded = golden.build(
        clip_of(golden),
        encoder=c["arch"],
        width=c["nf"],
        static=c["cs"],
        dynamic=c["ct"],
        product=c["mixing"] != "concat",
        skip=c["skip"],
        sigmoid=c["last"] == "sigmoid",
        hidden=c["rh"],
        residuals=c["nb"],
        window=c["ntc"],
        autoencoding=autoencoding,
        invariance=invariance,
        prior=prior,
        prediction=prediction,
    )
    assert isinstance(predictor, PDEDriven)
    return predictor, loaded


def small(clip: Clip = CLIP, **options: Any) -> PDEDriven:
    torch.manual_seed(0)
    predictor = build_model("pde_driven", clip, **{**TINY, **options})
    assert isinstance(predictor, PDEDriven)
    return predictor


def recorded_terms(golden: Golden, predictor: PDEDriven) -> dict[str, Tensor]:
    frames = torch.cat([golden["in/cond"], golden["in/target"]], dim=1)
    return predictor.terms(frames, golden.meta["t_random"], Progress(step=0, steps=1))


@goldens("out/t_codes", "out/s_code", model="pde_driven")
def test_both_codes_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    s, _, t = predictor.code(golden["in/cond"])
    golden.check(s, "out/s_code")
    codes = predictor.motion(t, golden.config["ntc"] + golden.config["ntp"])
    golden.check(torch.stack(codes, dim=1), "out/t_codes")


@goldens("out/forecast", "out/pred", model="pde_driven")
def test_frames_rebuilt_and_predicted_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    context, horizon = golden["in/cond"], golden.config["ntp"]
    with torch.no_grad():
        s, maps, t = predictor.code(context)
        codes = predictor.motion(t, context.shape[1] + horizon)
        golden.check(predictor.frames(s, codes, maps), "out/forecast")
        golden.check(predictor(context, horizon), "out/pred")


@goldens("out/loss_", model="pde_driven")
def test_the_four_terms_of_the_loss_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    terms, weights = recorded_terms(golden, predictor), predictor.weights
    golden.check_loss(terms["prediction"].item() / weights.prediction, "out/loss_pred")
    golden.check_loss(terms["autoencoding"].item() / weights.autoencoding, "out/loss_ae")
    golden.check_loss(terms["invariance"].item() / weights.invariance, "out/loss_s")
    golden.check_loss(terms["prior"].item() / weights.prior, "out/loss_t")


@goldens("out/train_loss", model="pde_driven")
def test_the_loss_and_its_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    loss = torch.stack(list(recorded_terms(golden, predictor).values())).sum()
    golden.check_loss(loss.item(), "out/train_loss")
    loss.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


@goldens("param/", model="pde_driven")
def test_a_checkpoint_is_imported_with_what_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    predictor, _ = build(golden)
    assert predictor.built_as is not None
    shown = ("width", "static", "dynamic", "hidden", "residuals")
    told = {k: v for k, v in predictor.built_as.options.items() if k not in shown}
    golden.check_import(predictor, clip_of(golden), tmp_path, **told)


def test_the_random_window_comes_from_the_runs_generator() -> None:
    predictor = small()
    frames = torch.rand(2, 7, 1, 32, 32)
    ends: list[int] = []
    predictor.terms = lambda frames, end, progress: ends.append(end) or {}  # type: ignore[method-assign,assignment,func-returns-value]
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    for _ in range(60):
        predictor.losses(frames[:, :3], frames[:, 3:], Progress(0, 100, generator=generator))
    assert set(ends) == set(range(2, 7))  # two frames coded, four that follow
    first = ends.copy()
    ends.clear()
    generator.set_state(state)
    for _ in range(60):
        predictor.losses(frames[:, :3], frames[:, 3:], Progress(0, 100, generator=generator))
    assert ends == first


def test_only_the_last_frames_of_the_context_are_read() -> None:
    predictor = small().eval()
    context = torch.rand(2, 3, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(predictor(context, 2), predictor(context[:, 1:], 2))


def test_the_pixel_terms_are_the_suites_loss() -> None:
    predictor = small().eval()
    frames = torch.rand(2, 6, 1, 32, 32)
    squared = predictor.terms(frames, 3, Progress(0, 1))
    absolute = predictor.terms(frames, 3, Progress(0, 1, criterion=Criterion(mse=0, l1=1)))
    assert absolute["prior"] == squared["prior"]
    assert absolute["invariance"] == squared["invariance"]
    assert absolute["prediction"] > squared["prediction"]


def test_initial_matrices_are_orthogonal_and_kernels_normal() -> None:
    predictor = small(Clip(1, 64, 64, 5, 5), width=16, dynamic=20, hidden=64, window=5, gain=0.71)
    for module in predictor.equation.modules():
        if isinstance(module, nn.Linear):
            short = module.weight if module.in_features > module.out_features else module.weight.T
            gram = short @ short.T / 0.71**2
            torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)
            assert not module.bias.any()
    kernel = predictor.encoders["s"].stages[3][0][0].weight  # type: ignore[index,union-attr]
    assert kernel.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(kernel.mean().item()) < 1e-3
    scale = predictor.decoder.first[1].weight  # type: ignore[index]
    assert scale.mean().item() == pytest.approx(1, abs=0.02)
    assert scale.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 4}, "set window: 3"),
        ({"product": True}, "make static and dynamic equal"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(**options)


def test_frames_that_do_not_divide_are_refused() -> None:
    with pytest.raises(Unfit, match="multiples of 16, of 32 at least"):
        small(Clip(1, 24, 24, 3, 4))
    assert small(Clip(1, 24, 24, 3, 4), encoder="vgg")(torch.rand(2, 3, 1, 24, 24), 1).shape[1] == 1
