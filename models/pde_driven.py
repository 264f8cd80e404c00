"""PDE-Driven, Donà et al., ICLR 2021: a code of what stays and a code that an equation moves.

Source: JeremDona/spatiotemporal_variable_separation `var_sep/networks/*`, `var_sep/train.py` at
3f5e041, the authors'.

B batch, T frames, C channels, H height, W width; S, T (in the paper's letters) the codes of what
stays and of what moves, (B, S) and (B, T).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Depth, NotNegative, Positive
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model

from ._encoders import DCGAN, VGG, Decoder, Encoder


class Residual(nn.Module):
    """One step of the equation of T: a sum of it and of a perceptron with two hidden layers."""

    def __init__(self, width: int, hidden: int, gain: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(width, hidden)),
            nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden)),
            nn.Sequential(nn.ReLU(), nn.Linear(hidden, width)),
        )
        self.apply(partial(draw_orthogonal, gain=gain))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


def draw_orthogonal(module: nn.Module, *, gain: float) -> None:
    """Draws a linear layer's matrix orthogonal; biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight, gain)
        nn.init.zeros_(module.bias)


def draw_normal(module: nn.Module) -> None:
    """Draws kernels from N(0, 0.02) and the scales of norms from N(1, 0.02), as DCGAN; biases 0."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class Terms:
    """Weights of the four terms of the loss (paper equation 10)."""

    prediction: float
    autoencoding: float
    invariance: float
    prior: float


class PDEDriven(Predictor):
    """Codes the last frames of the context, moves one code, decodes both together.

    Step 0 decodes the first of the frames that were coded, so prediction begins after as many steps
    as there are of them.

    Args:
        window: how many frames are coded.
        product: codes are multiplied, not laid side by side.
        skip: the decoder reads the maps of the encoder of S.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        equation: Sequence[Residual],
        decoder: Decoder,
        weights: Terms,
        *,
        window: int,
        product: bool,
        skip: bool,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoder = decoder
        self.encoders.apply(draw_normal)
        self.decoder.apply(draw_normal)
        self.equation = nn.Sequential(*equation)
        self.weights = weights
        self.window = window
        self.product = product
        self.skip = skip

    def code(self, frames: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """S, the maps on the way to it, and T at the first of the frames (B, window, C, H, W)."""
        s, maps = self.encoders["s"](frames)
        t, _ = self.encoders["t"](frames)
        return s, maps, t

    def motion(self, t: Tensor, steps: int) -> list[Tensor]:
        """T at steps 0 … steps - 1."""
        codes = [t]
        for _ in range(steps - 1):
            codes.append(self.equation(codes[-1]))
        return codes

    def frame(self, s: Tensor, t: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """(B, C, H, W), of the codes of one step."""
        code = s * t if self.product else torch.cat([s, t], dim=1)
        return self.decoder(code, maps if self.skip else None)  # type: ignore[no-any-return]

    def frames(self, s: Tensor, codes: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
        """(B, T, C, H, W), decoded one at a time: in training each has a batch norm's statistics
        of its own.
        """
        return torch.stack([self.frame(s, t, maps) for t in codes], dim=1)

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        s, maps, t = self.code(context[:, -self.window :])
        codes = self.motion(t, self.window + horizon)[-horizon:]
        return self.frames(s, codes, maps).to(context.dtype)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        frames = torch.cat([context[:, -self.window :], target], dim=1)
        ends = (self.window, frames.shape[1] + 1)
        end = int(torch.randint(*ends, (), generator=progress.generator, device="cpu"))
        return self.terms(frames, end, progress)

    def terms(self, frames: Tensor, end: int, progress: Progress) -> dict[str, Tensor]:
        """The four terms, weighted.

        Args:
            frames: (B, T, C, H, W), the window that is coded and what follows it.
            end: frame before which the window ends whose T must give its first frame, with the S of
                the first window.
        """
        n, weights = self.window, self.weights
        s, maps, t = self.code(frames[:, :n])
        predicted = self.frames(s, self.motion(t, frames.shape[1]), maps)
        later, maps_later = self.encoders["s"](frames[:, -n:])
        # as the source: where the decoder reads maps, they shall not change either
        still = [(s, later), *(zip(maps, maps_later, strict=True) if self.skip else ())]
        change = torch.cat([(a - b).flatten(1) for a, b in still], dim=1)
        other, _ = self.encoders["t"](frames[:, end - n : end])
        rebuilt = self.frame(s, other, maps)

        def pixels(prediction: Tensor, target: Tensor) -> Tensor:
            terms = progress.criterion(prediction.to(target.dtype), target)
            return torch.stack(list(terms.values())).sum()

        return {
            "prediction": weights.prediction * pixels(predicted, frames),
            "autoencoding": weights.autoencoding * pixels(rebuilt, frames[:, end - n]),
            "invariance": weights.invariance * change.square().mean(),
            "prior": weights.prior * 0.5 * t.square().sum(dim=1).mean(),
        }


# Long because each weight of the loss is an option
@register_model("pde_driven")
def pde_driven(
    clip: Clip,
    *,
    encoder: Literal["dcgan", "vgg"] = "dcgan",
    width: Count = 64,
    static: Count = 128,
    dynamic: Count = 20,
    product: bool = False,
    skip: bool = False,
    sigmoid: bool | None = None,
    hidden: Count = 512,
    residuals: Depth = 1,
    window: Count = 5,
    gain: Positive = 1.0,
    prediction: NotNegative = 45.0,
    autoencoding: NotNegative = 10.0,
    invariance: NotNegative = 45.0,
    prior: NotNegative = 0.001,
) -> Predictor:
    """PDE-Driven; the defaults are the authors' for Moving MNIST.

    Args:
        encoder: `dcgan`, on Moving MNIST; `vgg`, on TaxiBJ.
        width: of the encoders' first maps; eight times that at the last.
        static: length of the code S of what stays.
        dynamic: length of the code T of what moves.
        product: codes are multiplied, not laid side by side.
        skip: the decoder reads the maps of the encoder of S.
        sigmoid: frames end in a sigmoid; None: those of `dcgan` do.
        hidden: width of the equation's perceptron.
        residuals: residual steps of the equation for each frame.
        window: frames that are coded, the last of the context; 5 on Moving MNIST, 4 on TaxiBJ.
        gain: of the equation's orthogonal initial matrices; 0.71 on TaxiBJ.
        prediction: weight of the error of all frames, those coded included.
        autoencoding: weight of the error of a frame made of T of another window; 45 on TaxiBJ.
        invariance: weight of the change of S from the first window to the last; 0.0001 on TaxiBJ.
        prior: weight of half the squared length of T.
    """
    if clip.context < window:
        raise Unfit(
            f"it codes {window} frames, and a context of {clip.context} has fewer; "
            f"set window: {clip.context}"
        )
    if product and static != dynamic:
        raise Unfit(
            f"codes of {static} and {dynamic} cannot be multiplied; make static and dynamic equal"
        )
    kind = DCGAN if encoder == "dcgan" else VGG
    n = kind.reduction
    if clip.height % n or clip.width % n or min(clip.height, clip.width) < 2 * n:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} become maps {n} times smaller with {encoder}; "
            f"crop or enlarge them to multiples of {n}, of {2 * n} at least"
        )
    # the source has 64x64 frames with dcgan and 32x32 with vgg: maps of 4x4 at the inner end
    make = kind(width, (clip.height // n, clip.width // n))
    inputs = window * clip.channels
    return PDEDriven(
        {"s": make.encoder(inputs, static), "t": make.encoder(inputs, dynamic)},
        [Residual(dynamic, hidden, gain) for _ in range(residuals)],
        make.decoder(
            static if product else static + dynamic,
            clip.channels,
            skip=skip,
            sigmoid=encoder == "dcgan" if sigmoid is None else sigmoid,
        ),
        Terms(prediction, autoencoding, invariance, prior),
        window=window,
        product=product,
        skip=skip,
    )
