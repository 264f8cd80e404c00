"""Pieces of the recurrent networks: convolutions, layers one above the other, initialisations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypeVar

import torch
from torch import Tensor, nn

from benchbench.errors import Unfit
from benchbench.recurrent import Cell, PatchOrder, Recurrent, Straight, Zigzag

C = TypeVar("C", bound=Cell)
M = TypeVar("M", bound=nn.Module)

Init = Annotated[
    Literal["released", "torch"],
    "`released`, the weights are drawn as the source draws them; `torch`, as PyTorch does.",
]


@dataclass(frozen=True)
class Conv:
    """Makes the convolutions of one network: same padding, then a layer norm where asked.

    The norm's statistics are over (C, H, W) of each sample. Its affine is of that full shape in
    the torch repositories (`full`), one pair a channel in the TensorFlow ones (`channel`).
    """

    kernel: int
    size: tuple[int, int]
    norm: bool = True
    affine: Literal["full", "channel"] = "full"
    bias: bool = False

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise Unfit(f"kernel must be an odd number, not {self.kernel}")

    def __call__(self, inputs: int, outputs: int) -> nn.Sequential:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        k = self.kernel
        conv = nn.Sequential(nn.Conv2d(inputs, outputs, k, padding=k // 2, bias=self.bias))
        if self.norm:
            conv.append(self.layer_norm(outputs))
        return conv

    def layer_norm(self, channels: int) -> nn.Module:
        """The norm alone, over maps of `channels`."""
        if self.affine == "channel":
            return nn.GroupNorm(1, channels)
        return nn.LayerNorm([channels, *self.size])


# the convolutions of the TensorFlow repositories
tensorflow_conv = partial(Conv, affine="channel", bias=True)


def layers(cell_of: Callable[[int, int], C], inputs: int, hidden: Sequence[int]) -> list[C]:
    """A cell of (inputs, hidden) for each width in `hidden`, each reading the one below."""
    return [cell_of(*widths) for widths in zip((inputs, *hidden[:-1]), hidden, strict=True)]


def one_width(hidden: Sequence[int], *, at_least: int = 1) -> int:
    """The width of all the layers, which share one memory.

    Raises:
        Unfit: widths differ, or the layers are fewer than `at_least`.
    """
    if len(hidden) < at_least:
        raise Unfit(f"hidden {list(hidden)}: there must be at least {at_least} layers")
    if len(set(hidden)) != 1:
        raise Unfit(f"hidden {list(hidden)}: one memory serves all layers, so widths must be equal")
    return hidden[0]


@dataclass(frozen=True)
class Framework:
    """What a source's code has around its cells.

    Args:
        embed: a 1x1 convolution of the folded frame to the first layer's width.
        head_bias: the output convolution has a bias.
        patch_order: how a patch's pixels become channels, see `benchbench.recurrent.fold`.
        first_scored: first predicted frame in the loss.
    """

    embed: bool = False
    head_bias: bool = False
    patch_order: PatchOrder = "thuml"
    first_scored: int = 1

    def inputs(self, c: int, hidden: Sequence[int]) -> int:
        """Width of what the first layer reads, of folded frames of c channels."""
        return hidden[0] if self.embed else c

    def network(
        self,
        cells: Sequence[Cell],
        c: int,
        patch: int,
        wiring: type[Straight] | type[Zigzag] = Straight,
    ) -> Recurrent:
        """The cells with their surroundings."""
        head = nn.Conv2d(cells[-1].hidden, c, 1, bias=self.head_bias)
        embed = nn.Conv2d(c, cells[0].inputs, 1) if self.embed else None
        return Recurrent(
            wiring(cells, head, embed=embed),
            patch=patch,
            patch_order=self.patch_order,
            first_scored=self.first_scored,
        )


# czh-98/CMS-LSTM's, the one of the paper's Table 3; its trainer drops the prediction of frame 1
CMS = Framework(embed=True, head_bias=True, patch_order="cms", first_scored=2)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training, leaves a branch out of whole samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        draws = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device)
        return x * (draws >= self.rate) / (1 - self.rate)


def uniform_(module: nn.Module, bound: Callable[[nn.Conv2d | nn.Conv3d], float]) -> None:
    """Draws kernels uniformly within a bound and zeroes biases, as the TensorFlow sources do."""
    for conv in module.modules():
        if isinstance(conv, (nn.Conv2d, nn.Conv3d)):
            limit = bound(conv)
            nn.init.uniform_(conv.weight, -limit, limit)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)


def glorot(conv: nn.Conv2d | nn.Conv3d) -> float:
    """Bound of TensorFlow's default initialisation."""
    return math.sqrt(6 / (math.prod(conv.kernel_size) * (conv.in_channels + conv.out_channels)))


def drawn_by_torch(module: M) -> M:
    """The module as PyTorch drew it."""
    return module


def drawn_as_predrnn(module: M) -> M:
    """The module, drawn again as in Yunbo426/predrnn-pp: gates within 0.001, glorot for 1x1."""
    uniform_(module, lambda conv: glorot(conv) if conv.kernel_size == (1, 1) else 0.001)
    return module


def draw_as_mim(layers: Sequence[nn.Module], units: Sequence[nn.Module]) -> None:
    """Draws as Yunbo426/MIM: within a bound that ignores the kernel's area, MIM-N within 0.001."""
    for layer in layers:
        uniform_(layer, lambda conv: math.sqrt(6 / (conv.in_channels + conv.out_channels)))
    for unit in units:
        uniform_(unit, lambda _: 0.001)
