"""Scheduled sampling against the formulas of its sources."""

from __future__ import annotations

import math

import pytest
import torch

from benchbench.sampling import Sampling


def draw(sampling: Sampling, step: int, batch: int = 2000) -> torch.Tensor:
    return sampling.mask(step, batch, 3, 4, torch.Generator().manual_seed(0))


def test_without_sampling_the_context_is_true_and_nothing_after_it() -> None:
    mask = draw(Sampling("none"), 0, batch=2)
    assert mask.tolist() == [[1, 1, 1, 0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("step", "chance"), [(0, 1.0), (12_500, 0.75), (25_000, 0.5), (50_000, 0.0), (80_000, 0.0)]
)
def test_scheduled_sampling_falls_linearly_to_nothing(step: int, chance: float) -> None:
    assert Sampling("scheduled", until=50_000).probabilities(step) == (1.0, pytest.approx(chance))
    mask = draw(Sampling("scheduled", until=50_000), step)
    assert (mask[:, :3] == 1).all()
    assert mask[:, 3:].mean().item() == pytest.approx(chance, abs=0.03)


def test_scheduled_sampling_starts_where_it_is_told() -> None:
    assert Sampling("scheduled", until=100, start=0.8).probabilities(50)[1] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("step", "inside", "after"),
    [
        (0, 0.5, 0.5),
        (24_999, 0.5, 0.5),
        (25_000, 0.5, 0.5),
        (30_000, 1 - 0.5 * math.exp(-5_000 / 2_500), 0.4),
        (50_000, 1.0, 0.0),
    ],
)
def test_reverse_sampling_follows_predrnn_v2(step: int, inside: float, after: float) -> None:
    sampling = Sampling("reverse", until=50_000, alpha=2_500)
    assert sampling.probabilities(step) == (pytest.approx(inside), pytest.approx(after))
    mask = draw(sampling, step)
    assert (mask[:, 0] == 1).all()
    assert mask[:, 1:3].mean().item() == pytest.approx(inside, abs=0.03)
    assert mask[:, 3:].mean().item() == pytest.approx(after, abs=0.03)


def test_each_sequence_and_input_is_drawn_by_itself() -> None:
    mask = draw(Sampling("scheduled", until=100), 50)[:, 3:]
    assert len({tuple(row) for row in mask.tolist()}) == 8


def test_the_same_generator_gives_the_same_mask() -> None:
    sampling = Sampling("scheduled", until=100)
    assert torch.equal(draw(sampling, 50), draw(sampling, 50))
