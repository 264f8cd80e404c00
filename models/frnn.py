"""FRNN, Oliu et al., ECCV 2018: folded recurrent layers, whose states are also the next inputs.

Source: moliusimon/frnn `network/folded.py`, `network/layer/*`, `model/mmnist/model_frnn.py` at
78f0a80, the authors'.

B batch, T frames, C channels, H height, W width of frames. Frames are in [-1, 1] inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model


class Gates(nn.Module):
    """A GRU's update of one map by another, the update gate weighing what is new."""

    def __init__(self, other: int, width: int, kernel: int) -> None:
        super().__init__()
        sizes = {"kernel_size": kernel, "padding": kernel // 2}
        self.reset = nn.Conv2d(other + width, width, **sizes)  # type: ignore[arg-type]
        self.update = nn.Conv2d(other + width, width, **sizes)  # type: ignore[arg-type]
        self.candidate = nn.Conv2d(other + width, width, **sizes)  # type: ignore[arg-type]

    def forward(self, x: Tensor, s: Tensor, *, back: bool = False) -> Tensor:
        """The next s or, backwards, the next x: of (x, s), whichever it is that moves."""
        both = torch.cat([x, s], dim=1)
        reset, update = torch.sigmoid(self.reset(both)), torch.sigmoid(self.update(both))
        old = x if back else s
        parts = [reset * x, s] if back else [x, reset * s]
        new = torch.tanh(self.candidate(torch.cat(parts, dim=1)))
        return update * new + (1 - update) * old


class Bijective(nn.Module):
    """bGRU (section 3.1): gates that make a state of the input, gates that make the input of it."""

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.up = Gates(inputs, hidden, kernel)
        self.down = Gates(hidden, inputs, kernel)
        self.initial = nn.Parameter(torch.zeros(hidden))

    def begin(self, x: Tensor) -> Tensor:
        """The state before the first frame, for inputs shaped as x."""
        return self.initial.to(x).view(1, -1, 1, 1).expand(len(x), -1, *x.shape[2:])


class Folded(nn.Module):
    """A convolution with tanh, and the same kernel the other way around."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.bias_back = nn.Parameter(torch.zeros(inputs))

    def encode(self, x: Tensor) -> Tensor:
        side = self.weight.shape[-1]
        return torch.tanh(functional.conv2d(x, self.weight, self.bias, padding=side // 2))

    def decode(self, x: Tensor) -> Tensor:
        side = self.weight.shape[-1]
        back = functional.conv_transpose2d(x, self.weight, self.bias_back, padding=side // 2)
        return torch.tanh(back)


class Pool(nn.Module):
    """The largest of 2x2 pixels on the way up, each pixel four times on the way down."""

    def encode(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 2)

    def decode(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode="nearest")


def draw(module: nn.Module) -> None:
    """Draws kernels orthogonal, then scales them to a standard deviation of 2 / sqrt(fans)."""
    for kernel in module.parameters():
        if kernel.ndim == 1:
            nn.init.zeros_(kernel)
            continue
        area = math.prod(kernel.shape[2:])
        fans = area * (kernel.shape[0] + kernel.shape[1])
        nn.init.orthogonal_(kernel)
        with torch.no_grad():
            kernel.mul_(2 / (kernel.std() * math.sqrt(fans)))


class FRNN(Predictor):
    """Reads frames upwards only and predicts downwards only (Figure 2).

    The input of each recurrent layer is the state of the one below, pooled where a pool stands
    between them: what the way down makes of it is that state again, so nothing is encoded anew.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        draw(self)

    @property
    def recurrent(self) -> list[int]:
        """Places of the recurrent layers, the lowest first."""
        return [n for n, layer in enumerate(self.layers) if isinstance(layer, Bijective)]

    def encode(self, frames: Tensor) -> tuple[list[dict[int, Tensor]], dict[int, Tensor]]:
        """Of (B, T, C, H, W) in [-1, 1]: each frame's inputs of the recurrent layers, by place, and
        their states in the end.
        """
        states: dict[int, Tensor] = {}
        steps = []
        for x in frames.unbind(1):
            inputs = {}
            for n, layer in enumerate(self.layers):
                if isinstance(layer, Bijective):
                    inputs[n] = x
                    states[n] = x = layer.up(x, states[n] if n in states else layer.begin(x))
                else:
                    x = layer.encode(x)  # type: ignore[operator]
            steps.append(inputs)
        return steps, states

    def decode(
        self, inputs: dict[int, Tensor], states: dict[int, Tensor], horizon: int
    ) -> tuple[Tensor, list[dict[int, Tensor]]]:
        """The next frames, (B, horizon, C, H, W) in [-1, 1], and the layers' inputs at each."""
        inputs, states = dict(inputs), dict(states)
        top: int = self.recurrent[-1]
        frames, steps = [], []
        for t in range(horizon):
            if t > 0:
                states[top] = self.layers[top].up(inputs[top], states[top])  # type: ignore[operator]
            x = states[top]
            for n, layer in reversed(list(enumerate(self.layers))):
                if isinstance(layer, Bijective):
                    states[n] = x
                    inputs[n] = x = layer.down(inputs[n], x, back=True)
                else:
                    x = layer.decode(x)  # type: ignore[operator]
            frames.append(x)
            steps.append(dict(inputs))
        return torch.stack(frames, dim=1), steps

    def roll(self, context: Tensor, horizon: int) -> Tensor:
        """The next frames in [-1, 1], of a context in [0, 1]."""
        steps, states = self.encode(2 * context - 1)
        frames, _ = self.decode(steps[-1], states, horizon)
        return frames.to(context.dtype)

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return (self.roll(context, horizon) + 1) / 2

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Pixel losses of the predicted frames in [-1, 1], as the source has them."""
        return progress.criterion(self.roll(context, target.shape[1]), 2 * target - 1)


@register_model("frnn")
def frnn(
    clip: Clip,
    *,
    convs: Counts = (32, 64),
    hidden: Counts = (128, 128, 256, 256, 512, 512, 256, 256),
    kernels: Counts = (5, 5, 5, 5, 3, 3, 3, 3),
    levels: Counts = (2, 2, 2, 2),
    kernel: Count = 5,
) -> Predictor:
    """FRNN; the defaults are the authors' for Moving MNIST.

    Args:
        convs: widths of the convolutions at the frames' own size.
        hidden: width of each recurrent layer, the lowest first.
        kernels: side of each recurrent layer's kernels.
        levels: recurrent layers after each pooling, which halves the maps; no tensor shows where
            the pools are.
        kernel: side of the convolutions' kernels.
    """
    if not len(hidden) == len(kernels) == sum(levels):
        raise Unfit(
            f"hidden {list(hidden)}, kernels {list(kernels)} and levels {list(levels)}: a width "
            f"and a kernel for each of the {sum(levels)} layers"
        )
    if any(side % 2 == 0 for side in (kernel, *kernels)):
        raise Unfit(f"kernel and kernels must be odd numbers, not {kernel} and {list(kernels)}")
    if clip.height % 2 ** len(levels) or clip.width % 2 ** len(levels):
        raise Unfit(
            f"frames of {clip.height}x{clip.width} are pooled {len(levels)} times; crop them to "
            f"multiples of {2 ** len(levels)}, or give fewer levels"
        )
    widths = [clip.channels, *convs]
    layers: list[nn.Module] = [Folded(a, b, kernel) for a, b in zip(widths, convs, strict=False)]
    inputs, sizes = widths[-1], iter(zip(hidden, kernels, strict=True))
    for count in levels:
        layers.append(Pool())
        for _ in range(count):
            width, side = next(sizes)
            layers.append(Bijective(inputs, width, side))
            inputs = width
    return FRNN(layers)
