"""SimVP v2, Tan et al., 2022, arXiv:2211.12509: SimVP with gated spatiotemporal attention, gSTA.

Source: chengtan9907/OpenSTL `openstl/models/simvp_model.py`, `openstl/modules/simvp_modules.py` at
c74deb5, the authors' own; model type gSTA.

B batch, D channels of all frames together (frames times width), h, w size of the maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Depth, Fraction
from benchbench.predictor import Predictor
from benchbench.registry import register_model

from ._layers import DropPath
from .simvp import DecoderKernel, EncoderKernel, Layers, SimVP, Width, shell

TranslatorWidth = Annotated[Count, "channels of all frames' maps in the translator, hid_T."]
TranslatorDepth = Annotated[Depth, "blocks of the translator, N_T."]
MLPRatio = Annotated[
    float, Field(gt=0, le=100), "hidden channels of a block's MLP for each of its own."
]
LastRate = Annotated[
    Fraction, "stochastic depth of the last block, 0.1 on TaxiBJ; the first one's is 0.01."
]


class LargeKernel(nn.Module):
    """A 21x21 depthwise kernel in two: 5x5, then 7x7 three pixels apart (Guo et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.far = nn.Conv2d(width, width, 7, padding=9, dilation=3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.far(self.near(x))  # type: ignore[no-any-return]


class SpatiotemporalGate(nn.Module):
    """gSTA's gate: one half of the large kernel's channels opens the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.large = LargeKernel(width)
        self.mix = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.mix(self.large(x)).chunk(2, dim=1)
        return torch.sigmoid(gate) * values  # type: ignore[no-any-return]


class Attention(nn.Module):
    """A gate between two 1x1 convolutions, with a shortcut of its own."""

    def __init__(self, width: int, gate: nn.Module) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, width, 1)
        self.gate = gate
        self.leave = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.leave(self.gate(F.gelu(self.enter(x))))  # type: ignore[no-any-return]


class ConvMLP(nn.Module):
    """An MLP of every pixel whose hidden layer looks at its 8 neighbours."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(width, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(F.gelu(self.depthwise(self.widen(x))))  # type: ignore[no-any-return]


class MetaBlock(nn.Module):
    """Attention, then an MLP, each normed before, scaled after and beside a shortcut.

    Args:
        attention: of maps of `width` channels.
        mlp_ratio: hidden channels of the MLP for each of the block's.
        drop_path: how often a sample leaves each of the two out, in training.
    """

    def __init__(
        self, width: int, attention: nn.Module, *, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.attention_norm = nn.BatchNorm2d(width)
        self.attention = attention
        self.attention_scale = nn.Parameter(torch.full((width,), 0.01))
        self.mlp_norm = nn.BatchNorm2d(width)
        self.mlp = ConvMLP(width, int(width * mlp_ratio))
        self.mlp_scale = nn.Parameter(torch.full((width,), 0.01))
        self.drop_path = DropPath(drop_path)
        fan_out_normal_(self.mlp)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.attention_scale[:, None, None]
        x = x + self.drop_path(scale * self.attention(self.attention_norm(x)))
        scale = self.mlp_scale[:, None, None]
        return x + self.drop_path(scale * self.mlp(self.mlp_norm(x)))  # type: ignore[no-any-return]


def fan_out_normal_(module: nn.Module) -> None:
    """Draws kernels from a normal distribution of variance 2 / fan-out, and zeroes biases."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            fan_out = math.prod(conv.kernel_size) * conv.out_channels // conv.groups
            nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)


class MetaTranslator(nn.Module):
    """Meta-blocks one after the other, on the channels of all frames together.

    A 1x1 convolution follows where the width changes: into `width` after the first block, out of it
    after the last.

    Args:
        attention: makes one block's, of a width.
        drop_path: rate of the last block. The first has 0.01 whatever it is, the ones between lie
            on the line: with 0 all but the last still leave some samples out, as in the source.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        depth: int,
        attention: Callable[[int], nn.Module],
        *,
        mlp_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise Unfit(f"translator_depth must be at least 2, not {depth}")
        if int(min(channels, width) * mlp_ratio) < 1:
            raise Unfit(f"mlp_ratio {mlp_ratio} leaves a block no hidden channels")
        reads = [channels] + [width] * (depth - 1)
        gives = [width] * (depth - 1) + [channels]
        rates = torch.linspace(0.01, drop_path, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            MetaBlock(n, attention(n), mlp_ratio=mlp_ratio, drop_path=rate)
            for n, rate in zip(reads, rates, strict=True)
        )
        self.resize = nn.ModuleList(
            nn.Conv2d(n, out, 1) if n != out else nn.Identity()
            for n, out in zip(reads, gives, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block, resize in zip(self.blocks, self.resize, strict=True):
            x = resize(block(x))
        return x


def gated(width: int) -> Attention:
    """gSTA's attention."""
    attention = Attention(width, SpatiotemporalGate(width))
    fan_out_normal_(attention)
    return attention


@register_model("simvp_v2")
def simvp_v2(
    clip: Clip,
    *,
    width: Width = 64,
    depth: Layers = 4,
    encoder_kernel: EncoderKernel = 3,
    decoder_kernel: DecoderKernel = 3,
    translator_width: TranslatorWidth = 512,
    translator_depth: TranslatorDepth = 8,
    mlp_ratio: MLPRatio = 8.0,
    drop_path: LastRate = 0.0,
) -> Predictor:
    """SimVP with gated spatiotemporal attention; the defaults are OpenSTL's for Moving MNIST."""
    encoder, decoder = shell(
        clip,
        source="openstl",
        width=width,
        depth=depth,
        encoder_kernel=encoder_kernel,
        decoder_kernel=decoder_kernel,
    )
    translator = MetaTranslator(
        clip.context * width,
        translator_width,
        translator_depth,
        gated,
        mlp_ratio=mlp_ratio,
        drop_path=drop_path,
    )
    return SimVP(encoder, translator, decoder)
