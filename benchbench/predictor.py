"""Predictor: frames in, frames out; and Progress, what a loss may know of training.

B batch, T frames, C channels, H height, W width. Frames are float32 in [0, 1].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchbench.errors import SchemaError, Unfit
from benchbench.sampling import Sampling


class Built(NamedTuple):
    """What a predictor was made of: a registered name, and all the options of its builder."""

    model: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Criterion:
    """The pixel loss: weighted squared and absolute errors, averaged or summed over all elements.

    The field's losses differ in scale only: PredRNN (torch) is `mse=1, reduction="mean"`, CMS-LSTM
    `mse=0.5, reduction="sum"`, its TaxiBJ loss `mse=0.25, l1=0.25, reduction="sum"`, E3D-LSTM
    `mse=0.5, l1=1, reduction="sum"`.
    """

    mse: float = 1.0
    l1: float = 0.0
    reduction: str = "mean"

    def __call__(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Named terms of the loss between two tensors of the same shape.

        Raises:
            Unfit: their shapes differ, even where one would broadcast to the other.
        """
        if prediction.shape != target.shape:
            raise Unfit(
                f"the loss compares a prediction {tuple(prediction.shape)} with true frames "
                f"{tuple(target.shape)}; expected equal shapes"
            )
        error = prediction - target
        reduce = torch.sum if self.reduction == "sum" else torch.mean
        terms: dict[str, Tensor] = {}
        if self.mse:
            terms["mse"] = self.mse * reduce(error.square())
        if self.l1:
            terms["l1"] = self.l1 * reduce(error.abs())
        return terms


@dataclass(frozen=True)
class Progress:
    """Where training stands, for losses that depend on it.

    All random draws of a loss come from `generator`, a CPU generator, so that a resumed run
    repeats them exactly, and so that the second step on the reversed clip sees the same draws.
    """

    step: int
    """Training iterations done before this one."""
    steps: int
    """Training iterations in all."""
    steps_per_epoch: int = 1
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    sampling: Sampling = field(default_factory=lambda: Sampling("none"))
    criterion: Criterion = field(default_factory=Criterion)
    truth: Tensor | None = None
    """A mask to use instead of a drawn one, (B, horizon - 1) for the inputs after the context or
    (B, context + horizon - 1) for all; 1 feeds the true frame. For replays of recorded steps."""

    def mask(self, batch: int, context: int, horizon: int) -> Tensor:
        """(batch, context + horizon - 1): which inputs of a training roll-out are true frames.

        Raises:
            SchemaError: a forced mask has another shape.
        """
        if self.truth is None:
            return self.sampling.mask(self.step, batch, context, horizon, self.generator)
        inputs = context + horizon - 1
        if self.truth.shape == (batch, inputs):
            return self.truth
        if self.truth.shape != (batch, horizon - 1):
            raise SchemaError(
                f"truth: expected a mask of {batch}x{horizon - 1} or {batch}x{inputs}, "
                f"not {'x'.join(map(str, self.truth.shape))}"
            )
        return torch.cat([self.truth.new_ones(batch, context), self.truth], dim=1)

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch


class Ported(nn.Module):
    """A module with parameters that no gradient can change, there because the original has them."""

    dead: Mapping[str, str]
    """Why, by their names in the module."""


class Predictor(nn.Module, ABC):
    """Reads context frames and predicts the ones that follow.

    `forward` never sees the frames it predicts; whatever needs them in training is in `losses`.
    """

    looks_back: ClassVar[bool] = False
    """It takes clips with frames of other times in their context; others decline them."""

    built_as: Built | None = None
    """None for predictors that `registry.build_model` did not make."""
    cost: str = ""
    """What makes predicting slow, in words for the plan: `4,096 passes a frame, …`."""

    def dead_parameters(self) -> dict[str, str]:
        """Why no gradient can change them, by the names of the `dead` parameters of modules."""
        return {
            f"{prefix}.{name}".lstrip("."): why
            for prefix, module in self.named_modules()
            if isinstance(module, Ported)
            for name, why in module.dead.items()
        }

    @abstractmethod
    def forward(self, context: Tensor, horizon: int) -> Tensor:
        """The next `horizon` frames, (B, horizon, C, H, W), from (B, context, C, H, W)."""

    @abstractmethod
    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Named terms whose sum is minimised, from (B, context, …) and (B, horizon, …) frames."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context of forward passes at a precision, the same in training, validation and test.

    Raises:
        SchemaError: another precision.
    """
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    if precision != "fp32":
        raise SchemaError(f"precision: expected fp32 or bf16, not '{precision}'")
    return nullcontext()


def require_frames(prediction: Any, shape: Sequence[int], precision: str) -> None:
    """Refuses what is not predicted frames of a shape.

    Raises:
        Unfit: the message says what `forward` gave and what it should have given.
    """
    expected = f"expected frames {tuple(shape)} (B, horizon, C, H, W)"
    if not isinstance(prediction, Tensor):
        raise Unfit(f"forward gave {type(prediction).__name__}; {expected}, one tensor")
    if prediction.shape != torch.Size(shape):
        raise Unfit(f"forward gave frames {tuple(prediction.shape)}; {expected}")
    dtypes = (torch.float32,) if precision == "fp32" else (torch.float32, torch.bfloat16)
    if prediction.dtype not in dtypes:
        raise Unfit(f"forward gave frames of {prediction.dtype}; expected torch.float32")
