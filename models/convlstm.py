"""ConvLSTM, Shi et al., NeurIPS 2015, arXiv:1506.04214; by default as the baseline of CMS-LSTM.

Sources: czh-98/CMS-LSTM `models/CMSLSTM.py` without its two blocks (Table 3's "ConvLSTM"), and
chengtan9907/OpenSTL `openstl/models/convlstm_model.py` at c74deb5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import PatchOrder, Recurrent, Stack, State, folded
from benchbench.registry import register_model

from ._blocks import BlockName, Conv, wrap


class ConvLSTMCell(nn.Module):
    """a = W_x * x + W_h * h, each convolution normed; gates i, f, g, o; no peepholes.

    `norm_cell`: the new cell is layer-normed, and that normed cell is the state.
    """

    def __init__(
        self, inputs: int, hidden: int, conv: Conv, *, forget_bias: float, norm_cell: bool
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        self.of_x = conv(inputs, 4 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.norm_c = conv.layer_norm(hidden) if norm_cell else nn.Identity()

    def forward(self, x: Tensor, state: State) -> State:
        i, f, g, o = (self.of_x(x) + self.of_h(state.h)).chunk(4, dim=1)
        c = torch.sigmoid(f + self.forget_bias) * state.c + torch.sigmoid(i) * torch.tanh(g)
        c = self.norm_c(c)
        return state._replace(h=torch.sigmoid(o) * torch.tanh(c), c=c)


@register_model("convlstm")
def convlstm(
    clip: Clip,
    *,
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 3,
    patch: Count = 4,
    patch_order: PatchOrder = "cms",
    norm: bool = True,
    norm_cell: bool = True,
    forget_bias: float = 1.0,
    embed: bool = True,
    head_bias: bool = True,
    first_scored: int = 2,
    blocks: Sequence[BlockName] = (),
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """ConvLSTM with the options on which its sources disagree.

    Args:
        hidden: width of each layer (CMS-LSTM paper section 4.1).
        kernel: side of the gates' kernels; 3 in CMS-LSTM's script, 5 in OpenSTL's configuration.
        patch: side of the patches folded into channels.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        norm: layer norm after each gate convolution; OpenSTL's configuration has it off.
        norm_cell: layer norm of the new cell; CMS-LSTM only.
        forget_bias: added to the forget gate; 1 in CMS-LSTM, 0 in OpenSTL, which sets but never
            uses its own.
        embed: 1x1 convolution of the folded frame to hidden[0]; CMS-LSTM only.
        head_bias: bias of the output convolution; CMS-LSTM only.
        first_scored: first predicted frame in the loss; CMS-LSTM's trainer throws the prediction of
            frame 1 away, the others start there.
        blocks: 'ce' and 'se' of CMS-LSTM around every cell.
        se_scales: blocks a side of each scale of SE's attention.
        ce_steps: half-steps of CE.
    """
    c, h, w = folded(clip, patch)
    conv = Conv(kernel, (h, w), norm=norm)
    around = partial(
        wrap, blocks=blocks, kernel=kernel, size=(h, w), se_scales=se_scales, ce_steps=ce_steps
    )
    cells = []
    width = hidden[0] if embed else c
    for n in hidden:
        cell = ConvLSTMCell(width, n, conv, forget_bias=forget_bias, norm_cell=norm_cell)
        cells.append(around(cell, inputs=width))
        width = n
    stack = Stack(
        cells,
        nn.Conv2d(width, c, 1, bias=head_bias),
        embed=nn.Conv2d(c, hidden[0], 1) if embed else None,
    )
    return Recurrent(stack, patch=patch, patch_order=patch_order, first_scored=first_scored)
