"""PredRNN++, Wang et al., ICML 2018, arXiv:1804.06300.

Sources: Yunbo426/predrnn-pp at 40764c5, `layers/CausalLSTMCell.py`, `layers/GradientHighwayUnit.py`
and `nets/predrnn_pp.py`; its state before November 2018, 29d15e9, whose cell does not convolve the
cell state and whose default configuration counts the published 13.237 M parameters; and
chengtan9907/OpenSTL `openstl/models/predrnnpp_model.py` at c74deb5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import Cell, PatchOrder, Recurrent, Stack, State, folded
from benchbench.registry import register_model

from ._blocks import Affine, BlockName, Conv, glorot, uniform_, wrap


class CausalMemory(nn.Module):
    """The second half of a causal LSTM: the new cell drives the second memory (section 4.1).

    The convolved old memory is squashed on its way in, and the output gate ends in tanh; both are
    the code's.
    """

    def __init__(self, hidden: int, memory: int, conv: Conv, *, forget_bias: float) -> None:
        super().__init__()
        self.forget_bias = forget_bias
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
        m = torch.sigmoid(fc + fx + fm + self.forget_bias) * torch.tanh(mm)
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
        self,
        inputs: int,
        hidden: int,
        memory: int,
        conv: Conv,
        *,
        forget_bias: float,
        cell_conv: bool,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        self.of_x = conv(inputs, 7 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.of_c = conv(hidden, 3 * hidden) if cell_conv else None
        self.causal = CausalMemory(hidden, memory, conv, forget_bias=forget_bias)

    def forward(self, x: Tensor, state: State) -> State:
        ix, gx, fx, ox, ix_m, gx_m, fx_m = self.of_x(x).chunk(7, dim=1)
        i, g, f, o = self.of_h(state.h).chunk(4, dim=1)
        if self.of_c is not None:
            ic, gc, fc = self.of_c(state.c).chunk(3, dim=1)
            i, g, f = i + ic, g + gc, f + fc
        c = torch.sigmoid(f + fx + self.forget_bias) * state.c
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


class HighwayStack(Stack):
    """Memory in zigzag, and a gradient highway between the first layer and the second.

    Unlike in `Zigzag`, widths may differ: each cell converts the memory to its own. What is carried
    is the layers' states and the highway's z.
    """

    def __init__(self, cells: Sequence[Cell], highway: GradientHighway, head: nn.Module) -> None:
        super().__init__(cells, head)
        self.highway = highway

    def begin(self, x: Tensor) -> Any:
        states = super().begin(x)
        return states, torch.zeros_like(states[0].h)

    def forward(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        old, z = carry
        m = old[-1].m
        states = []
        for layer, (cell, state) in enumerate(zip(self.cells, old, strict=True)):
            if layer == 1:
                x = z = self.highway(x, z)
            state = cell(x, state._replace(m=m))
            states.append(state)
            x, m = state.h, state.m
        return self.head(x), (states, z)


def released_(module: nn.Module) -> None:
    """The release's initialisation: ±0.001 for the kernels of the gates, glorot for the 1x1."""
    uniform_(module, lambda conv: glorot(conv) if conv.kernel_size == (1, 1) else 0.001)


@register_model("predrnn_pp")
def predrnn_pp(
    clip: Clip,
    *,
    hidden: Counts = (128, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    patch_order: PatchOrder = "thuml",
    norm: bool = True,
    affine: Affine = "channel",
    bias: bool = True,
    forget_bias: float = 1.0,
    cell_conv: bool = True,
    init: Literal["released", "torch"] = "released",
    blocks: Sequence[BlockName] = (),
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """PredRNN++: causal LSTM cells and a gradient highway.

    Args:
        hidden: width of each layer, at least two; the release's default.
        kernel: side of the gates' kernels, the highway's included.
        patch: side of the patches folded into channels.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        norm: layer norm after each gate convolution.
        affine: shape of the norm's affine; `channel` in the release, `full` in OpenSTL.
        bias: biases of all convolutions; the release has them, OpenSTL has none.
        forget_bias: added to both forget gates.
        cell_conv: the old cell takes part in its own gates; false before November 2018, which is
            the published size.
        init: `released`, gate kernels uniform within ±0.001; `torch`, PyTorch's default.
        blocks: 'ce' and 'se' of CMS-LSTM around every cell; no reference exists.
        se_scales: blocks a side of each scale of SE's attention.
        ce_steps: half-steps of CE.
    """
    if len(hidden) < 2:
        raise Unfit(
            f"hidden {list(hidden)}: the gradient highway lies between the first layer and the "
            "second, so there must be at least two"
        )
    c, h, w = folded(clip, patch)
    conv = Conv(kernel, (h, w), norm=norm, affine=affine, bias=bias)
    around = partial(
        wrap, blocks=blocks, kernel=kernel, size=(h, w), se_scales=se_scales, ce_steps=ce_steps
    )
    highway = GradientHighway(hidden[0], conv)
    head = nn.Conv2d(hidden[-1], c, 1, bias=bias)
    cells: list[Cell] = []
    # the highway keeps the first layer's width; the memory arrives from the layer below, and in
    # the first layer from the top one
    inputs = (c, hidden[0], *hidden[1:-1])
    memories = (hidden[-1], *hidden[:-1])
    for width, n, memory in zip(inputs, hidden, memories, strict=True):
        cell = CausalLSTMCell(width, n, memory, conv, forget_bias=forget_bias, cell_conv=cell_conv)
        if init == "released":
            released_(cell)
        cells.append(around(cell, inputs=width))
    if init == "released":
        released_(highway)
        released_(head)
    return Recurrent(HighwayStack(cells, highway, head), patch=patch, patch_order=patch_order)
