"""Optimisers and schedules as a suite asks for them."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch

from benchbench.suite.schema import Train
from benchbench.training.optimiser import OPTIMISERS, optimiser, scheduler


def rates(**settings: Any) -> list[float]:
    """The learning rate of every iteration."""
    train = Train.model_validate({"lr": 0.1, **settings})
    optimizer = optimiser(torch.nn.Linear(1, 1), train)
    schedule = scheduler(optimizer, train)
    lrs = []
    for step in range(train.steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % train.schedule_every == 0:
            schedule.step()
    return lrs


def test_constant_stays() -> None:
    assert rates(steps=5) == [0.1] * 5


def test_cosine_follows_its_formula_to_the_final_rate() -> None:
    lrs = rates(steps=10, schedule="cosine", final_lr=0.01)
    expected = [0.01 + 0.09 * (1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)]
    assert lrs == pytest.approx(expected)


def test_cosine_may_move_in_stairs_as_in_cms_lstm() -> None:
    lrs = rates(steps=12, schedule="cosine", schedule_every=4)
    assert lrs == pytest.approx([0.1] * 4 + [0.075] * 4 + [0.025] * 4)


def test_warmup_rises_then_the_schedule_begins() -> None:
    lrs = rates(steps=10, schedule="cosine", warmup=4)
    assert lrs[0] == pytest.approx(0.001)
    assert lrs[:5] == sorted(lrs[:5])
    assert lrs[4] == pytest.approx(0.1)
    assert lrs[4:] == sorted(lrs[4:], reverse=True)


def test_multistep_falls_at_its_milestones() -> None:
    expected = [0.1] * 3 + [0.05] * 2 + [0.025] * 3
    assert rates(steps=8, schedule="multistep", milestones=[3, 5], factor=0.5) == expected


def test_one_cycle_peaks_at_its_learning_rate() -> None:
    lrs = rates(steps=100, schedule="one_cycle")
    assert max(lrs) == pytest.approx(0.1)
    assert lrs.index(max(lrs)) == pytest.approx(30, abs=1)
    assert lrs[-1] < 1e-3


def test_adamw_decays_weights_and_adam_takes_settings() -> None:
    settings = {"steps": 1, "betas": [0.5, 0.99], "eps": 1e-6, "weight_decay": 0.01}
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        optimizer = optimiser(
            torch.nn.Linear(1, 1), Train.model_validate({**settings, "optimizer": name})
        )
        assert type(optimizer) is kind
        group = optimizer.param_groups[0]
        assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.5, 0.99), 1e-6, 0.01)


GRADIENTS = np.random.default_rng(0).normal(size=(6, 3)) * [1.0, 1e-3, 1e-5]
"""Of six iterations, for three weights."""


def trained(**settings: Any) -> np.ndarray:
    """Three weights, 1 at first, after six updates."""
    layer = torch.nn.Linear(3, 1, bias=False).double()
    torch.nn.init.ones_(layer.weight)
    optimizer = optimiser(layer, Train.model_validate({"steps": 6, "lr": 0.01, **settings}))
    for gradient in GRADIENTS:
        layer.weight.grad = torch.from_numpy(gradient[None].copy())
        optimizer.step()
    return layer.weight.detach().numpy()[0]


@pytest.mark.parametrize("kind", ["adam_root", "adam_tensorflow"])
def test_epsilon_stands_where_the_source_has_it(kind: str) -> None:
    eps, (b1, b2) = 1e-4, (0.95, 0.9995)
    w, m, v = np.ones(3), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(GRADIENTS, start=1):
        g = gradient + 0.1 * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        if kind == "adam_root":
            w = w - 0.01 * (m / (1 - b1**t)) / np.sqrt(v / (1 - b2**t) + eps)
        else:
            rate = 0.01 * math.sqrt(1 - b2**t) / (1 - b1**t)
            w = w - rate * m / (np.sqrt(v) + eps)
    settings = {"betas": [b1, b2], "eps": eps, "weight_decay": 0.1}
    ours = trained(optimizer=kind, **settings)
    np.testing.assert_allclose(ours, w, rtol=1e-12)
    assert np.abs(ours - trained(optimizer="adam", **settings)).max() > 1e-5


def test_rmsprop_starts_from_a_mean_square_of_one() -> None:
    w, v, change = np.ones(3), np.ones(3), np.zeros(3)
    for g in GRADIENTS:
        v = 0.9 * v + 0.1 * g**2
        change = 0.5 * change + 0.01 * g / np.sqrt(v + 1e-10)
        w = w - change
    ours = trained(optimizer="rmsprop_tensorflow", betas=[0.0, 0.9], eps=1e-10, momentum=0.5)
    np.testing.assert_allclose(ours, w, rtol=1e-12)


def test_the_steps_of_momentum_are_clipped_one_by_one() -> None:
    w, change = np.ones(3), np.zeros(3)
    for g in GRADIENTS:
        change = np.clip(0.9 * change - 0.01 * (g + 0.1 * w), -1e-3, 1e-3)
        w = w + change
    ours = trained(optimizer="sgd", momentum=0.9, clip_step=1e-3, weight_decay=0.1)
    np.testing.assert_allclose(ours, w, rtol=1e-12)


def test_sgd_without_a_clip_is_torchs() -> None:
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.01, momentum=0.9)
    for gradient in GRADIENTS:
        weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    ours = trained(optimizer="sgd", momentum=0.9)
    np.testing.assert_allclose(ours, weight.detach().numpy(), rtol=1e-12)


def test_every_optimiser_of_the_schema_is_built() -> None:
    assert set(OPTIMISERS) == set(get_args(Train.model_fields["optimizer"].annotation))
