"""ConvLSTM, Shi et al., NeurIPS 2015, arXiv:1506.04214; by default as the baseline of CMS-LSTM.

Sources: czh-98/CMS-LSTM `models/CMSLSTM.py` without its two blocks (Table 3's "ConvLSTM"), and
chengtan9907/OpenSTL `openstl/models/convlstm_model.py` at c74deb5.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import State, folded
from benchbench.registry import register_model

from ._blocks import BlockNames, Blocks, HalfSteps, Scales
from ._layers import CMS, Conv, Framework, layers


class ConvLSTMCell(nn.Module):
    """a = W_x * x + W_h * h, each convolution normed; gates i, f, g, o; no peepholes.

    `norm_cell`: the new cell is layer-normed, and that normed cell is the state.
    """

    def __init__(
        self, inputs: int, hidden: int, conv: Conv, *, forget_bias: float, norm_cell: bool
    ) -> None:
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
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
    source: Literal["czh-98", "openstl"] = "czh-98",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 3,
    patch: Count = 4,
    norm: bool = True,
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """ConvLSTM, as either of two repositories has it.

    Args:
        source: whose code: `czh-98` embeds the frame, adds 1 to the forget gate, norms the new cell
            and leaves frame 1 out of the loss; `openstl` does none of these.
        hidden: width of each layer (CMS-LSTM paper section 4.1); 128 in OpenSTL's configuration.
        kernel: side of the gates' kernels; 3 in CMS-LSTM's script, 5 in OpenSTL's configuration.
        patch: side of the patches folded into channels.
        norm: layer norm after each gate convolution; OpenSTL's configuration has it off.
    """
    cms = source == "czh-98"
    around = CMS if cms else Framework()
    c, h, w = folded(clip, patch)
    conv = Conv(kernel, (h, w), norm=norm)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps)
    # OpenSTL sets a forget bias of its own and never uses it
    cells = layers(
        lambda inputs, n: wrap(
            ConvLSTMCell(inputs, n, conv, forget_bias=float(cms), norm_cell=cms)
        ),
        around.inputs(c, hidden),
        hidden,
    )
    return around.network(cells, c, patch)
