"""What every registered model keeps, with every legal combination of blocks."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.predictor import Predictor, Progress
from benchbench.registry import MODELS, build_model
from benchbench.suite.schema import Train
from benchbench.training import preflight
from benchbench.training.trainer import Trainer
from benchbench.weights.certificate import certificate

from ..stand_ins import ComputedSplit

CONTEXT, HORIZON = 2, 2
COMBINATIONS: tuple[tuple[str, ...], ...] = ((), ("ce",), ("se",), ("ce", "se"))


def tiny(model: str) -> dict[str, Any]:
    """Options that make a model small: those of the recurrent family, and its certificate's."""
    if certificate(model).tiny:
        return certificate(model).tiny
    small: dict[str, Any] = {}
    for name, parameter in MODELS.get(model).options.items():
        if name == "hidden":
            small[name] = [3, 3] if isinstance(parameter.default, Sequence) else 4
        elif name in ("kernel", "patch") and isinstance(parameter.default, int):
            small[name] = {"kernel": 3, "patch": 2}[name]
    return small


def variants(model: str) -> Iterator[dict[str, Any]]:
    """All combinations of blocks, all sources, and what the certificate lists beside."""
    entry = MODELS.get(model)
    options = entry.options
    for blocks in COMBINATIONS if "blocks" in options else ((),):
        yield {"blocks": list(blocks)} if blocks else {}
    if "source" in options:
        names = typing.get_args(typing.get_type_hints(entry.build)["source"])
        yield from ({"source": name} for name in names if name != options["source"].default)
    yield from certificate(model).variants


def cases() -> Iterator[Any]:
    for model in MODELS.names():
        for variant in variants(model):
            text = "-".join([model, *(f"{k}={v}" for k, v in variant.items())])
            yield pytest.param(model, {**tiny(model), **variant}, id=text)


every_model = pytest.mark.parametrize(("model", "options"), list(cases()))


def build(model: str, options: dict[str, Any], *, channels: int = 1) -> tuple[Predictor, Clip]:
    """The model on the smallest square frames that it accepts."""
    torch.manual_seed(0)
    for size in (8, 16, 32, 64):
        clip = Clip(channels, size, size, CONTEXT, HORIZON)
        try:
            return build_model(model, clip, **options), clip
        except Unfit:
            if size == 64:
                raise
    raise AssertionError


