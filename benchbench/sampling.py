"""Scheduled sampling: which inputs of a training roll-out are true frames.

A schedule turns the training step into a probability, a mask is drawn with it: (B, inputs), 1 where
the true frame is fed and 0 where the predictor's own last output is. Input 0 is always true.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Sampling:
    """How true frames give way to the predictor's own in training.

    `none`: free-running, as at test time.

    `scheduled` (Bengio et al. 2015; PredRNN, CMS-LSTM): after the context the true frame is fed
    with a probability that falls linearly from `start` to 0 at step `until`.

    `reverse` (PredRNN-v2, Wang et al. 2021; thuml/predrnn-pytorch `run.py`): inside the context as
    well the true frame is fed with a probability, 0.5 up to `until / 2`, then
    `1 - 0.5 exp(-(step - until / 2) / alpha)`, and 1 from `until` on; after the context it is 0.5,
    then falls linearly to 0 between `until / 2` and `until`.
    """

    kind: Literal["none", "scheduled", "reverse"]
    until: Annotated[int, Field(strict=True, ge=1, lt=2**31)] = 50_000
    """Step from which no true frame after the context is fed."""
    start: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0
    """Probability at step 0, `scheduled` only."""
    alpha: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 2_500.0
    """Time constant of the rise inside the context, `reverse` only."""

    def probabilities(self, step: int) -> tuple[float, float]:
        """Probability of feeding a true frame (inside the context, after it) at a step."""
        if self.kind == "none":
            return 1.0, 0.0
        if self.kind == "scheduled":
            return 1.0, max(0.0, self.start * (1 - step / self.until))
        half = self.until / 2
        if step < half:
            return 0.5, 0.5
        if step >= self.until:
            return 1.0, 0.0
        inside = 1 - 0.5 * math.exp(-(step - half) / self.alpha)
        return inside, 0.5 * (1 - (step - half) / (self.until - half))

    def mask(
        self, step: int, batch: int, context: int, horizon: int, generator: torch.Generator
    ) -> Tensor:
        """(batch, context + horizon - 1) of 0. and 1., on the CPU; a draw an input and sequence."""
        import torch

        inside, after = self.probabilities(step)
        chance = torch.full((context + horizon - 1,), after)
        chance[:context] = inside
        chance[0] = 1.0
        draws = torch.rand(batch, context + horizon - 1, generator=generator)
        return (draws < chance).float()
