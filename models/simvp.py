"""SimVP, Gao et al., CVPR 2022, arXiv:2206.05099: convolutions alone, all frames at once.

Sources: A4Bio/SimVP `model.py`, `modules.py` at 4dcd445 (`simvp`), and chengtan9907/OpenSTL
`openstl/models/simvp_model.py`, `openstl/modules/simvp_modules.py` at c74deb5 (`openstl`), whose
model type IncepU has the same translator between another encoder and decoder.

B batch, T frames of the context, C channels, S width of a frame's maps; h, w their size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts, Depth
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model

Resampling = Literal["none", "down", "up"]
LayerOf = Callable[[int, int, int, Resampling], nn.Module]
"""(inputs, outputs, kernel, resampling) to a layer of the encoder or decoder."""

Width = Annotated[Count, "channels of a frame's maps, hid_S in the paper."]
Layers = Annotated[
    Depth, "layers of the encoder and of the decoder, every second halving or doubling; N_S."
]
EncoderKernel = Annotated[Count, "side of the encoder's kernels."]
DecoderKernel = Annotated[Count, "side of the decoder's kernels."]


def authors_layer(inputs: int, outputs: int, kernel: int, resampling: Resampling) -> nn.Module:
    """The authors' layer: convolution, transposed where it doubles, group norm, leaky ReLU."""
    conv: nn.Module
    if resampling == "up":
        conv = nn.ConvTranspose2d(
            inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1
        )
    else:
        stride = 2 if resampling == "down" else 1
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    norm = nn.GroupNorm(2, outputs)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, act=nn.LeakyReLU(0.2)))


def openstl_layer(inputs: int, outputs: int, kernel: int, resampling: Resampling) -> nn.Module:
    """OpenSTL's layer: SiLU for leaky ReLU, and pixels shuffled out of 4 times the channels.

    Its kernels are drawn from a normal distribution of deviation 0.02, the authors' as PyTorch has
    it.
    """
    up = resampling == "up"
    stride = 2 if resampling == "down" else 1
    conv = nn.Conv2d(
        inputs, 4 * outputs if up else outputs, kernel, stride=stride, padding=kernel // 2
    )
    nn.init.trunc_normal_(conv.weight, std=0.02)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if up:
        parts["shuffle"] = nn.PixelShuffle(2)
    parts["norm"] = nn.GroupNorm(2, outputs)
    parts["act"] = nn.SiLU()
    return nn.Sequential(parts)


class Encoder(nn.Module):
    """Frames to maps, every second layer halving them; the first layer's maps skip the rest."""

    def __init__(
        self, channels: int, width: int, depth: int, kernel: int, layer_of: LayerOf
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            layer_of(channels if n == 0 else width, width, kernel, "down" if n % 2 else "none")
            for n in range(depth)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to the latent (B, S, h, w) and the skip (B, S, H, W)."""
        skip = x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = layer(x)
        return x, skip


class Decoder(nn.Module):
    """The encoder's layers backwards; the last one reads the skip too, then a 1x1 convolution.

    Args:
        joined: the skip is laid beside the maps, as the authors do; else it is added to them.
    """

    def __init__(
        self, channels: int, width: int, depth: int, kernel: int, layer_of: LayerOf, *, joined: bool
    ) -> None:
        super().__init__()
        self.joined = joined
        self.layers = nn.ModuleList(
            layer_of(
                2 * width if joined and n == 0 else width, width, kernel, "up" if n % 2 else "none"
            )
            for n in reversed(range(depth))
        )
        self.readout = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x)
        x = torch.cat([x, skip], dim=1) if self.joined else x + skip
        return self.readout(self.layers[-1](x))  # type: ignore[no-any-return]


class Inception(nn.Module):
    """A 1x1 convolution, then grouped convolutions of several kernels, summed."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernels: Sequence[int], groups: int
    ) -> None:
        super().__init__()
        # the sources' rule: one group where the hidden channels do not divide
        groups = groups if hidden % groups == 0 else 1
        if outputs % groups:
            raise Unfit(
                f"{outputs} channels do not divide into {groups} groups; choose translator_width, "
                "and width times the context, to be multiples of them, or groups: 1"
            )
        self.reduce = nn.Conv2d(inputs, hidden, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(hidden, outputs, k, padding=k // 2, groups=groups),
                    norm=nn.GroupNorm(groups, outputs),
                    act=nn.LeakyReLU(0.2),
                )
            )
            for k in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        total: Tensor = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total


