"""Optimisers and schedules as a suite asks for them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchbench.suite.schema import Train
from benchbench.training.optimiser import optimiser, scheduler


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
