"""PredRNN, Wang et al., NeurIPS 2017.

Sources: thuml/predrnn-pytorch `core/layers/SpatioTemporalLSTMCell.py` and `core/models/predrnn.py`
at 49d3b0f (`thuml`), and the authors' first TensorFlow release, Yunbo426/predrnn-pp at 659110a,
`nets/predrnn.py` (`tf2018`).
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
from benchbench.recurrent import Cell, PatchOrder, Recurrent, State, Zigzag, folded
from benchbench.registry import register_model

from ._blocks import Affine, BlockName, Conv, wrap


class SpatiotemporalLSTMCell(nn.Module):
    """ST-LSTM (paper equation 3, released code): seven gates of x, four of h, three of m.

    The output gate sees the new c and m through a convolution, which the paper's text lacks. What
    the step adds to c and to m is in the state's `more`, for PredRNN-V2's loss.
    """

    def __init__(self, inputs: int, hidden: int, conv: Conv, *, forget_bias: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
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
        c = torch.sigmoid(fx + fh + self.forget_bias) * state.c + delta_c
        delta_m = torch.sigmoid(ix_m + im) * torch.tanh(gx_m + gm)
        m = torch.sigmoid(fx_m + fm + self.forget_bias) * state.m + delta_m
        cm = torch.cat([c, m], dim=1)
        h = torch.sigmoid(ox + oh + self.of_cm(cm)) * torch.tanh(self.reduce(cm))
        return State(h, c, m, more=(delta_c, delta_m))


class SharedGatesCell(nn.Module):
    """ST-LSTM of the first TensorFlow release: both memories share the four gates of x.

    Gate order i, g, f, o; the output gate does not see the new memories.
    """

    def __init__(self, inputs: int, hidden: int, conv: Conv, *, forget_bias: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        self.of_x = conv(inputs, 4 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.of_m = conv(hidden, 4 * hidden)
        self.reduce = nn.Conv2d(2 * hidden, hidden, 1, bias=conv.bias)

    def forward(self, x: Tensor, state: State) -> State:
        ix, gx, fx, ox = self.of_x(x).chunk(4, dim=1)
        ih, gh, fh, oh = self.of_h(state.h).chunk(4, dim=1)
        im, gm, fm, om = self.of_m(state.m).chunk(4, dim=1)
        f = torch.sigmoid(fx + fh + self.forget_bias)
        c = f * state.c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        f = torch.sigmoid(fx + fm + self.forget_bias)
        m = f * state.m + torch.sigmoid(ix + im) * torch.tanh(gx + gm)
        h = torch.sigmoid(ox + oh + om) * torch.tanh(self.reduce(torch.cat([c, m], dim=1)))
        return State(h, c, m)


@register_model("predrnn")
def predrnn(
    clip: Clip,
    *,
    variant: Literal["thuml", "tf2018"] = "thuml",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    patch_order: PatchOrder = "thuml",
    norm: bool = True,
    affine: Affine | None = None,
    bias: bool | None = None,
    forget_bias: float = 1.0,
    embed: bool = False,
    head_bias: bool | None = None,
    blocks: Sequence[BlockName] = (),
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """PredRNN: ST-LSTM cells, one memory zig-zagging through them.

    Args:
        variant: `thuml`, the official torch cell; `tf2018`, the first release's cell with shared
            gates of x, which counts the published 13.799 M (three times 4.600 M, plus one).
        hidden: width of each layer, all equal; 64 in the paper, 128 in the torch script.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels; 4 on Moving MNIST, 2 on TaxiBJ.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        norm: layer norm after each gate convolution; off in the torch repository's script.
        affine: shape of the norm's affine; None: `full` for thuml, `channel` for tf2018.
        bias: biases of all convolutions; None: no for thuml, yes for tf2018.
        forget_bias: added to both forget gates.
        embed: 1x1 convolution of the folded frame to hidden[0], CMS-LSTM's; neither source has one.
        head_bias: bias of the output convolution; None: as `bias`. CMS-LSTM has one.
        blocks: 'ce' and 'se' of CMS-LSTM around every cell.
        se_scales: blocks a side of each scale of SE's attention.
        ce_steps: half-steps of CE.
    """
    if len(set(hidden)) != 1:
        raise Unfit(f"hidden {list(hidden)}: one memory serves all layers, so widths must be equal")
    c, h, w = folded(clip, patch)
    first_release = variant == "tf2018"
    conv = Conv(
        kernel,
        (h, w),
        norm=norm,
        affine=affine or ("channel" if first_release else "full"),
        bias=first_release if bias is None else bias,
    )
    around = partial(
        wrap, blocks=blocks, kernel=kernel, size=(h, w), se_scales=se_scales, ce_steps=ce_steps
    )
    build = SharedGatesCell if first_release else SpatiotemporalLSTMCell
    cells: list[Cell] = []
    width = hidden[0] if embed else c
    for n in hidden:
        cells.append(around(build(width, n, conv, forget_bias=forget_bias), inputs=width))
        width = n
    head = nn.Conv2d(width, c, 1, bias=conv.bias if head_bias is None else head_bias)
    stack = Zigzag(cells, head, embed=nn.Conv2d(c, hidden[0], 1) if embed else None)
    return Recurrent(stack, patch=patch, patch_order=patch_order)
