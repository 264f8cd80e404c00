"""Pieces of the Swin Transformer, Liu et al., ICCV 2021: attention inside windows that shift.

B batch, h, w size of the maps, D their width, n side of a window. Maps are (B, h, w, D).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbench.predictor import Ported

from ._layers import DropPath

Size = tuple[int, int]


class WindowAttention(Ported):
    """Attention inside windows, with a learnt bias for each offset between two places.

    Liu et al. 2021, equation 4.
    """

    index: Tensor

    def __init__(self, width: int, window: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        side = 2 * window - 1
        self.bias = nn.Parameter(torch.empty(side * side, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        alone = {"bias": "a place alone in its window attends to itself, whatever the score"}
        self.dead = alone if window == 1 else {}
        place = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        dy, dx = (place[:, None] - place[None] + window - 1).unbind(dim=2)
        self.register_buffer("index", side * dy + dx, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, windows, places, D) to the same; `mask` is added to the scores of each window."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).transpose(-2, -4).unbind(dim=-3)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        scores = scores + self.bias[self.index].permute(2, 0, 1)  # (B, windows, heads, n², n²)
        if mask is not None:
            scores = scores + mask[:, None]
        attended = scores.softmax(dim=-1) @ v
        return self.project(attended.transpose(-2, -3).flatten(-2))  # type: ignore[no-any-return]


class SwinBlock(nn.Module):
    """A Swin Transformer block (Liu et al. 2021, equation 3) that may join two maps first.

    Args:
        shifted: the windows are moved by half of one, where the maps are larger than one.
        joins: reads a second map, normed by the first one's norm, through a linear layer.
    """

    mask: Tensor | None

    def __init__(
        self,
        width: int,
        size: Size,
        *,
        heads: int,
        window: int,
        shifted: bool,
        joins: bool,
        mlp_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.size = size
        self.window = min(window, *size)
        self.shift = window // 2 if shifted and min(size) > window else 0
        self.norm1 = nn.LayerNorm(width)
        self.join = nn.Linear(2 * width, width) if joins else None
        self.attention = WindowAttention(width, self.window, heads)
        self.norm2 = nn.LayerNorm(width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop_path = DropPath(drop_path)
        mask = self.wrapped() if self.shift else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        attended = self.norm1(x)
        if self.join is not None:
            assert other is not None
            attended = self.join(torch.cat([attended, self.norm1(other)], dim=3))
        attended = attended.roll((-self.shift, -self.shift), dims=(1, 2))
        attended = self.maps(self.attention(self.windows(attended), self.mask))
        attended = attended.roll((self.shift, self.shift), dims=(1, 2))
        # the shortcut is the first map itself, not what the two were joined to
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]

    def windows(self, x: Tensor) -> Tensor:
        """(B, h, w, D) to (B, windows, places, D)."""
        (h, w), n = self.size, self.window
        blocks = x.reshape(len(x), h // n, n, w // n, n, -1)
        return blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def maps(self, x: Tensor) -> Tensor:
        """The inverse of `windows`."""
        (h, w), n = self.size, self.window
        blocks = x.reshape(len(x), h // n, w // n, n, n, -1)
        return blocks.transpose(2, 3).reshape(len(x), h, w, -1)

    def wrapped(self) -> Tensor:
        """(windows, places, places), -100 where the shift brought two distant places together."""
        regions = torch.zeros(1, *self.size, 1)
        regions[:, -self.shift :] += 1
        regions[:, :, -self.shift :] += 2
        of_place = self.windows(regions)[0, :, :, 0]
        return (of_place[:, :, None] != of_place[:, None, :]) * -100.0


class PatchMerging(nn.Module):
    """Halves maps: four neighbours are laid side by side, columns first, and made twice as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, h, w, D = x.shape
        x = x.reshape(B, h // 2, 2, w // 2, 2, D).permute(0, 1, 3, 4, 2, 5)
        return self.reduce(self.norm(x.flatten(3)))  # type: ignore[no-any-return]


class PatchExpanding(nn.Module):
    """Doubles maps: each place becomes four of half the width, rows first, then normed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(width // 2)

    def forward(self, x: Tensor) -> Tensor:
        B, h, w, D = x.shape
        x = self.expand(x).reshape(B, h, w, 2, 2, D // 2).transpose(2, 3)
        return self.norm(x.reshape(B, 2 * h, 2 * w, D // 2))  # type: ignore[no-any-return]
