"""Encoders of frames into codes, and decoders: DCGAN's and VGG's convolutions.

After the networks of Denton and Fergus, ICML 2018, which several papers take. B batch, n frames, C
channels, H height, W width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchbench.predictor import Ported

Size = tuple[int, int]


class Layer(nn.Sequential, Ported):
    """Convolution, batch norm, leaky ReLU."""

    def __init__(self, conv: nn.Module, width: int, *, act: bool = True) -> None:
        super().__init__(conv, nn.BatchNorm2d(width), *([nn.LeakyReLU(0.2)] if act else []))
        self.dead = {"0.bias": "a shift, which the norm of the batch takes away again"}


def conv3(inputs: int, outputs: int) -> Layer:
    return Layer(nn.Conv2d(inputs, outputs, 3, padding=1), outputs)


def halving(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def doubling(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


class Encoder(nn.Module):
    """Frames laid over each other as channels to a code, and the maps of each stage."""

    def __init__(self, stages: Sequence[nn.Module], code: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.code = code

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, n, C, H, W) to (B, code), and maps, the smallest last."""
        x, maps = frames.flatten(1, 2), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.code(x).flatten(1), maps


class Decoder(nn.Module):
    """A code to a frame, the encoder's stages backwards.

    Args:
        skip: each stage reads the encoder's maps of its size as well.
    """

    def __init__(
        self, first: nn.Module, stages: Sequence[nn.Module], last: nn.Module, *, sigmoid: bool
    ) -> None:
        super().__init__()
        self.first = first
        self.stages = nn.ModuleList(stages)
        self.last = last
        self.sigmoid = sigmoid

    def forward(self, code: Tensor, maps: Sequence[Tensor] | None) -> Tensor:
        x = self.first(code[..., None, None])
        for n, stage in enumerate([*self.stages, self.last]):
            if maps is not None:
                x = torch.cat([x, maps[-1 - n]], dim=1)
            x = stage(x)
        return torch.sigmoid(x) if self.sigmoid else x


@dataclass(frozen=True)
class DCGAN:
    """Makes networks that halve the maps at each of four convolutions (Radford et al. 2016)."""

    width: int
    size: Size
    reduction = 16

    def encoder(self, inputs: int, code: int) -> Encoder:
        w, (h, v) = self.width, self.size
        first = nn.Sequential(nn.Sequential(halving(inputs, w), nn.LeakyReLU(0.2)))
        rest = [nn.Sequential(Layer(halving(n, 2 * n), 2 * n)) for n in (w, 2 * w, 4 * w)]
        linear = nn.Linear(8 * w * h * v, code)
        return Encoder([first, *rest], nn.Sequential(nn.Flatten(), nn.Sequential(linear)))

    def decoder(self, code: int, channels: int, *, skip: bool, sigmoid: bool) -> Decoder:
        w, times = self.width, 1 + skip
        first = Layer(nn.ConvTranspose2d(code, 8 * w, self.size), 8 * w)
        stages = [nn.Sequential(Layer(doubling(times * 2 * n, n), n)) for n in (4 * w, 2 * w, w)]
        return Decoder(first, stages, doubling(times * w, channels), sigmoid=sigmoid)


@dataclass(frozen=True)
class VGG:
    """Makes networks of stages of 3x3 convolutions, three of them halved (Simonyan et al. 2015)."""

    width: int
    size: Size
    reduction = 8

    def encoder(self, inputs: int, code: int) -> Encoder:
        w = self.width
        stages = [nn.Sequential(conv3(inputs, w), conv3(w, w))]
        for n, count in ((2 * w, 2), (4 * w, 3), (8 * w, 3)):
            more = [conv3(n, n) for _ in range(count - 1)]
            stages.append(nn.Sequential(nn.MaxPool2d(2), conv3(n // 2, n), *more))
        last = Layer(nn.Conv2d(8 * w, code, self.size), code, act=False)
        return Encoder(stages, nn.Sequential(nn.Identity(), last))

    def decoder(self, code: int, channels: int, *, skip: bool, sigmoid: bool) -> Decoder:
        w, times = self.width, 1 + skip
        first = Layer(nn.ConvTranspose2d(code, 8 * w, self.size), 8 * w)
        stages = []
        for n, count in ((8 * w, 3), (4 * w, 3), (2 * w, 2)):
            widths = [times * n, *[n] * (count - 1), n // 2]
            convs = [conv3(a, b) for a, b in itertools.pairwise(widths)]
            stages.append(nn.Sequential(*convs, nn.Upsample(scale_factor=2)))
        last = nn.Sequential(conv3(times * w, w), nn.ConvTranspose2d(w, channels, 3, padding=1))
        return Decoder(first, stages, last, sigmoid=sigmoid)
