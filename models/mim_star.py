"""MIM*, Wang et al., CVPR 2019, arXiv:1811.07490: MIM with causal cells and a gradient highway.

The network that the field's tables list as MIM*. It is no longer in the repository: the source is
Yunbo426/MIM's history at c94c3d9, `pred_learn/layers/MIMCausalLSTMCell.py` and the compiled
`mim_pp`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import Recurrent, State, folded
from benchbench.registry import register_model

from ._blocks import BlockNames, Blocks, HalfSteps, Scales
from ._layers import Conv, Init, draw_as_mim, one_width, tensorflow_conv
from .mim import MIMStack, PeepholeLSTM
from .predrnn_pp import CausalLSTMCell, CausalMemory, GradientHighway


class MIMCausalCell(nn.Module):
    """MIM block with the causal LSTM's second half; `state.more` as in `mim.MIMCell`."""

    def __init__(self, hidden: int, conv: Conv, stationary: PeepholeLSTM) -> None:
        super().__init__()
        self.inputs = self.hidden = hidden
        self.stationary = stationary
        self.of_x = conv(hidden, 6 * hidden)
        self.of_h = conv(hidden, 3 * hidden)
        self.causal = CausalMemory(hidden, hidden, conv)

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
    norm: bool = True,
    init: Init = "released",
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """MIM*: a causal LSTM and a gradient highway below, causal MIM blocks above.

    Args:
        hidden: width of each layer, all equal, at least two layers.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels.
        norm: layer norm after each gate convolution.
        init: `released`, MIM's, the one of this variant being unknown; `torch`, PyTorch's default.
    """
    n = one_width(hidden, at_least=2)
    c, h, w = folded(clip, patch)
    conv = tensorflow_conv(kernel, (h, w), norm=norm)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps)
    first = CausalLSTMCell(c, n, n, conv, cell_conv=False)
    above = [MIMCausalCell(n, conv, PeepholeLSTM(n, conv)) for _ in hidden[1:]]
    units = [PeepholeLSTM(n, conv) for _ in hidden[1:]]
    highway = GradientHighway(n, conv)
    head = nn.Conv2d(n, c, 1, bias=conv.bias)
    if init == "released":
        draw_as_mim([first, *above, highway, head], units)
    cells = [wrap(first), *map(wrap, above)]
    return Recurrent(MIMStack(cells, units, head, highway=highway), patch=patch)
