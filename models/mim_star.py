"""MIM*, Wang et al., CVPR 2019, arXiv:1811.07490: MIM with causal cells and a gradient highway.

The network that the field's tables list as MIM*. It is no longer in the repository: the source is
Yunbo426/MIM's history at c94c3d9, `pred_learn/layers/MIMCausalLSTMCell.py` and the compiled
`mim_pp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import PatchOrder, Recurrent, State, folded
from benchbench.registry import register_model

from ._blocks import Affine, BlockName, Conv, wrap
from .mim import MIMStack, PeepholeLSTM, initialise, one_width
from .predrnn_pp import CausalLSTMCell, CausalMemory, GradientHighway


class MIMCausalCell(nn.Module):
    """MIM block with the causal LSTM's second half; `state.more` as in `mim.MIMCell`."""

    def __init__(
        self, hidden: int, conv: Conv, stationary: PeepholeLSTM, *, forget_bias: float
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.stationary = stationary
        self.of_x = conv(hidden, 6 * hidden)
        self.of_h = conv(hidden, 3 * hidden)
        self.causal = CausalMemory(hidden, hidden, conv, forget_bias=forget_bias)

    def forward(self, x: Tensor, state: State) -> State:
        s, d = state.more
        ix, gx, ox, *second = self.of_x(x).chunk(6, dim=1)
        ih, gh, oh = self.of_h(state.h).chunk(3, dim=1)
        c, s = self.stationary(d, state.c, s)
        c = c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        h, m = self.causal(c, state.m, second, ox + oh)
        return State(h, c, m, (s,))


@register_model("mim_star")
def mim_star(
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
    init: Literal["released", "torch"] = "released",
    blocks: Sequence[BlockName] = (),
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """MIM*: a causal LSTM and a gradient highway below, causal MIM blocks above.

    Args:
        hidden: width of each layer, all equal, at least two layers.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        norm: layer norm after each gate convolution.
        affine: shape of the norm's affine; `channel` in the release.
        bias: biases of all convolutions.
        forget_bias: added to all forget gates.
        init: `released`, MIM's, the one of this variant being unknown; `torch`, PyTorch's default.
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
    peephole = partial(PeepholeLSTM, n, conv, forget_bias=forget_bias, peephole_init="glorot")
    below = CausalLSTMCell(c, n, n, conv, forget_bias=forget_bias, cell_conv=False)
    above = [MIMCausalCell(n, conv, peephole(), forget_bias=forget_bias) for _ in hidden[1:]]
    units = [peephole() for _ in hidden[1:]]
    highway = GradientHighway(n, conv)
    head = nn.Conv2d(n, c, 1, bias=bias)
    if init == "released":
        initialise([below, *above, highway], units, head)
    cells = [around(below, inputs=c), *(around(cell, inputs=n) for cell in above)]
    stack = MIMStack(cells, units, head, highway=highway)
    return Recurrent(stack, patch=patch, patch_order=patch_order)
