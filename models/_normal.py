"""Normal distributions that a network gives, and their evidence."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Normal(NamedTuple):
    """A normal distribution of each element."""

    mu: Tensor
    sigma: Tensor

    def log_density(self, x: Tensor) -> Tensor:
        """Logarithm of the density at x, summed over all elements."""
        z = (x - self.mu) / self.sigma
        return -(z.square() / 2 + self.sigma.log() + math.log(2 * math.pi) / 2).sum()


class Gaussian(nn.Module):
    """A posterior from hidden units: a mean, and a deviation through softplus."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.mu = nn.Linear(hidden, outputs)
        self.sigma = nn.Linear(hidden, outputs)

    def forward(self, hidden: Tensor) -> Normal:
        return posterior(self.mu(hidden), self.sigma(hidden))


def posterior(mu: Tensor, sigma: Tensor) -> Normal:
    """With a deviation through softplus, and in the precision that poses need under autocast."""
    mu, sigma = (x if x.dtype == torch.float64 else x.float() for x in (mu, sigma))
    return Normal(mu, F.softplus(sigma))


def excess(posterior: Normal, prior: Normal, sample: Tensor) -> Tensor:
    """How much likelier a sample is under its posterior than under the prior, in nats."""
    mu, sigma = (x.expand_as(sample) for x in prior)
    return posterior.log_density(sample) - Normal(mu, sigma).log_density(sample)
