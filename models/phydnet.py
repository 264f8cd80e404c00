"""PhyDNet, Le Guen and Thome, CVPR 2020: a cell of partial derivatives beside a ConvLSTM.

Sources: vincent-leguen/PhyDNet `models/models.py`, `constrain_moments.py`, `main.py` at 23a992d
(the authors'), and chengtan9907/OpenSTL `openstl/models/phydnet_model.py`,
`openstl/modules/phydnet_modules.py` at c74deb5, the same network with another option for strides.

B batch, T frames, C channels, H height, W width of frames; D width, h, w size of the inner maps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts, NotNegative
from benchbench.predictor import Ported, Predictor, Progress
from benchbench.recurrent import Recurrent, Stack, State
from benchbench.registry import register_model

from ._layers import layers
from .sa_convlstm import FusedConvLSTMCell

GROUPS = 16
"""Of the norms of encoders and decoders, whatever their width."""

Sides = Annotated[Sequence[Count], Field(min_length=2, max_length=2)]


class PhyCell(nn.Module):
    """A step of a partial differential equation, corrected by what is seen (section 3.2).

    The hidden state moves by F, a sum of `side`² filters that the moment loss holds near partial
    derivatives; a gate then mixes it with the input, as a Kalman filter does.
    """

    def __init__(self, hidden: int, side: int) -> None:
        super().__init__()
        self.derivatives = nn.Conv2d(hidden, side**2, side, padding=side // 2)
        self.norm = nn.GroupNorm(side, side**2)
        self.combine = nn.Conv2d(side**2, hidden, 1)
        self.gate = nn.Conv2d(2 * hidden, hidden, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        moved = h + self.combine(self.norm(self.derivatives(h)))
        gain = torch.sigmoid(self.gate(torch.cat([x, h], dim=1)))
        return moved + gain * (x - moved)  # type: ignore[no-any-return]


class Moments(nn.Module):
    """Moments of square filters, and filters of moments (Long et al. 2018, PDE-Net).

    Filter K has the moments M K Mᵀ with M[i, k] = (k - centre)^i / i!, in float64.
    """

    matrix: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        powers = [
            [(k - side // 2) ** i / math.factorial(i) for k in range(side)] for i in range(side)
        ]
        self.register_buffer("matrix", torch.tensor(powers, dtype=torch.float64), persistent=False)

    def forward(self, filters: Tensor) -> Tensor:
        """(…, side, side) filters to their moments."""
        return self.matrix @ filters.double() @ self.matrix.T

    def filters(self, moments: Tensor) -> Tensor:
        """The filters that have these moments, the inverse of `forward`."""
        inverse = torch.linalg.inv(self.matrix)
        return inverse @ moments.double() @ inverse.T  # type: ignore[no-any-return]

    def loss(self, filters: Tensor) -> Tensor:
        """How far (side², D, side, side) filters are from the partial derivatives (eq 7).

        Filter `side` i + j of each input channel shall have the moment (i, j) and no other: mean
        squared errors, summed over the channels.
        """
        target = torch.eye(len(filters), dtype=torch.float64, device=filters.device)
        error = self(filters) - target.view(-1, 1, *filters.shape[2:])
        return error.square().mean(dim=(0, 2, 3)).sum()  # type: ignore[no-any-return]


class Layer(Ported):
    """Convolution, transposed in decoders, group norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, up: bool = False) -> None:
        super().__init__()
        conv: nn.Module = (
            transposed(inputs, outputs, stride)
            if up
            else nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        )
        self.layers = nn.Sequential(conv, nn.GroupNorm(GROUPS, outputs), nn.LeakyReLU(0.2))
        alone = "the norm of each channel takes it away again"
        self.dead = {"layers.0.bias": alone} if outputs == GROUPS else {}

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


def transposed(inputs: int, outputs: int, stride: int) -> nn.Module:
    """A transposed 3x3 convolution to maps larger by the stride."""
    return nn.ConvTranspose2d(
        inputs, outputs, 3, stride=stride, padding=1, output_padding=stride - 1
    )


class Carry(NamedTuple):
    """State of PhyCell (B, D, h, w), and of each layer of the ConvLSTM."""

    physical: Tensor
    residual: list[State]


