"""PredRNN++, Wang et al., ICML 2018, arXiv:1804.06300.

Sources: Yunbo426/predrnn-pp at 40764c5, `layers/CausalLSTMCell.py`, `layers/GradientHighwayUnit.py`
and `nets/predrnn_pp.py`; its state before November 2018, 29d15e9, whose cell does not convolve the
cell state and whose default configuration counts the published 13.237 M parameters; and
chengtan9907/OpenSTL `openstl/models/predrnnpp_model.py` at c74deb5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import Cell, Recurrent, Stack, State, climb, folded
from benchbench.registry import register_model

from ._blocks import BlockNames, Blocks, HalfSteps, Scales
from ._layers import Conv, Init, drawn_as_predrnn, drawn_by_torch, layers, tensorflow_conv


class CausalMemory(nn.Module):
    """The second half of a causal LSTM: the new cell drives the second memory (section 4.1).

    The convolved old memory is squashed on its way in, and the output gate ends in tanh; both are
    the code's.
    """

    def __init__(self, hidden: int, memory: int, conv: Conv) -> None:
        super().__init__()
        self.of_m = conv(memory, 3 * hidden)
        self.of_c = conv(hidden, 4 * hidden)
        self.of_new_m = conv(hidden, hidden)
        self.reduce = nn.Conv2d(2 * hidden, hidden, 1, bias=conv.bias)

    def forward(
        self, c: Tensor, m: Tensor, x: Sequence[Tensor], o: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The new (h, m) from the new c, the old m, x's gates (i, g, f) and the output gate."""
        ix, gx, fx = x
        im, fm, mm = self.of_m(m).chunk(3, dim=1)
        ic, gc, fc, oc = self.of_c(c).chunk(4, dim=1)
        m = torch.sigmoid(fc + fx + fm + 1) * torch.tanh(mm)
        m = m + torch.sigmoid(ic + ix + im) * torch.tanh(gc + gx)
        o = torch.tanh(o + oc + self.of_new_m(m))
        return o * torch.tanh(self.reduce(torch.cat([c, m], dim=1))), m


class CausalLSTMCell(nn.Module):
    """Causal LSTM: first the cell, then from it the second memory. Gates i, g, f, o.

    Args:
        memory: width of the second memory that comes in; it leaves with width `hidden`.
        cell_conv: the old cell takes part in its own gates; absent before November 2018.
    """

    def __init__(
        self, inputs: int, hidden: int, memory: int, conv: Conv, *, cell_conv: bool = True
    ) -> None:
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
        self.of_x = conv(inputs, 7 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.of_c = conv(hidden, 3 * hidden) if cell_conv else None
        self.causal = CausalMemory(hidden, memory, conv)

    def forward(self, x: Tensor, state: State) -> State:
        ix, gx, fx, ox, ix_m, gx_m, fx_m = self.of_x(x).chunk(7, dim=1)
        i, g, f, o = self.of_h(state.h).chunk(4, dim=1)
        if self.of_c is not None:
            ic, gc, fc = self.of_c(state.c).chunk(3, dim=1)
            i, g, f = i + ic, g + gc, f + fc
        c = torch.sigmoid(f + fx + 1) * state.c
        c = c + torch.sigmoid(i + ix) * torch.tanh(g + gx)
        h, m = self.causal(c, state.m, (ix_m, gx_m, fx_m), o + ox)
        return state._replace(h=h, c=c, m=m)


class GradientHighway(nn.Module):
    """Gradient highway unit (section 4.2): z' = s(u) tanh(p) + (1 - s(u)) z."""

    def __init__(self, hidden: int, conv: Conv) -> None:
        super().__init__()
        self.hidden = hidden
        self.of_x = conv(hidden, 2 * hidden)
        self.of_z = conv(hidden, 2 * hidden)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        p, u = (self.of_x(x) + self.of_z(z)).chunk(2, dim=1)
        u = torch.sigmoid(u)
        return u * torch.tanh(p) + (1 - u) * z


class HighwayStack(Stack[tuple[list[State], Tensor]]):
    """Memory in zigzag, and a gradient highway between the first layer and the second.

    Unlike in `Zigzag`, widths may differ: each cell converts the memory to its own. What is carried
    is the layers' states and the highway's z.
    """

    def __init__(self, cells: Sequence[Cell], highway: GradientHighway, head: nn.Module) -> None:
        super().__init__(cells, head)
        self.highway = highway

    def begin(self, x: Tensor) -> tuple[list[State], Tensor]:
        states = self.zeros(x)
        return states, states[0].h

    def forward(
        self, x: Tensor, carry: tuple[list[State], Tensor]
    ) -> tuple[Tensor, tuple[list[State], Tensor]]:
        states, z = carry
        first, *above = self.cells
        state = first(x, states[0]._replace(m=states[-1].m))
        z = self.highway(state.h, z)
        states = [state, *climb(above, z, state.m, states[1:])]
        return self.head(states[-1].h), (states, z)


@register_model("predrnn_pp")
def predrnn_pp(
    clip: Clip,
    *,
    source: Literal["predrnn-pp", "predrnn-pp-2018", "openstl"] = "predrnn-pp",
    hidden: Counts = (128, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    norm: bool = True,
    init: Init = "released",
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """PredRNN++: causal LSTM cells and a gradient highway.

    Args:
        source: whose code: `predrnn-pp`, the release; `predrnn-pp-2018`, the one before November
            2018, whose size is the published one; `openstl`.
        hidden: width of each layer, at least two; the release's default.
        kernel: side of the gates' kernels, the highway's included.
        patch: side of the patches folded into channels.
        norm: layer norm after each gate convolution.
    """
    if len(hidden) < 2:
        raise Unfit(
            f"hidden {list(hidden)}: the highway lies above the first of at least two layers"
        )
    c, h, w = folded(clip, patch)
    conv = (Conv if source == "openstl" else tensorflow_conv)(kernel, (h, w), norm=norm)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps)
    draw = drawn_by_torch if init == "torch" or source == "openstl" else drawn_as_predrnn
    highway = GradientHighway(hidden[0], conv)
    head = nn.Conv2d(hidden[-1], c, 1, bias=conv.bias)
    # the memory arrives from the layer below, and in the first layer from the top one
    memory = iter((hidden[-1], *hidden))
    cell = partial(CausalLSTMCell, conv=conv, cell_conv=source != "predrnn-pp-2018")
    cells = layers(lambda inputs, n: wrap(draw(cell(inputs, n, next(memory)))), c, hidden)
    return Recurrent(HighwayStack(cells, draw(highway), draw(head)), patch=patch)
