"""SA-ConvLSTM, Lin et al., AAAI 2020: ConvLSTM with a self-attention memory.

No official code exists. By default the paper's equations in the framework of CMS-LSTM, the same
laboratory's; the network of jerrywn121/TianChi_AIEarth `SAConvLSTM/sa_convlstm.py` and the cell of
CaiCandong/sa_convLSTM `model/sa_convlstm/SAConvLSTM.py` are variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import Cell, PatchOrder, Recurrent, Stack, State, folded
from benchbench.registry import register_model

from ._blocks import SHIFT, BlockName, Conv, wrap
from .convlstm import ConvLSTMCell

Variant = Literal["cms", "jerrywn121", "caicandong"]


@dataclass(frozen=True)
class Widths:
    """Channels inside the self-attention memory, and the side of its gates' kernel."""

    attention: int
    """Of queries and keys."""
    values: int
    mixed: int
    """Of Z, the mixture of what both attentions gave."""
    kernel: int


class SelfAttentionMemory(nn.Module):
    """SAM (section 3.3): h attends to itself and to m with one query, and both are gated.

    Softmax over keys; the score is not divided by sqrt(d) unless `scaled`.
    """

    dead: ClassVar[dict[str, str]] = dict.fromkeys(("key.bias", "memory_key.bias"), SHIFT)

    def __init__(self, hidden: int, widths: Widths, *, scaled: bool) -> None:
        super().__init__()
        d, v, k = widths.attention, widths.values, widths.kernel
        self.scale = d**-0.5 if scaled else 1.0
        self.query = nn.Conv2d(hidden, d, 1)
        self.key = nn.Conv2d(hidden, d, 1)
        self.value = nn.Conv2d(hidden, v, 1)
        self.memory_key = nn.Conv2d(hidden, d, 1)
        self.memory_value = nn.Conv2d(hidden, v, 1)
        self.mix = nn.Conv2d(2 * v, widths.mixed, 1)
        self.gates = nn.Conv2d(widths.mixed + hidden, 3 * hidden, k, padding=k // 2)

    def forward(self, h: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        query = self.query(h)
        z = self.mix(
            torch.cat(
                [
                    self.attend(query, self.key(h), self.value(h)),
                    self.attend(query, self.memory_key(m), self.memory_value(m)),
                ],
                dim=1,
            )
        )
        i, g, o = self.gates(torch.cat([z, h], dim=1)).chunk(3, dim=1)
        i = torch.sigmoid(i)
        m = (1 - i) * m + i * torch.tanh(g)
        return torch.sigmoid(o) * m, m

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, d, H, W) three times to (B, values, H, W)."""
        q, k, v = (x.flatten(2).transpose(1, 2) for x in (query, key, value))  # (B, HW, d)
        attended = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return attended.transpose(1, 2).reshape(value.shape)


class FusedConvLSTMCell(nn.Module):
    """ConvLSTM with one convolution of [x; h], with bias; gates i, f, g, o.

    Args:
        norm: each gate's channel is normed by itself, as CaiCandong's GroupNorm of 4C groups does.
    """

    def __init__(
        self, inputs: int, hidden: int, *, kernel: int, forget_bias: float, norm: bool
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        layers: list[nn.Module] = [
            nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)
        ]
        if norm:
            layers.append(nn.GroupNorm(4 * hidden, 4 * hidden))
            self.dead = {"of_xh.0.bias": "the norm of each channel takes it away again"}
        self.of_xh = nn.Sequential(*layers)

    def forward(self, x: Tensor, state: State) -> State:
        i, f, g, o = self.of_xh(torch.cat([x, state.h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f + self.forget_bias) * state.c + torch.sigmoid(i) * torch.tanh(g)
        return state._replace(h=torch.sigmoid(o) * torch.tanh(c), c=c)


class SelfAttentionCell(nn.Module):
    """A ConvLSTM step, then the memory; the memory's h goes up and to the next step, c stays."""

    def __init__(self, step: Cell, memory: SelfAttentionMemory) -> None:
        super().__init__()
        self.hidden = step.hidden
        self.step = step
        self.memory = memory

    def forward(self, x: Tensor, state: State) -> State:
        state = self.step(x, state)
        h, m = self.memory(state.h, state.m)
        return state._replace(h=h, m=m)


def memory_widths(variant: Variant, hidden: int, attention: int | None, kernel: int) -> Widths:
    """What the variants disagree on inside the memory."""
    d = hidden if attention is None else attention
    if d < 1:
        raise Unfit(f"attention must be at least 1, not {d}")
    if variant == "jerrywn121":
        return Widths(d, d, d, kernel)
    if variant == "caicandong":
        return Widths(d, hidden, 2 * hidden, 1)
    return Widths(d, hidden, hidden, kernel)


@register_model("sa_convlstm")
def sa_convlstm(
    clip: Clip,
    *,
    variant: Variant = "cms",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 3,
    patch: Count = 4,
    patch_order: PatchOrder = "cms",
    attention: int | None = None,
    scaled: bool = False,
    norm: bool | None = None,
    norm_cell: bool | None = None,
    forget_bias: float = 1.0,
    embed: bool = True,
    head_bias: bool = True,
    first_scored: int = 2,
    blocks: Sequence[BlockName] = (),
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """SA-ConvLSTM; no official code exists, the defaults are the paper's equations.

    Args:
        variant: `cms`, the paper's equations in the framework of CMS-LSTM; `jerrywn121`, one gate
            convolution of [x; h], values and Z of the attention's width; `caicandong`, the same
            with a norm of each channel, Z of twice the width and 1x1 gates of the memory.
        hidden: width of each layer.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        attention: width of queries and keys; None: the layer's.
        scaled: divide the scores by the square root of that width, as jerrywn121 does and the paper
            does not.
        norm: layer norm after each gate convolution; None: yes for cms. The others have no choice.
        norm_cell: layer norm of the new cell; None: yes for cms. The others have none.
        forget_bias: added to the forget gate; 1 in CMS-LSTM, 0 in the public repositories.
        embed: 1x1 convolution of the folded frame to hidden[0]; CMS-LSTM only.
        head_bias: bias of the output convolution.
        first_scored: first predicted frame in the loss, see `convlstm`.
        blocks: 'ce' and 'se' of CMS-LSTM around every cell, SE after the memory; no reference
            exists.
        se_scales: blocks a side of each scale of SE's attention.
        ce_steps: half-steps of CE.
    """
    c, h, w = folded(clip, patch)
    each_channel = variant == "caicandong"
    if variant != "cms" and (norm_cell or norm not in (None, each_channel)):
        has = "a norm of each channel" if each_channel else "no norm"
        raise Unfit(f"norm: variant '{variant}' has {has} and no 'norm_cell'; leave both out")
    conv = Conv(kernel, (h, w), norm=norm is not False)
    around = partial(
        wrap, blocks=blocks, kernel=kernel, size=(h, w), se_scales=se_scales, ce_steps=ce_steps
    )
    cells = []
    width = hidden[0] if embed else c
    for n in hidden:
        step: Cell
        if variant == "cms":
            normed = norm_cell is not False
            step = ConvLSTMCell(width, n, conv, forget_bias=forget_bias, norm_cell=normed)
        else:
            step = FusedConvLSTMCell(
                width, n, kernel=kernel, forget_bias=forget_bias, norm=each_channel
            )
        widths = memory_widths(variant, n, attention, kernel)
        cell = SelfAttentionCell(step, SelfAttentionMemory(n, widths, scaled=scaled))
        cells.append(around(cell, inputs=width))
        width = n
    stack = Stack(
        cells,
        nn.Conv2d(width, c, 1, bias=head_bias),
        embed=nn.Conv2d(c, hidden[0], 1) if embed else None,
    )
    return Recurrent(stack, patch=patch, patch_order=patch_order, first_scored=first_scored)
