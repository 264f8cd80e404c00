"""CMS-LSTM, Chai et al., ICME 2022, arXiv:2102.03586.

Follows the released code, czh-98/CMS-LSTM at 6dfcd19, where it differs from the text: only the
code yields the published 7.968 M parameters. The network is ConvLSTM with both blocks.
"""

from __future__ import annotations

from benchbench.clip import Clip
from benchbench.options import Count, Counts
from benchbench.predictor import Predictor
from benchbench.registry import register_model

from ._blocks import HalfSteps, Scales
from .convlstm import convlstm


@register_model("cms_lstm")
def cms_lstm(
    clip: Clip,
    *,
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 3,
    patch: Count = 4,
    norm: bool = True,
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """CMS-LSTM; the defaults are the paper's section 4.1 and the script `train_mmnist.sh`.

    Args:
        hidden: width of each layer.
        kernel: side of the kernels of the gates and of CE; SE's are 5x5 always.
        patch: side of the patches folded into channels.
        norm: layer norm after each gate convolution; the blocks keep theirs.
        ce_steps: half-steps of CE; the paper's text says 5 layers, which would be 10 half-steps.
    """
    return convlstm(
        clip,
        hidden=hidden,
        kernel=kernel,
        patch=patch,
        norm=norm,
        blocks=("ce", "se"),
        se_scales=se_scales,
        ce_steps=ce_steps,
    )
