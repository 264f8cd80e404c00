"""CrevNet's autoencoder: a network that is inverted exactly, over frames or over clips of them.

After the i-RevNet of Jacobsen et al., ICLR 2018. B batch, D channels, H height, W width; maps have
the frames of a clip between D and H where a clip has several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Space:
    """Makes the layers of one network, over single frames or over clips of several."""

    window: int
    """Frames of a clip."""

    def conv(
        self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, bias: bool = True
    ) -> nn.Module:
        """Same padding; the stride is of height and width."""
        if self.window == 1:
            return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
        strides = (1, stride, stride)
        return nn.Conv3d(inputs, outputs, kernel, stride=strides, padding=kernel // 2, bias=bias)

    def norm(self, width: int) -> nn.Module:
        """Each source's own: of a sample in 2-D, of a batch in 3-D."""
        return nn.GroupNorm(1, width) if self.window == 1 else nn.BatchNorm3d(width)

    def attention(self, width: int) -> nn.Sequential:
        """What gives the logits of a layer's gate of its two streams."""
        if self.window > 1:  # the upload has this much
            return nn.Sequential(self.conv(width, width, 1))
        return nn.Sequential(
            self.conv(width, width, 1),
            self.norm(width),
            nn.ReLU(),
            self.conv(width, width),
            self.norm(width),
            nn.ReLU(),
            self.conv(width, width, 1),
        )


def squeeze(x: Tensor) -> Tensor:
    """Space to depth by 2, (B, D, …, H, W) to (B, 4 D, …, H/2, W/2).

    Channel (2 dy + dx) D + d: not the order of `torch.nn.PixelUnshuffle`.
    """
    *outer, H, W = x.shape
    blocks = x.reshape(*outer, H // 2, 2, W // 2, 2)  # B, D, …, h, dy, w, dx
    return blocks.movedim((-3, -1), (1, 2)).flatten(1, 3)


def spread(x: Tensor) -> Tensor:
    """Depth to space, the inverse of `squeeze`."""
    B, D, *inner = x.shape
    blocks = x.reshape(B, 2, 2, D // 4, *inner).movedim((1, 2), (-3, -1))
    return blocks.flatten(-2).flatten(-3, -2)


class Block(nn.Module):
    """One reversible step, (x, y) to (y, x + F(y)), both squeezed where the stride is 2."""

    def __init__(
        self,
        space: Space,
        widths: tuple[int, int],
        middle: int,
        *,
        stride: int,
        first: bool,
    ) -> None:
        super().__init__()
        self.stride = stride
        inputs, outputs = widths
        self.norm_0 = None if first else space.norm(inputs)
        self.conv_1 = space.conv(inputs, middle, stride=stride, bias=False)
        self.norm_1 = space.norm(middle)
        self.conv_2 = space.conv(middle, middle, bias=False)
        self.norm_2 = space.norm(middle)
        self.conv_3 = space.conv(middle, outputs, bias=False)

    def residual(self, y: Tensor) -> Tensor:
        """F, which need not be invertible."""
        if self.norm_0 is not None:
            y = torch.relu(self.norm_0(y))
        y = torch.relu(self.norm_1(self.conv_1(y)))
        y = torch.relu(self.norm_2(self.conv_2(y)))
        return self.conv_3(y)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, y: Tensor) -> Pair:
        residual = self.residual(y)
        if self.stride == 2:
            x, y = squeeze(x), squeeze(y)
        return y, x + residual

    def inverse(self, y: Tensor, z: Tensor) -> Pair:
        """What `forward` made y and z of."""
        if self.stride == 2:
            y = spread(y)
        x = z - self.residual(y)
        return (spread(x) if self.stride == 2 else x), y


class Autoencoder(nn.Module):
    """Frames (B, C, …) to a pair of latent maps and, the same layers backwards, to frames.

    Args:
        width: channels of each of the pair.
    """

    def __init__(self, blocks: Sequence[Block], width: int) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Pair:
        pair: Pair = tuple(squeeze(x).chunk(2, dim=1))  # type: ignore[assignment]
        for block in self.blocks:
            pair = block(*pair)
        return pair

    def inverse(self, pair: Pair) -> Tensor:
        """The frames that have this pair."""
        for block in reversed(self.blocks):
            pair = block.inverse(*pair)  # type: ignore[operator]
        return spread(torch.cat(pair, dim=1))


def stacked(
    space: Space, channels: int, stages: Sequence[int], strides: Sequence[int], bottleneck: int
) -> Autoencoder:
    """An autoencoder of so many blocks a stage, the first one of each with the stage's stride."""
    blocks: list[Block] = []
    width = 2 * channels  # of each half of the squeezed frame
    for count, first in zip(stages, strides, strict=True):
        for n in range(count):
            stride = first if n == 0 else 1
            widths = (width, width * stride**2)
            middle = max(1, widths[1] // bottleneck)
            blocks.append(Block(space, widths, middle, stride=stride, first=not blocks))
            width = widths[1]
    return Autoencoder(blocks, width)
