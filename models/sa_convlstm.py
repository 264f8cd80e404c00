"""SA-ConvLSTM, Lin et al., AAAI 2020: ConvLSTM with a self-attention memory.

No official code exists. By default the paper's equations in the framework of CMS-LSTM, the same
laboratory's; the network of jerrywn121/TianChi_AIEarth `SAConvLSTM/sa_convlstm.py` and the cell of
CaiCandong/sa_convLSTM `model/sa_convlstm/SAConvLSTM.py` are further sources.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Ported, Predictor
from benchbench.recurrent import Cell, State, folded
from benchbench.registry import register_model

from ._blocks import SHIFT, BlockNames, Blocks, HalfSteps, Scales
from ._layers import CMS, Conv, Framework, layers
from .convlstm import ConvLSTMCell

Source = Literal["czh-98", "jerrywn121", "caicandong"]


class SelfAttentionMemory(Ported):
    """SAM (section 3.3): h attends to itself and to m with one query, and both are gated.

    Softmax over keys.

    Args:
        attention: width of queries and keys; `scaled` divides the scores by its root.
        mixed: width of Z, the mixture of what both attentions gave.
        kernel: side of the gates' kernel.
    """

    def __init__(
        self, hidden: int, *, attention: int, values: int, mixed: int, kernel: int, scaled: bool
    ) -> None:
        super().__init__()
        self.dead = dict.fromkeys(("key.bias", "memory_key.bias"), SHIFT)
        self.scale = attention**-0.5 if scaled else 1.0
        self.query = nn.Conv2d(hidden, attention, 1)
        self.key = nn.Conv2d(hidden, attention, 1)
        self.value = nn.Conv2d(hidden, values, 1)
        self.memory_key = nn.Conv2d(hidden, attention, 1)
        self.memory_value = nn.Conv2d(hidden, values, 1)
        self.mix = nn.Conv2d(2 * values, mixed, 1)
        self.gates = nn.Conv2d(mixed + hidden, 3 * hidden, kernel, padding=kernel // 2)

    def forward(self, h: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        query = self.query(h)
        of_h = self.attend(query, self.key(h), self.value(h))
        of_m = self.attend(query, self.memory_key(m), self.memory_value(m))
        z = self.mix(torch.cat([of_h, of_m], dim=1))
        i, g, o = self.gates(torch.cat([z, h], dim=1)).chunk(3, dim=1)
        i = torch.sigmoid(i)
        m = (1 - i) * m + i * torch.tanh(g)
        return torch.sigmoid(o) * m, m

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, d, H, W) three times to (B, values, H, W)."""
        q, k, v = (x.flatten(2).transpose(1, 2) for x in (query, key, value))  # (B, HW, d)
        attended = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return attended.transpose(1, 2).reshape(value.shape)


class FusedConvLSTMCell(Ported):
    """ConvLSTM with one convolution of [x; h], with bias; gates i, f, g, o.

    Args:
        norm: each gate's channel is normed by itself, as CaiCandong's GroupNorm of 4C groups does.
    """

    def __init__(
        self, inputs: int, hidden: int, kernel: int | tuple[int, int], *, norm: bool
    ) -> None:
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
        self.of_xh = nn.Sequential(nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding="same"))
        if norm:
            self.of_xh.append(nn.GroupNorm(4 * hidden, 4 * hidden))
        why = "the norm of each channel takes it away again"
        self.dead = {"of_xh.0.bias": why} if norm else {}

    def forward(self, x: Tensor, state: State) -> State:
        i, f, g, o = self.of_xh(torch.cat([x, state.h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        return state._replace(h=torch.sigmoid(o) * torch.tanh(c), c=c)


class SelfAttentionCell(nn.Module):
    """A ConvLSTM step, then the memory; the memory's h goes up and to the next step, c stays."""

    def __init__(self, step: Cell, memory: SelfAttentionMemory) -> None:
        super().__init__()
        self.inputs, self.hidden = step.inputs, step.hidden
        self.step = step
        self.memory = memory

    def forward(self, x: Tensor, state: State) -> State:
        state = self.step(x, state)
        h, m = self.memory(state.h, state.m)
        return state._replace(h=h, m=m)


def cell_of(
    source: Source, inputs: int, hidden: int, conv: Conv, attention: int | None, scaled: bool | None
) -> SelfAttentionCell:
    """One layer as a source has it."""
    d = hidden if attention is None else attention
    step: Cell
    if source == "czh-98":
        step = ConvLSTMCell(inputs, hidden, conv, forget_bias=1, norm_cell=True)
    else:
        step = FusedConvLSTMCell(inputs, hidden, conv.kernel, norm=source == "caicandong")
    values, mixed, kernel = {
        "czh-98": (hidden, hidden, conv.kernel),
        "jerrywn121": (d, d, conv.kernel),
        "caicandong": (hidden, 2 * hidden, 1),
    }[source]
    memory = SelfAttentionMemory(
        hidden,
        attention=d,
        values=values,
        mixed=mixed,
        kernel=kernel,
        scaled=source == "jerrywn121" if scaled is None else scaled,
    )
    return SelfAttentionCell(step, memory)


@register_model("sa_convlstm")
def sa_convlstm(
    clip: Clip,
    *,
    source: Source = "czh-98",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 3,
    patch: Count = 4,
    attention: Count | None = None,
    scaled: bool | None = None,
    norm: bool | None = None,
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """SA-ConvLSTM; no official code exists, the defaults are the paper's equations.

    Args:
        source: whose code: `czh-98`, the paper's equations in the framework of CMS-LSTM;
            `jerrywn121`, one gate convolution of [x; h], values and Z of the attention's width;
            `caicandong`, the same with a norm of each channel, a wider Z, 1x1 gates of the memory.
        hidden: width of each layer.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels.
        attention: width of queries and keys; None: the layer's.
        scaled: divide the scores by the root of that width; None: only in `jerrywn121`.
        norm: layer norm after each gate convolution of `czh-98`; the others have no choice.
    """
    cms = source == "czh-98"
    if not cms and norm is not None:
        raise Unfit(f"norm: source '{source}' leaves no choice of norms; leave it out")
    around = CMS if cms else Framework(head_bias=True)
    c, h, w = folded(clip, patch)
    conv = Conv(kernel, (h, w), norm=norm is not False)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps)
    cells = layers(
        lambda inputs, n: wrap(cell_of(source, inputs, n, conv, attention, scaled)),
        around.inputs(c, hidden),
        hidden,
    )
    return around.network(cells, c, patch)