def frames(clip: Clip, *, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(batch, *clip.shape, generator=generator)
    return x[:, : clip.context], x[:, clip.context :]


def progress() -> Progress:
    return Progress(step=0, steps=10)


def total(predictor: Predictor, clip: Clip, *, batch: int = 2) -> Tensor:
    context, target = frames(clip, batch=batch)
    return torch.stack(list(predictor.losses(context, target, progress()).values())).sum()


def jitter(predictor: Predictor) -> None:
    """Moves every parameter off its initial value, where zeros hide gradients."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in predictor.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            parameter += 0.1 * noise.to(parameter)


@every_model
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_it_predicts_any_number_of_frames_of_any_channels(
    model: str, options: dict[str, Any], channels: int
) -> None:
    try:
        predictor, clip = build(model, options, channels=channels)
    except Unfit:
        assert channels > 1
        return
    context, _ = frames(clip)
    horizons = {1: (HORIZON, HORIZON + 2), 2: (1,), 3: (1,)}
    for horizon in horizons[channels]:
        with torch.no_grad():
            predicted = predictor.eval()(context, horizon)
        assert predicted.shape == (2, horizon, *context.shape[2:])
        assert predicted.dtype == torch.float32
        assert predicted.isfinite().all()


@every_model
def test_its_first_batch_is_fit_to_train_on(model: str, options: dict[str, Any]) -> None:
    if not MODELS.get(model).trains:
        return
    predictor, clip = build(model, options)
    clips = torch.cat(frames(clip), dim=1)
    train = Train.model_validate({"steps": 10, "batch": 2})
    split = ComputedSplit(clips.__getitem__, 2)
    preflight.check(Trainer(predictor, split, clip, train, seed=0), clips)


@every_model
def test_it_reads_frames_that_are_not_square_or_refuses_them(
    model: str, options: dict[str, Any]
) -> None:
    _, square = build(model, options)
    clip = Clip(1, square.height, 2 * square.width, CONTEXT, HORIZON)
    try:
        predictor = build_model(model, clip, **options)
    except Unfit:
        return
    context, _ = frames(clip)
    with torch.no_grad():
        predicted = predictor.eval()(context, HORIZON)
    assert predicted.shape == (2, HORIZON, *context.shape[2:])
    assert predicted.isfinite().all()


@every_model
def test_a_batch_equals_its_items_and_itself_again(model: str, options: dict[str, Any]) -> None:
    predictor, clip = build(model, options)
    predictor = predictor.double().eval()
    jitter(predictor)
    context = frames(clip, batch=2)[0].double()
    with torch.no_grad():
        together = predictor(context, HORIZON)
        alone = torch.cat([predictor(item[None], HORIZON) for item in context])
        again = predictor(context, HORIZON)
    # the items came between, so a state that outlives a batch would show as well
    assert torch.equal(together, again)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)


@every_model
def test_every_parameter_gets_a_gradient_or_is_declared_dead(
    model: str, options: dict[str, Any]
) -> None:
    predictor, clip = build(model, options)
    predictor = predictor.double()
    jitter(predictor)
    context, target = (x.double() for x in frames(clip))
    loss = torch.stack(list(predictor.losses(context, target, progress()).values())).sum()
    if not MODELS.get(model).trains:
        assert not loss.requires_grad
        return
    loss.backward()
    norms = {
        name: 0.0 if parameter.grad is None else parameter.grad.norm().item()
        for name, parameter in predictor.named_parameters()
    }
    dead = predictor.dead_parameters()
    assert set(dead) <= set(norms)
    largest = max(norms.values(), default=0.0)
    still = {name for name, norm in norms.items() if norm <= 1e-12 * largest}
    assert still == set(dead)


@every_model
def test_the_loss_falls_on_one_batch(model: str, options: dict[str, Any]) -> None:
    if not MODELS.get(model).trains:
        return
    predictor, clip = build(model, options)
    optimizer = torch.optim.Adam(predictor.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = total(predictor, clip)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_model
def test_its_state_survives_a_round_trip(model: str, options: dict[str, Any]) -> None:
    predictor, clip = build(model, options)
    jitter(predictor)
    other, _ = build(model, options)
    other.load_state_dict(predictor.state_dict())
    context, _ = frames(clip)
    with torch.no_grad():
        assert torch.equal(predictor.eval()(context, 1), other.eval()(context, 1))


@every_model
def test_it_trains_in_half_precision(model: str, options: dict[str, Any]) -> None:
    predictor, clip = build(model, options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = total(predictor, clip)
    if loss.requires_grad:
        loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in predictor.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("model", "options", "why"),
    [
        ("convlstm", {"patch": 3}, "do not divide into patches of 3"),
        ("convlstm", {"kernel": 4}, "kernel must be an odd number"),
        ("predrnn", {"hidden": [4, 3]}, "widths must be equal"),
        ("predrnn_pp", {"hidden": [4]}, "at least two"),
        ("mim", {"hidden": [4]}, "at least 2 layers"),
        ("mim_star", {"hidden": [4, 3]}, "widths must be equal"),
        ("e3d_lstm", {"hidden": [4, 3]}, "widths must be equal"),
        ("e3d_lstm", {"kernel": 2}, "kernel must be an odd number"),
        ("sa_convlstm", {"source": "jerrywn121", "norm": True}, "leaves no choice"),
        ("predrnn", {"blocks": ["se"], "se_scales": [3]}, "must each divide the folded frames"),
        ("predrnn", {"blocks": ["ce", "ce"]}, "at most once"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    model: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unfit, match=why):
        build_model(model, Clip(1, 16, 16, CONTEXT, HORIZON), **{**tiny(model), **options})


@pytest.mark.parametrize(
    ("model", "blocks"),
    list(
        itertools.product(
            ["convlstm", "predrnn", "predrnn_pp", "mim", "mim_star", "sa_convlstm", "e3d_lstm"],
            COMBINATIONS[1:],
        )
    ),
)
def test_blocks_add_the_parameters_of_their_own_and_no_others(
    model: str, blocks: tuple[str, ...]
) -> None:
    plain, clip = build(model, tiny(model))
    wrapped = build_model(model, clip, **tiny(model), blocks=list(blocks))
    names = {name.replace(".cell.", ".") for name, _ in wrapped.named_parameters()}
    own = {name for name in names if ".before." in name or ".after." in name}
    assert names - own == {name for name, _ in plain.named_parameters()}
    assert own
