"""Optimisers that torch does not have, as the sources of older models compute them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Values = dict[str, Any]


class Descent(Optimizer):
    """One update of each parameter from its gradient, with an L2 term, and its own state.

    Args:
        parameters: those to update.
        settings: `lr`, `weight_decay`, and what the update needs.
    """

    def __init__(self, parameters: Iterable[Tensor], **settings: Any) -> None:
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                    self.update(weight, gradient, self.state[weight], group)

    def update(self, weight: Tensor, gradient: Tensor, state: Values, group: Values) -> None:
        """Changes one parameter and its state in place."""
        raise NotImplementedError


class AdamRoot(Descent):
    """Adam with epsilon inside the root: m / sqrt(v + eps), as in MIM and E3D-LSTM."""

    def update(self, weight: Tensor, gradient: Tensor, state: Values, group: Values) -> None:
        (beta1, beta2), rate = group["betas"], group["lr"]
        if not state:
            state.update(step=0, m=torch.zeros_like(weight), v=torch.zeros_like(weight))
        state["step"] += 1
        state["m"].lerp_(gradient, 1 - beta1)
        state["v"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        first, second = (1 - beta ** state["step"] for beta in (beta1, beta2))
        root = self.root(state["v"], second, group["eps"])
        weight.addcdiv_(state["m"], root, value=-rate / first)

    def root(self, v: Tensor, correction: float, eps: float) -> Tensor:
        """What the corrected mean gradient is divided by."""
        return (v / correction + eps).sqrt()


class AdamTensorFlow(AdamRoot):
    """Adam with epsilon added to the uncorrected root, as in `tf.train.AdamOptimizer`."""

    def root(self, v: Tensor, correction: float, eps: float) -> Tensor:
        return (v.sqrt() + eps).div_(math.sqrt(correction))


class RMSPropTensorFlow(Descent):
    """RMSProp as in `tf.train.RMSPropOptimizer`: the mean square starts at 1, eps in the root."""

    def update(self, weight: Tensor, gradient: Tensor, state: Values, group: Values) -> None:
        if not state:
            state.update(v=torch.ones_like(weight), velocity=torch.zeros_like(weight))
        _, decay = group["betas"]
        state["v"].mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        root = (state["v"] + group["eps"]).sqrt()
        state["velocity"].mul_(group["momentum"]).addcdiv_(gradient, root, value=group["lr"])
        weight.sub_(state["velocity"])


class Momentum(Descent):
    """Descent whose steps, learning rate included, add up; FC-LSTM clips their elements."""

    def update(self, weight: Tensor, gradient: Tensor, state: Values, group: Values) -> None:
        if not state:
            state.update(velocity=torch.zeros_like(weight))
        state["velocity"].mul_(group["momentum"]).add_(gradient, alpha=-group["lr"])
        if group["clip_step"] is not None:
            state["velocity"].clamp_(-group["clip_step"], group["clip_step"])
        weight.add_(state["velocity"])
