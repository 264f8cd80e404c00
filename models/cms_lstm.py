"""CMS-LSTM, Chai et al., ICME 2022, arXiv:2102.03586.

Follows the released code, czh-98/CMS-LSTM at 6dfcd19, where it differs from the text: only the
code yields the published 7.968 M parameters. The network is ConvLSTM with both blocks.
"""

from __future__ import annotations

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.recurrent import PatchOrder
from benchbench.registry import register_model

from .convlstm import convlstm


@register_model("cms_lstm")
def cms_lstm(
    clip: Clip,
    *,
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 3,
    patch: Count = 4,
    patch_order: PatchOrder = "cms",
    norm: bool = True,
    se_scales: Counts = (1, 2, 4),
    ce_steps: int = 5,
) -> Predictor:
    """CMS-LSTM; the defaults are the paper's section 4.1 and the script `train_mmnist.sh`.

    Args:
        hidden: width of each layer.
        kernel: side of the kernels of the gates and of CE; SE's are 5x5 always.
        patch: side of the patches folded into channels.
        patch_order: layout of a patch's pixels, see `benchbench.recurrent.fold`.
        norm: layer norm after each gate convolution; the blocks keep theirs.
        se_scales: blocks a side of each scale of SE's attention.
        ce_steps: half-steps of CE; the paper's text says 5 layers, which would be 10 half-steps.
    """
    return convlstm(
        clip,
        hidden=hidden,
        kernel=kernel,
        patch=patch,
        patch_order=patch_order,
        norm=norm,
        blocks=("ce", "se"),
        se_scales=se_scales,
        ce_steps=ce_steps,
    )
