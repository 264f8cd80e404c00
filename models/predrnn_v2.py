"""PredRNN-V2, Wang et al., TPAMI 2022, arXiv:2103.09504: PredRNN that keeps its memories apart.

Sources: thuml/predrnn-pytorch `core/models/predrnn_v2.py` at 49d3b0f, and chengtan9907/OpenSTL
`openstl/models/predrnnv2_model.py` at c74deb5, the same network. Reverse scheduled sampling, the
paper's other half, is the suite's: `sampling: reverse`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Count, Counts, NotNegative
from benchbench.predictor import Predictor
from benchbench.recurrent import Recurrent, State, Zigzag, folded
from benchbench.registry import register_model

from ._layers import Conv, layers, one_width
from .predrnn import SpatiotemporalLSTMCell


class Decoupling(nn.Module):
    """Penalty that keeps what enters c apart from what enters m (the paper's memory decoupling).

    Args:
        hidden: width of the layers, which share one convolution of their increments.
        weight: of the term beside the pixels'.
    """

    def __init__(self, hidden: int, *, weight: float) -> None:
        super().__init__()
        self.adapter = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.weight = weight

    def forward(self, carries: Sequence[list[State]]) -> dict[str, Tensor]:
        """`decoupling`: the mean over steps, layers, sequences and channels of |cos|."""
        cosines = [self.similarity(*state.more) for states in carries for state in states]
        return {"decoupling": self.weight * torch.stack(cosines).mean()}

    def similarity(self, delta_c: Tensor, delta_m: Tensor) -> Tensor:
        """(B, C) cosines between the maps of both increments (B, C, h, w), without their signs."""
        maps = (self.adapter(delta).flatten(2) for delta in (delta_c, delta_m))
        # autocast leaves half precision, too coarse to tell how parallel two maps are
        c, m = (F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=2) for x in maps)
        return (c * m).sum(dim=2).abs()


@register_model("predrnn_v2")
def predrnn_v2(
    clip: Clip,
    *,
    hidden: Counts = (128, 128, 128, 128),
    kernel: Count = 5,
    patch: Count = 4,
    norm: bool = False,
    decoupling: NotNegative = 0.1,
) -> Predictor:
    """PredRNN-V2; the defaults are the official script's for Moving MNIST.

    Args:
        hidden: width of each layer, all equal.
        kernel: side of the gates' kernels.
        patch: side of the patches folded into channels; 4 on Moving MNIST, 2 on TaxiBJ.
        norm: layer norm after each gate convolution; off in the official script.
        decoupling: weight of the memories' similarity in the loss; 0.1 on Moving MNIST and TaxiBJ,
            0.01 on KTH.
    """
    width = one_width(hidden)
    c, h, w = folded(clip, patch)
    conv = Conv(kernel, (h, w), norm=norm)
    cells = layers(lambda inputs, n: SpatiotemporalLSTMCell(inputs, n, conv), c, hidden)
    stack = Zigzag(cells, nn.Conv2d(width, c, 1, bias=False))
    return Recurrent(stack, patch=patch, penalty=Decoupling(width, weight=decoupling))