class PhyDNetStack(Stack[Carry]):
    """Encoders, both branches, decoders: one step from frame to frame (Figure 3)."""

    def __init__(
        self,
        cells: Sequence[FusedConvLSTMCell],
        channels: int,
        *,
        width: int,
        side: int,
        reduction: int,
    ) -> None:
        maps = 2 * width
        strides = (2, 1, reduction // 2)
        embed = nn.Sequential(
            Layer(channels, width, strides[0]),
            Layer(width, width, strides[1]),
            Layer(width, maps, strides[2]),
        )
        # the strides come in the same order here, not backwards
        head = nn.Sequential(
            Layer(maps, width, strides[0], up=True),
            Layer(width, width, strides[1], up=True),
            transposed(width, channels, strides[2]),
        )
        super().__init__(cells, head, embed=embed)
        self.cell = PhyCell(maps, side)
        self.encode_p = nn.Sequential(Layer(maps, maps), Layer(maps, maps))
        self.encode_r = nn.Sequential(Layer(maps, maps), Layer(maps, maps))
        self.decode_p = nn.Sequential(Layer(maps, maps, up=True), Layer(maps, maps, up=True))
        self.decode_r = nn.Sequential(Layer(maps, maps, up=True), Layer(maps, maps, up=True))
        self.reduction = reduction

    def begin(self, x: Tensor) -> Carry:
        B, _, H, W = x.shape
        size = (H // self.reduction, W // self.reduction)
        maps = x.new_zeros(B, self.cell.gate.out_channels, *size)
        return Carry(maps, self.zeros(maps))

    def forward(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        x = self.embed(x)
        physical = self.cell(self.encode_p(x), carry.physical)
        residual, h = [], self.encode_r(x)
        for cell, state in zip(self.cells, carry.residual, strict=True):
            state = cell(h, state)
            residual.append(state)
            h = state.h
        frame = self.frame(self.decode_p(physical) + self.decode_r(h))
        return frame, Carry(physical, residual)

    def frame(self, maps: Tensor) -> Tensor:
        """The frame of decoded maps: of both branches, or of one to look at it alone."""
        return torch.sigmoid(self.head(maps))


class PhyDNet(Recurrent):
    """The roll-out, a loss of all its frames and of the filters, and the authors' coin.

    Args:
        teacher_forcing: how much the probability of true frames falls each epoch.
    """

    stack: PhyDNetStack

    def __init__(self, stack: PhyDNetStack, *, side: int, teacher_forcing: float) -> None:
        super().__init__(stack, patch=1)
        self.moments = Moments(side)
        self.teacher_forcing = teacher_forcing

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Pixel losses of each frame but the first, summed, and `moments`."""
        frames = torch.cat([context, target], dim=1)
        truth = self.truth(context, target, progress).to(frames.device, non_blocking=True)
        predictions = self.roll(frames, frames.shape[1] - 1, truth)
        terms: Counter[str] = Counter()
        for prediction, frame in zip(predictions.unbind(1), frames[:, 1:].unbind(1), strict=True):
            terms.update(progress.criterion(prediction, frame))
        moments = self.moments.loss(self.stack.cell.derivatives.weight)
        return {**terms, "moments": moments.to(frames.dtype)}  # type: ignore[dict-item]

    def truth(self, context: Tensor, target: Tensor, progress: Progress) -> Tensor:
        """(B, T - 1), 1 where true frames are fed.

        All of them or those of the context alone, as one coin of the whole batch falls; where the
        suite asks for a sampling, that one.
        """
        B, before, after = len(context), context.shape[1], target.shape[1]
        if progress.truth is not None or progress.sampling.kind != "none":
            return progress.mask(B, before, after)
        chance = max(0.0, 1 - self.teacher_forcing * progress.epoch)
        heads = torch.rand((), generator=progress.generator) < chance
        truth = torch.ones(B, before + after - 1)
        truth[:, before:] = heads
        return truth


@register_model("phydnet")
def phydnet(
    clip: Clip,
    *,
    hidden: Counts = (128, 128, 64),
    kernel: Count | Sides = 3,
    width: Count = 32,
    reduction: Literal[4, 2] = 4,
    side: Count = 7,
    teacher_forcing: NotNegative = 0.003,
) -> Predictor:
    """PhyDNet; the defaults are the authors' for Moving MNIST.

    Args:
        hidden: width of each layer of the ConvLSTM, the last twice `width`.
        kernel: side of the ConvLSTM's kernels, or height and width.
        width: of the maps at half the frames' size, a multiple of 16; twice that further inside.
        reduction: how many times smaller than the frames the innermost maps are; OpenSTL has 2 on
            TaxiBJ. No tensor shows it.
        side: of PhyCell's filters, whose square is their number.
        teacher_forcing: how much the probability that a training batch is fed true frames falls
            each epoch, from 1.
    """
    if width % GROUPS:
        raise Unfit(f"width must be a multiple of {GROUPS}, the groups of the norms, not {width}")
    if hidden[-1] != 2 * width:
        raise Unfit(
            f"hidden {list(hidden)}: the last layer's output is added to PhyCell's; its width must "
            f"be twice the option width, {2 * width}"
        )
    if clip.height % reduction or clip.width % reduction:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} do not divide by the reduction {reduction}; "
            "crop them, or choose one that divides both"
        )
    sides = (kernel, kernel) if isinstance(kernel, int) else (kernel[0], kernel[1])
    if side % 2 == 0 or any(n % 2 == 0 for n in sides):
        raise Unfit(f"kernel and side must be odd numbers, not {kernel} and {side}")
    cells = layers(
        lambda inputs, n: FusedConvLSTMCell(inputs, n, sides, norm=False), 2 * width, hidden
    )
    stack = PhyDNetStack(cells, clip.channels, width=width, side=side, reduction=reduction)
    return PhyDNet(stack, side=side, teacher_forcing=teacher_forcing)
