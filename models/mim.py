"""Memory in Memory (MIM), Wang et al., CVPR 2019, arXiv:1811.07490.

Sources: Yunbo426/MIM at a61eb6a, `src/models/mim.py` and `src/layers/MIMBlock.py`, `MIMN.py`; and
chengtan9907/OpenSTL `openstl/models/mim_model.py` at c74deb5. What the tables of the field list as
MIM* is in `mim_star.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import Cell, Recurrent, Stack, State, climb, folded
from benchbench.registry import register_model

from ._blocks import BlockNames, Blocks, HalfSteps, Scales
from ._layers import Conv, Init, draw_as_mim, one_width, tensorflow_conv
from .predrnn import SharedGatesCell, SpatiotemporalLSTMCell
from .predrnn_pp import GradientHighway


class PeepholeLSTM(nn.Module):
    """The LSTM inside MIM-N and MIM-S: gates i, g, f, o, each position with its own peepholes.

    i and f look at the old cell, o at the new one (released code).

    Args:
        zeros: the peepholes start at zero, OpenSTL's, and not as TensorFlow draws them.
    """

    def __init__(self, hidden: int, conv: Conv, *, zeros: bool = False) -> None:
        super().__init__()
        self.of_x = conv(hidden, 4 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.i_f_peephole = peephole(2 * hidden, conv.size, zeros=zeros)
        self.o_peephole = peephole(hidden, conv.size, zeros=zeros)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The new (h, c)."""
        i, g, f, o = (self.of_x(x) + self.of_h(h)).chunk(4, dim=1)
        ic, fc = self.i_f_peephole.chunk(2, dim=0)
        f = torch.sigmoid(f + fc * c + 1)
        c = f * c + torch.sigmoid(i + ic * c) * torch.tanh(g)  # eq. 2 in MIM-N, eq. 3 in MIM-S
        return torch.sigmoid(o + self.o_peephole * c) * torch.tanh(c), c


def peephole(channels: int, size: tuple[int, int], *, zeros: bool) -> nn.Parameter:
    """(channels, H, W) of zeros, or as TensorFlow draws its [H, W, channels] tensor."""
    H, W = size
    weight = torch.zeros(channels, H, W)
    if not zeros:
        limit = math.sqrt(6 / (H * (W + channels)))
        nn.init.uniform_(weight, -limit, limit)
    return nn.Parameter(weight)


class MIMCell(nn.Module):
    """MIM block (Figure 3): an ST-LSTM whose forget gate is the network MIM-S.

    Reads `state.more` = (s, d): MIM-S's own cell and this step's output of MIM-N; returns (s',).
    MIM-S takes d as its input and the block's old cell as its hidden state.

    Args:
        detach: cut the gradient of s at every step, as OpenSTL does.
    """

    def __init__(
        self, hidden: int, conv: Conv, stationary: PeepholeLSTM, *, detach: bool = False
    ) -> None:
        super().__init__()
        self.inputs = self.hidden = hidden
        self.detach = detach
        self.stationary = stationary
        self.of_x = conv(hidden, 4 * hidden)
        self.of_h = conv(hidden, 3 * hidden)
        self.of_m = conv(hidden, 4 * hidden)
        self.reduce = nn.Conv2d(2 * hidden, hidden, 1, bias=conv.bias)

    def forward(self, x: Tensor, state: State) -> State:
        s, d = state.more
        ix, gx, fx, ox = self.of_x(x).chunk(4, dim=1)
        ih, gh, oh = self.of_h(state.h).chunk(3, dim=1)
        im, gm, fm, om = self.of_m(state.m).chunk(4, dim=1)
        m = torch.sigmoid(fx + fm + 1) * state.m
        m = m + torch.sigmoid(ix + im) * torch.tanh(gx + gm)
        c, s = self.stationary(d, state.c, s.detach() if self.detach else s)
        c = c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)  # eq. 1
        h = torch.sigmoid(ox + oh + om) * torch.tanh(self.reduce(torch.cat([c, m], dim=1)))
        return State(h, c, m, (s,))


class Carry(NamedTuple):
    """What `MIMStack` carries: states of the layers and of the MIM-N, the last signal and z."""

    states: list[State]
    differences: list[tuple[Tensor, Tensor]]
    signal: Tensor | None
    z: Tensor


class MIMStack(Stack[Carry]):
    """One memory in zigzag, and beside it a chain of MIM-N over the first layer's differences.

    The signal that is differenced is the first layer's output, or the highway's where there is one
    (MIM*). At the first step there is no difference: the MIM-N rest and the blocks see zeros.

    Args:
        units: the MIM-N, one for each layer above the first.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        units: Sequence[PeepholeLSTM],
        head: nn.Module,
        *,
        highway: GradientHighway | None = None,
    ) -> None:
        super().__init__(cells, head)
        self.units = nn.ModuleList(units)
        self.highway = highway

    def begin(self, x: Tensor) -> Carry:
        first, *above = self.zeros(x)
        zeros = first.h
        # only the layers above the first carry MIM-S's cell
        states = [first, *(state._replace(more=(zeros,)) for state in above)]
        return Carry(states, [(zeros, zeros) for _ in above], None, zeros)

    def forward(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        first, *above = self.cells
        state = first(x, carry.states[0]._replace(m=carry.states[-1].m))
        signal, z = state.h, carry.z
        if self.highway is not None:
            signal = z = self.highway(signal, z)
        differences = self.differences(signal, carry)
        states = [
            old._replace(more=(*old.more, d))
            for old, (d, _) in zip(carry.states[1:], differences, strict=True)
        ]
        states = [state, *climb(above, signal, state.m, states)]
        return self.head(states[-1].h), Carry(states, differences, signal, z)

    def differences(self, signal: Tensor, carry: Carry) -> list[tuple[Tensor, Tensor]]:
        """The MIM-N's new (h, c), each fed the one below, the lowest the signal's difference."""
        if carry.signal is None:
            return carry.differences
        x = signal - carry.signal
        stepped = []
        for unit, (h, c) in zip(self.units, carry.differences, strict=True):
            x, c = unit(x, h, c)
            stepped.append((x, c))
        return stepped


@register_model("mim")
def mim(
    clip: Clip,
    *,
    source: Literal["mim", "openstl"] = "mim",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    norm: bool = True,
    init: Init = "released",
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """MIM: an ST-LSTM below, MIM blocks above it.

    Args:
        source: whose code: `mim`, the release; `openstl`, whose first layer is the torch
            repository's ST-LSTM and which cuts the gradient of MIM-S's cell at every step.
        hidden: width of each layer, all equal, at least two layers.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels; 4 in the paper, 1 is the release's default.
        norm: layer norm after each gate convolution; off in OpenSTL's configuration.
    """
    n = one_width(hidden, at_least=2)
    openstl = source == "openstl"
    c, h, w = folded(clip, patch)
    conv = (Conv if openstl else tensorflow_conv)(kernel, (h, w), norm=norm)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps)
    inner = partial(PeepholeLSTM, n, conv, zeros=openstl)
    first = (SpatiotemporalLSTMCell if openstl else SharedGatesCell)(c, n, conv)
    above = [MIMCell(n, conv, inner(), detach=openstl) for _ in hidden[1:]]
    units = [inner() for _ in hidden[1:]]
    head = nn.Conv2d(n, c, 1, bias=conv.bias)
    if init == "released" and not openstl:
        draw_as_mim([first, *above, head], units)
    cells = [wrap(first), *map(wrap, above)]
    return Recurrent(MIMStack(cells, units, head), patch=patch)
