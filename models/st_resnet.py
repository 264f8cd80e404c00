"""ST-ResNet, J. Zhang et al., AAAI 2017: residual networks of the last hours, days and weeks.

Source: DeepST `models/STResNet.py`, `TaxiBJ/exptTaxiBJ.py` at 60f0e10 (TensorFlow), a network of
one step; here it predicts further ones by reading its own frames.

B batch, T frames, C channels, H height, W width of frames; inside, values are in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Depth
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model


def glorot(*shape: int) -> nn.Parameter:
    """A kernel or matrix, uniform as in Glorot and Bengio (2010)."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))


class Branches(nn.Module):
    """A residual network for each kind of frames, fused by a weight for each pixel (section 3).

    A network is a 3x3 convolution, `units` times x + conv(relu(conv(relu(x)))), and a convolution
    of relu(x) to a frame. The parameters stand in the order in which the source makes them, as its
    names count them: kernels of what is read, of what a ReLU gave, and biases, each through all the
    branches.

    Args:
        depths: channels of the frames that each branch reads, stacked.
    """

    def __init__(self, clip: Clip, depths: Sequence[int], *, width: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.inner = 2 * units + 1
        channels = clip.channels
        self.read = nn.ParameterList(glorot(width, depth, 3, 3) for depth in depths)
        outputs = [*[width] * (2 * units), channels] * len(depths)
        self.kernels = nn.ParameterList(glorot(n, width, 3, 3) for n in outputs)
        widths = [*[width] * self.inner, channels] * len(depths)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in widths)
        size = (channels, clip.height, clip.width)
        # each named for the last bias of its branch, as in the source
        self.last = [(n + 1) * (self.inner + 1) - 1 for n in range(len(depths))]
        size = (channels, clip.height, clip.width)
        self.fusion = nn.ParameterDict({str(n): torch.rand(size) for n in self.last})

    def forward(self, stacks: Sequence[Tensor]) -> Tensor:
        """(B, depth, H, W) of each branch to (B, C, H, W)."""
        maps = [self.fusion[str(n)] * self.branch(i, stacks[i]) for i, n in enumerate(self.last)]
        return torch.stack(maps).sum(dim=0)

    def branch(self, n: int, x: Tensor) -> Tensor:
        """(B, depth, H, W) to (B, C, H, W)."""
        kernels = iter(list(self.kernels)[n * self.inner :])
        biases = iter(list(self.biases)[n * (self.inner + 1) :])
        x = F.conv2d(x, self.read[n], next(biases), padding=1)

        def conv(x: Tensor) -> Tensor:
            return F.conv2d(torch.relu(x), next(kernels), next(biases), padding=1)

        for _ in range(self.units):
            x = x + conv(conv(x))
        return conv(x)


class Factors(nn.Module):
    """External factors to a frame, through `hidden` units (section 3.3)."""

    def __init__(self, clip: Clip, *, hidden: int) -> None:
        super().__init__()
        self.size = (clip.height, clip.width, clip.channels)
        pixels = math.prod(self.size)
        self.embed = nn.Linear(clip.factors, hidden)
        self.spread = nn.Linear(hidden, pixels)
        for layer in (self.embed, self.spread):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, factors: Tensor) -> Tensor:
        """(B, factors) to (B, C, H, W)."""
        pixels = torch.relu(self.spread(torch.relu(self.embed(factors))))
        return pixels.view(-1, *self.size).permute(0, 3, 1, 2)


class STResNet(Predictor):
    """One step of the network, repeated.

    Args:
        closeness: how many of the last frames it reads.
    """

    looks_back: ClassVar[bool] = True

    def __init__(
        self, clip: Clip, branches: Branches, factors: Factors | None, *, closeness: int
    ) -> None:
        super().__init__()
        self.clip = clip
        self.branches = branches
        self.factors = factors
        self.closeness = closeness

    def step(self, stacks: Sequence[Tensor], factors: Tensor | None) -> Tensor:
        """The next frame, (B, C, H, W), from the frames of each branch, stacked; in [-1, 1]."""
        maps = self.branches(stacks)
        if self.factors is not None:
            maps = maps + self.factors(factors)
        return torch.tanh(maps)

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return (self.roll(context, horizon).to(context.dtype) + 1) / 2

    def roll(self, context: Tensor, horizon: int, target: Tensor | None = None) -> Tensor:
        """Predictions in [-1, 1] of (B, horizon, C, H, W), own frames read, or those of `target`.

        Raises:
            Unfit: there are no frames of other times for so many.
        """
        if self.clip.aside and horizon > self.clip.horizon:
            raise Unfit(
                f"the frames of other days and weeks reach for a horizon of {self.clip.horizon}, "
                f"not {horizon}"
            )
        recent = list((2 * context[:, -self.closeness :] - 1).unbind(1))
        predictions = []
        for t in range(horizon):
            factors, others = self.others(context, t)
            newest_first = torch.cat(recent[: -self.closeness - 1 : -1], dim=1)
            predictions.append(self.step([newest_first, *others], factors))
            recent.append(predictions[-1] if target is None else 2 * target[:, t] - 1)
        return torch.stack(predictions, dim=1)

    def others(self, context: Tensor, t: int) -> tuple[Tensor | None, list[Tensor]]:
        """Factors of predicted frame t, and the frames of days and of weeks before it, stacked."""
        clip = self.clip
        frames = context[:, t * clip.aside : (t + 1) * clip.aside]
        factors = frames[:, 0].flatten(1)[:, : clip.factors] if clip.factors else None
        frames = 2 * frames[:, bool(clip.factors) :] - 1
        weeks, days = frames[:, : clip.trend], frames[:, clip.trend :]
        # the nearest first, as the source stacks them
        return factors, [kind.flip(1).flatten(1, 2) for kind in (days, weeks) if kind.shape[1]]

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Of single steps from true frames, as the source trains, in its range [-1, 1]."""
        rolled = self.roll(context, target.shape[1], target).to(target.dtype)
        return progress.criterion(rolled, 2 * target - 1)


@register_model("st_resnet")
def st_resnet(
    clip: Clip,
    *,
    closeness: Count | None = None,
    units: Depth = 4,
    width: Count = 64,
    factor_width: Count = 10,
) -> Predictor:
    """ST-ResNet; the defaults are those of the source's experiment on TaxiBJ.

    Frames of days and weeks before and external factors are read where the dataset gives them, as
    `taxibj` with the options `period`, `trend` and `factors` does; else the last frames alone.

    Args:
        closeness: how many of the last frames are read, 3 in the source; null: all there are.
        units: residual units of each branch; 4 in the source, 12 in the paper.
        width: of their maps.
        factor_width: units between the external factors and the frame.
    """
    closeness = clip.recent if closeness is None else closeness
    if closeness > clip.recent:
        raise Unfit(
            f"closeness is {closeness} frames, and the context has {clip.recent}; choose no more "
            "than that, or a dataset with a longer context"
        )
    depths = [frames * clip.channels for frames in (closeness, clip.period, clip.trend) if frames]
    branches = Branches(clip, depths, width=width, units=units)
    factors = Factors(clip, hidden=factor_width) if clip.factors else None
    return STResNet(clip, branches, factors, closeness=closeness)
