"""The blocks of CMS-LSTM, which fit around any cell: context embedding, expression.

CE and SE follow the released code, czh-98/CMS-LSTM `models/CMSLSTM.py` and `models/basic_blocks.py`
at 6dfcd19, not the paper's text; the departures are named where they occur.

B batch, C hidden width, H height, W width of the maps; s blocks a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Ported
from benchbench.recurrent import Block, Cell, Wrapped

from ._layers import Conv

BlockNames = Annotated[
    Sequence[Literal["ce", "se"]], "blocks of CMS-LSTM around every cell: `ce`, `se`, both or none."
]
Scales = Annotated[Counts, "blocks a side of each scale of SE's attention."]
HalfSteps = Annotated[Count, "half-steps of CE."]

# why the bias of an attention's keys is declared dead
SHIFT = "adds the same to all scores of a query, which the softmax takes away again"


class ContextEmbedding(nn.Module):
    """CE: the input and the hidden state gate each other in turn (paper section 3.1).

    Half-steps share their weights and alternate, x first: x <- 2 s(Q(h)) x, h <- 2 s(R(x)) h. The
    paper's text has 5x5 convolutions with bias and "5 layers" of both updates; the code has the
    cell's kernel, no bias, a layer norm inside the sigmoid and 5 half-steps.
    """

    def __init__(self, inputs: int, hidden: int, conv: Conv, *, steps: int = 5) -> None:
        super().__init__()
        self.of_h = conv(hidden, inputs)
        # a single half-step only refines x
        self.of_x = conv(inputs, hidden) if steps > 1 else None
        self.steps = steps

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        for step in range(self.steps):
            if step % 2 == 0:
                x = 2 * torch.sigmoid(self.of_h(h)) * x
            else:
                assert self.of_x is not None
                h = 2 * torch.sigmoid(self.of_x(x)) * h
        return x, h


class BlockAttention(Ported):
    """Self-attention inside each of s x s blocks; h and m tokens of one block attend jointly.

    Softmax over keys, no 1/sqrt(d). The residual is the code's, paper equation 2 has none. The
    code also registers a scalar `gamma` that it never uses; it is left out here.
    """

    def __init__(self, hidden: int, blocks: int) -> None:
        super().__init__()
        self.dead = {"key.bias": SHIFT}
        self.blocks = blocks
        self.query = nn.Conv2d(hidden, hidden, 1)
        self.key = nn.Conv2d(hidden, hidden, 1)
        self.value = nn.Conv2d(hidden, hidden, 1)

    def forward(self, pair: Tensor) -> Tensor:
        """(B, C, H, 2W), h and m side by side, to the same shape."""
        q, k, v = (self.tokens(conv(pair)) for conv in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return self.maps(attended, pair.shape) + pair

    def tokens(self, pair: Tensor) -> Tensor:
        """(B, C, H, 2W) to (B, s², 2 H/s W/s, C)."""
        B, C, H, W2 = pair.shape
        s = self.blocks
        x = pair.reshape(B, C, s, H // s, 2, s, W2 // 2 // s)
        return x.permute(0, 2, 5, 4, 3, 6, 1).reshape(B, s * s, -1, C)

    def maps(self, tokens: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of `tokens`."""
        B, C, H, W2 = shape
        s = self.blocks
        x = tokens.reshape(B, s, s, 2, H // s, W2 // 2 // s, C)
        return x.permute(0, 6, 1, 4, 3, 2, 5).reshape(B, C, H, W2)


class SpatiotemporalExpression(nn.Module):
    """SE: multi-scale attention over (h, m), then a gated update of both (section 3.2, eqs 2-4).

    The fusing convolution runs on the double-width map, so that h and m touch at the seam, and its
    layer norm spans both; `w_z` is 1x1. All convolutions but the 1x1 are 5x5, whatever the cell's.
    """

    KERNEL = 5

    def __init__(self, hidden: int, *, size: tuple[int, int], scales: Sequence[int]) -> None:
        super().__init__()
        if any(n % s for s in scales for n in size):
            raise Unfit(
                f"se_scales {list(scales)} must each divide the folded frames, "
                f"{size[0]}x{size[1]}; choose a smaller patch or other scales"
            )
        conv = Conv(self.KERNEL, size)
        self.scales = nn.ModuleList(BlockAttention(hidden, s) for s in scales)
        wide = Conv(self.KERNEL, (size[0], 2 * size[1]), bias=True)
        self.fuse = wide(len(scales) * hidden, hidden)
        self.of_pair = nn.Conv2d(2 * hidden, hidden, 1)
        self.of_h = conv(hidden, 3 * hidden)
        self.of_z = conv(hidden, 3 * hidden)
        self.norm_m = conv.layer_norm(hidden)

    def forward(self, h: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        pair = torch.cat([h, m], dim=3)  # (B, C, H, 2W)
        z = self.fuse(torch.cat([scale(pair) for scale in self.scales], dim=1))
        z = self.of_pair(torch.cat(z.chunk(2, dim=3), dim=1))  # (B, C, H, W)
        i, g, o = (self.of_h(h) + self.of_z(z)).chunk(3, dim=1)
        i = torch.sigmoid(i)
        m = self.norm_m((1 - i) * m + i * torch.tanh(g))
        return torch.sigmoid(o) * m, m


@dataclass(frozen=True)
class Blocks:
    """CE before the gates of cells and SE after them, as named: the transplants of Table 3.

    The paper gives no detail of them and no code was released: CE has the host's kernel, its
    refined h (not the stored one) enters the gates, SE takes the host's (h, c), and a second memory
    is left alone.
    """

    names: Sequence[str]
    kernel: int
    size: tuple[int, int]
    se_scales: Sequence[int]
    ce_steps: int
    adapt: Callable[[Block], Block] = lambda block: block
    """Makes of a block of maps one of what the cells hold."""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            names = list(self.names)
            raise Unfit(f"blocks {names} names one twice; each of 'ce', 'se' at most once")

    def __call__(self, cell: Cell) -> Cell:
        """The cell with its blocks."""
        if not self.names:
            return cell
        before = after = None
        if "ce" in self.names:
            conv = Conv(self.kernel, self.size)
            before = self.adapt(
                ContextEmbedding(cell.inputs, cell.hidden, conv, steps=self.ce_steps)
            )
        if "se" in self.names:
            after = self.adapt(
                SpatiotemporalExpression(cell.hidden, size=self.size, scales=self.se_scales)
            )
        return Wrapped(cell, before=before, after=after)
