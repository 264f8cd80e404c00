"""PredRNN, Wang et al., NeurIPS 2017.

Sources: thuml/predrnn-pytorch `core/layers/SpatioTemporalLSTMCell.py` and `core/models/predrnn.py`
at 49d3b0f, which OpenSTL has too, and the authors' first TensorFlow release, Yunbo426/predrnn-pp at
659110a, `nets/predrnn.py`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import State, Zigzag, folded
from benchbench.registry import register_model

from ._blocks import BlockNames, Blocks, HalfSteps, Scales
from ._layers import (
    CMS,
    Conv,
    Framework,
    Init,
    drawn_as_predrnn,
    drawn_by_torch,
    layers,
    one_width,
    tensorflow_conv,
)


class SpatiotemporalLSTMCell(nn.Module):
    """ST-LSTM (paper equation 3, released code): seven gates of x, four of h, three of m.

    The output gate sees the new c and m through a convolution, which the paper's text lacks. What
    the step adds to c and to m is in the state's `more`, for PredRNN-V2's loss.
    """

    def __init__(self, inputs: int, hidden: int, conv: Conv) -> None:
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
        self.of_x = conv(inputs, 7 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.of_m = conv(hidden, 3 * hidden)
        self.of_cm = conv(2 * hidden, hidden)
        self.reduce = nn.Conv2d(2 * hidden, hidden, 1, bias=conv.bias)

    def forward(self, x: Tensor, state: State) -> State:
        ix, fx, gx, ix_m, fx_m, gx_m, ox = self.of_x(x).chunk(7, dim=1)
        ih, fh, gh, oh = self.of_h(state.h).chunk(4, dim=1)
        im, fm, gm = self.of_m(state.m).chunk(3, dim=1)
        delta_c = torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        c = torch.sigmoid(fx + fh + 1) * state.c + delta_c  # eq. 3
        delta_m = torch.sigmoid(ix_m + im) * torch.tanh(gx_m + gm)
        m = torch.sigmoid(fx_m + fm + 1) * state.m + delta_m  # eq. 3, the primed gates
        cm = torch.cat([c, m], dim=1)
        h = torch.sigmoid(ox + oh + self.of_cm(cm)) * torch.tanh(self.reduce(cm))
        return State(h, c, m, more=(delta_c, delta_m))


class SharedGatesCell(nn.Module):
    """ST-LSTM of the first TensorFlow release: both memories share the four gates of x.

    Gate order i, g, f, o; the output gate does not see the new memories.
    """

    def __init__(self, inputs: int, hidden: int, conv: Conv) -> None:
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
        self.of_x = conv(inputs, 4 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.of_m = conv(hidden, 4 * hidden)
        self.reduce = nn.Conv2d(2 * hidden, hidden, 1, bias=conv.bias)

    def forward(self, x: Tensor, state: State) -> State:
        ix, gx, fx, ox = self.of_x(x).chunk(4, dim=1)
        ih, gh, fh, oh = self.of_h(state.h).chunk(4, dim=1)
        im, gm, fm, om = self.of_m(state.m).chunk(4, dim=1)
        f = torch.sigmoid(fx + fh + 1)
        c = f * state.c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        f = torch.sigmoid(fx + fm + 1)
        m = f * state.m + torch.sigmoid(ix + im) * torch.tanh(gx + gm)
        h = torch.sigmoid(ox + oh + om) * torch.tanh(self.reduce(torch.cat([c, m], dim=1)))
        return State(h, c, m)


@register_model("predrnn")
def predrnn(
    clip: Clip,
    *,
    source: Literal["thuml", "openstl", "predrnn-pp", "czh-98"] = "thuml",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    norm: bool = True,
    init: Init = "released",
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """PredRNN: ST-LSTM cells, one memory zig-zagging through them.

    Args:
        source: whose code: `thuml`, the official torch cell, and `openstl` alike; `predrnn-pp`, the
            first release's with shared gates of x, whose size is the published one (3 x 4.600 M
            + 1); `czh-98`, the torch cell in CMS-LSTM's framework.
        hidden: width of each layer, all equal; 64 in the paper, 128 in the torch script.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels; 4 on Moving MNIST, 2 on TaxiBJ.
        norm: layer norm after each gate convolution; off in the torch repository's script.
    """
    one_width(hidden)
    tensorflow = source == "predrnn-pp"
    around = CMS if source == "czh-98" else Framework(head_bias=tensorflow)
    c, h, w = folded(clip, patch)
    conv = (tensorflow_conv if tensorflow else Conv)(kernel, (h, w), norm=norm)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps)

    cell = SharedGatesCell if tensorflow else SpatiotemporalLSTMCell
    draw = drawn_as_predrnn if tensorflow and init == "released" else drawn_by_torch
    cells = layers(
        lambda inputs, n: wrap(draw(cell(inputs, n, conv))), around.inputs(c, hidden), hidden
    )
    network = around.network(cells, c, patch, Zigzag)
    draw(network.stack.head)
    return network