class InceptionUNet(nn.Module):
    """`depth` inception blocks down and up again, on the channels of all frames together.

    The resolution stays; each block going up but the first reads its opposite's output as well.
    """

    def __init__(
        self, channels: int, width: int, depth: int, kernels: Sequence[int], groups: int
    ) -> None:
        super().__init__()
        if depth < 2 or width < 2:
            raise Unfit(f"translator_depth {depth} and translator_width {width} must be at least 2")
        if any(k % 2 == 0 for k in kernels):
            raise Unfit(f"translator_kernels must be odd numbers, not {list(kernels)}")
        reads = [channels] + [width] * (depth - 1)
        joins = [width] + [2 * width] * (depth - 1)
        gives = [width] * (depth - 1) + [channels]
        half = width // 2
        self.encoder = nn.ModuleList(Inception(n, half, width, kernels, groups) for n in reads)
        self.decoder = nn.ModuleList(
            Inception(n, half, out, kernels, groups) for n, out in zip(joins, gives, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        x = self.decoder[0](x)
        for block in self.decoder[1:]:
            x = block(torch.cat([x, skips.pop()], dim=1))
        return x


class SimVP(Predictor):
    """Encoder of each frame, translator of all frames' maps, decoder of each frame.

    One pass gives as many frames as it reads. A shorter horizon is a part of it; for a longer one
    the frames of a pass are read by the next, and training reaches back through all of them.
    """

    def __init__(self, encoder: nn.Module, translator: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.translator = translator
        self.decoder = decoder

    def one_pass(self, frames: Tensor) -> Tensor:
        """The next T frames, from T frames (B, T, C, H, W)."""
        B, T = frames.shape[:2]
        latent, skip = self.encoder(frames.flatten(0, 1))  # (BT, S, h, w)
        translated = self.translator(latent.unflatten(0, (B, T)).flatten(1, 2))  # (B, TS, h, w)
        decoded = self.decoder(translated.view_as(latent), skip)
        # autocast leaves half precision in the last convolution
        return decoded.view_as(frames).to(frames.dtype)  # type: ignore[no-any-return]

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        passes = [self.one_pass(context)]
        while len(passes) * context.shape[1] < horizon:
            passes.append(self.one_pass(passes[-1]))
        return torch.cat(passes, dim=1)[:, :horizon]

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        return progress.criterion(self(context, target.shape[1]), target)


def shell(
    clip: Clip,
    *,
    source: Literal["simvp", "openstl"],
    width: int,
    depth: int,
    encoder_kernel: int,
    decoder_kernel: int,
) -> tuple[Encoder, Decoder]:
    """The encoder and the decoder around a translator.

    Raises:
        Unfit: they cannot be built so, or not for the clip.
    """
    if width % 2:
        raise Unfit(f"width must be even, for the norms' two groups, not {width}")
    # the authors' code takes odd depths, OpenSTL's leaves a layer out of them
    if depth % 2:
        raise Unfit(f"depth must be even, as layers keep and halve maps in turn, not {depth}")
    for name, kernel in (("encoder_kernel", encoder_kernel), ("decoder_kernel", decoder_kernel)):
        if kernel % 2 == 0:
            raise Unfit(f"{name} must be an odd number, not {kernel}")
    factor = 2 ** (depth // 2)
    if clip.height % factor or clip.width % factor:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} cannot be halved {depth // 2} times; "
            f"choose a smaller depth, or frames whose sides divide by {factor}"
        )
    authors = source == "simvp"
    layer_of = authors_layer if authors else openstl_layer
    return (
        Encoder(clip.channels, width, depth, encoder_kernel, layer_of),
        Decoder(clip.channels, width, depth, decoder_kernel, layer_of, joined=authors),
    )


@register_model("simvp")
def simvp(
    clip: Clip,
    *,
    source: Literal["simvp", "openstl"] = "simvp",
    width: Width = 64,
    depth: Layers = 4,
    encoder_kernel: EncoderKernel = 3,
    decoder_kernel: DecoderKernel = 3,
    translator_width: Count = 256,
    translator_depth: Depth = 8,
    translator_kernels: Counts = (3, 5, 7, 11),
    groups: Count = 8,
) -> Predictor:
    """SimVP with its inception translator; the defaults are the authors' for Moving MNIST.

    Args:
        source: whose encoder and decoder: `simvp`, the authors', the last layer reading maps and
            skip side by side; `openstl`, with SiLU and shuffled pixels, which adds the two.
        translator_width: channels of all frames' maps in the translator, hid_T; 256 in the authors'
            code, 512 in OpenSTL's configuration.
        translator_depth: inception blocks down, and again up; N_T.
        translator_kernels: sides of the kernels of each block's branches.
        groups: of the branches' convolutions and norms; 1 where half of translator_width does not
            divide. The authors' script has an option for it that it never passes on.
    """
    channels = clip.context * width
    encoder, decoder = shell(
        clip,
        source=source,
        width=width,
        depth=depth,
        encoder_kernel=encoder_kernel,
        decoder_kernel=decoder_kernel,
    )
    translator = InceptionUNet(
        channels, translator_width, translator_depth, translator_kernels, groups
    )
    return SimVP(encoder, translator, decoder)
