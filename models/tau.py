"""TAU, Tan et al., CVPR 2023, arXiv:2206.12126: attention over time, and a loss of differences.

Source: chengtan9907/OpenSTL `openstl/modules/simvp_modules.py`, `openstl/methods/tau.py` at
c74deb5, the authors' own; SimVP's encoder and decoder, gSTA's blocks with another gate.

B batch, D channels of all frames together (frames times width).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import NotNegative
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model

from .simvp import DecoderKernel, EncoderKernel, Layers, SimVP, Width, shell
from .simvp_v2 import (
    Attention,
    LargeKernel,
    LastRate,
    MetaTranslator,
    MLPRatio,
    TranslatorDepth,
    TranslatorWidth,
)


class TemporalGate(nn.Module):
    """A large kernel inside each frame, and a gate of every channel from the mean of its map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # about 16 hidden units in wide networks, a quarter of the channels in narrow ones
        hidden = width // max(width // 16, 4)
        if hidden < 1:
            raise Unfit(f"{width} channels are too few for temporal attention; 4 are the least")
        self.large = LargeKernel(width)
        self.mix = nn.Conv2d(width, width, 1)
        self.squeeze = nn.Linear(width, hidden, bias=False)
        self.excite = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return gate[:, :, None, None] * self.mix(self.large(x)) * x  # type: ignore[no-any-return]


def temporal(width: int) -> Attention:
    """TAU's attention, as PyTorch initialises it.

    The source's block draws its weights first, and then puts this in the place of gSTA's attention.
    """
    return Attention(width, TemporalGate(width))


def divergence(prediction: Tensor, target: Tensor, *, temperature: float = 0.1) -> Tensor:
    """How the frames' differences are spread over a frame, against the true spread (section 3.3).

    The Kullback-Leibler divergence between softmaxes over all of a frame, averaged where it should
    be summed; 0 for two frames or fewer.
    """
    if target.shape[1] <= 2:
        return prediction.new_zeros(())
    p, q = (
        torch.softmax(frames.diff(dim=1).flatten(2) / temperature, dim=2)
        for frames in (prediction, target)
    )
    eps = 1e-12
    return (p * torch.log(p / (q + eps) + eps)).mean()


class TAU(SimVP):
    """SimVP whose loss has a second term, `divergence`.

    Args:
        weight: of that term.
    """

    def __init__(
        self, encoder: nn.Module, translator: nn.Module, decoder: nn.Module, *, weight: float
    ) -> None:
        super().__init__(encoder, translator, decoder)
        self.weight = weight

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        prediction = self(context, target.shape[1])
        terms = progress.criterion(prediction, target)
        return {**terms, "divergence": self.weight * divergence(prediction, target)}


@register_model("tau")
def tau(
    clip: Clip,
    *,
    width: Width = 64,
    depth: Layers = 4,
    encoder_kernel: EncoderKernel = 3,
    decoder_kernel: DecoderKernel = 3,
    translator_width: TranslatorWidth = 512,
    translator_depth: TranslatorDepth = 8,
    mlp_ratio: MLPRatio = 8.0,
    drop_path: LastRate = 0.0,
    weight: NotNegative = 0.1,
) -> Predictor:
    """TAU; the defaults are OpenSTL's for Moving MNIST.

    Args:
        weight: of the divergence between differences of frames, beside the criterion.
    """
    encoder, decoder = shell(
        clip,
        source="openstl",
        width=width,
        depth=depth,
        encoder_kernel=encoder_kernel,
        decoder_kernel=decoder_kernel,
    )
    translator = MetaTranslator(
        clip.context * width,
        translator_width,
        translator_depth,
        temporal,
        mlp_ratio=mlp_ratio,
        drop_path=drop_path,
    )
    return TAU(encoder, translator, decoder, weight=weight)
