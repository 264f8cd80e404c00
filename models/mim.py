"""Memory in Memory (MIM), Wang et al., CVPR 2019, arXiv:1811.07490.

Sources: Yunbo426/MIM at a61eb6a, `src/models/mim.py` and `src/layers/MIMBlock.py`, `MIMN.py`; and
chengtan9907/OpenSTL `openstl/models/mim_model.py` at c74deb5. What the tables of the field list as
MIM* is in `mim_star.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import Cell, PatchOrder, Recurrent, Stack, State, folded
from benchbench.registry import register_model

from ._blocks import Affine, BlockName, Conv, uniform_, wrap
from .predrnn import SharedGatesCell, SpatiotemporalLSTMCell
from .predrnn_pp import GradientHighway


class PeepholeLSTM(nn.Module):
    """The LSTM inside MIM-N and MIM-S: gates i, g, f, o, each position with its own peepholes.

    i and f look at the old cell, o at the new one (equations 2 and 3, released code).
    """

    def __init__(
        self,
        hidden: int,
        conv: Conv,
        *,
        forget_bias: float,
        peephole_init: Literal["glorot", "zero"],
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        self.of_x = conv(hidden, 4 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.i_f_peephole = self.peephole(2 * hidden, conv.size, peephole_init)
        self.o_peephole = self.peephole(hidden, conv.size, peephole_init)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The new (h, c)."""
        i, g, f, o = (self.of_x(x) + self.of_h(h)).chunk(4, dim=1)
        ic, fc = self.i_f_peephole.chunk(2, dim=0)
        f = torch.sigmoid(f + fc * c + self.forget_bias)
        c = f * c + torch.sigmoid(i + ic * c) * torch.tanh(g)
        return torch.sigmoid(o + self.o_peephole * c) * torch.tanh(c), c

    @staticmethod
    def peephole(channels: int, size: tuple[int, int], init: str) -> nn.Parameter:
        """(channels, H, W) of zeros, or as TensorFlow draws its [H, W, channels] tensor."""
        H, W = size
        weight = torch.zeros(channels, H, W)
        if init == "glorot":
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
        self, hidden: int, conv: Conv, stationary: PeepholeLSTM, *, forget_bias: float, detach: bool
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
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
        m = torch.sigmoid(fx + fm + self.forget_bias) * state.m
        m = m + torch.sigmoid(ix + im) * torch.tanh(gx + gm)
        c, s = self.stationary(d, state.c, s.detach() if self.detach else s)
        c = c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        h = torch.sigmoid(ox + oh + om) * torch.tanh(self.reduce(torch.cat([c, m], dim=1)))
        return State(h, c, m, (s,))


class Carry(NamedTuple):
    """What `MIMStack` carries: states of the layers and of the MIM-N, the last signal and z."""

    states: list[State]
    differences: list[tuple[Tensor, Tensor]]
    signal: Tensor | None
    z: Tensor


class MIMStack(Stack):
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
        states = super().begin(x)
        zeros = states[0].h
        # only the layers above the first carry MIM-S's cell
        states = states[:1] + [state._replace(more=(zeros,)) for state in states[1:]]
        return Carry(states, [(zeros, zeros) for _ in self.units], None, zeros)

    def forward(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        first, *above = self.cells
        state = first(x, carry.states[0]._replace(m=carry.states[-1].m))
        signal, z = state.h, carry.z
        if self.highway is not None:
            signal = z = self.highway(signal, z)
        differences = self.differences(signal, carry)
        states = [state]
        x, m = signal, state.m
        for cell, state, (d, _) in zip(above, carry.states[1:], differences, strict=True):
            state = cell(x, state._replace(m=m, more=(*state.more, d)))
            states.append(state)
            x, m = state.h, state.m
        return self.head(x), Carry(states, differences, signal, z)

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


def released_(module: nn.Module) -> None:
    """The release's initialisation: a glorot bound that ignores the kernel's area."""
    uniform_(module, lambda conv: math.sqrt(6 / (conv.in_channels + conv.out_channels)))


def one_width(hidden: Sequence[int]) -> int:
    """The width of all the layers.

    Raises:
        Unfit: widths differ, or there is no layer above the first.
    """
    if len(hidden) < 2 or len(set(hidden)) != 1:
        raise Unfit(
            f"hidden {list(hidden)}: MIM blocks lie above the first layer and share its memory, so "
            "there must be at least two layers, of equal width"
        )
    return hidden[0]


@register_model("mim")
def mim(
    clip: Clip,
    *,
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    patch_order: PatchOrder = "thuml",
    norm: bool = True,
    affine: Affine = "channel",
    bias: bool = True,
    forget_bias: float = 1.0,
    first: Literal["tf2018", "thuml"] = "tf2018",
    init: Literal["released", "torch"] = "released",
    peephole_init: Literal["glorot", "zero"] = "glorot",
    detach: bool = False,
    blocks: Sequence[BlockName] = (),
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """MIM: an ST-LSTM below, MIM blocks above it.

    Args:
        hidden: width of each layer, all equal, at least two layers.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels; 4 in the paper, 1 is the release's default.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        norm: layer norm after each gate convolution; off in OpenSTL's configuration.
        affine: shape of the norm's affine; `channel` in the release, `full` in OpenSTL.
        bias: biases of all convolutions; the release has them, OpenSTL has none.
        forget_bias: added to all forget gates.
        first: cell of the first layer, a variant of `predrnn`; the release's shares the gates of x,
            OpenSTL has the torch repository's.
        init: `released`, ±sqrt(6 / (in + out)) whatever the kernel, ±0.001 in MIM-N; `torch`,
            PyTorch's default.
        peephole_init: `glorot` in the release, `zero` in OpenSTL.
        detach: cut the gradient of MIM-S's own cell at every step, as OpenSTL does.
        blocks: 'ce' and 'se' of CMS-LSTM around every cell; no reference exists.
        se_scales: blocks a side of each scale of SE's attention.
        ce_steps: half-steps of CE.
    """
    n = one_width(hidden)
    c, h, w = folded(clip, patch)
    conv = Conv(kernel, (h, w), norm=norm, affine=affine, bias=bias)
    around = partial(
        wrap, blocks=blocks, kernel=kernel, size=(h, w), se_scales=se_scales, ce_steps=ce_steps
    )
    peephole = partial(PeepholeLSTM, n, conv, forget_bias=forget_bias, peephole_init=peephole_init)
    lowest = SharedGatesCell if first == "tf2018" else SpatiotemporalLSTMCell
    below = lowest(c, n, conv, forget_bias=forget_bias)
    above = [
        MIMCell(n, conv, peephole(), forget_bias=forget_bias, detach=detach) for _ in hidden[1:]
    ]
    units = [peephole() for _ in hidden[1:]]
    head = nn.Conv2d(n, c, 1, bias=bias)
    if init == "released":
        initialise([below, *above], units, head)
    cells = [around(below, inputs=c), *(around(cell, inputs=n) for cell in above)]
    return Recurrent(MIMStack(cells, units, head), patch=patch, patch_order=patch_order)


def initialise(cells: Sequence[nn.Module], units: Sequence[PeepholeLSTM], head: nn.Module) -> None:
    """The release's initialisation of a whole network."""
    for module in (*cells, head):
        released_(module)
    for unit in units:
        uniform_(unit, lambda _: 0.001)
