"""VPN, Kalchbrenner et al., ICML 2017: every pixel a choice of 256 levels, given those before it.

Source: Video-Pixel-Networks `model.py`, `layers.py`, `trainer.py`, `config.py` at 4f59fe2, not the
authors', who released none.

B batch, T frames, C channels, H height, W width; c width. Inside, pixels are whole numbers, 0 to
255, and a frame is (1, H, W C): the channels of a pixel are one after the other, as pixels of a
row, so that the source's masks order them too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Depth
from benchbench.predictor import Predictor, Progress
from benchbench.recurrent import State
from benchbench.registry import register_model

from ._layers import glorot, uniform_

LEVELS = 256


class MaskedConv(nn.Conv2d):
    """A 3x3 convolution that sees a pixel, those before it in its row and those above.

    Args:
        blind: of input channel 0, the frame itself, it does not see the pixel (mask A).
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, *, blind: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
        mask = mask.repeat(1, inputs, 1, 1)
        mask[:, 0, 1, 1] = float(not blind)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=1)


class Unit(nn.Module):
    """Multiplicative unit (section 3.2): three gates and an update, of one map.

    Args:
        convs: of the three gates and of the update.
        first: it reads the frame itself, which the sum must not hand on: the second gate stands
            alone there (released code).
    """

    def __init__(self, convs: Sequence[nn.Module], *, first: bool = False) -> None:
        super().__init__()
        self.g1, self.g2, self.g3, self.u = convs
        self.first = first

    def forward(self, h: Tensor) -> Tensor:
        g1, g2, g3 = (torch.sigmoid(gate(h)) for gate in (self.g1, self.g2, self.g3))
        kept = g2 if self.first else g2 * h
        return g1 * torch.tanh(kept + g3 * torch.tanh(self.u(h)))


class Block(nn.Module):
    """Residual multiplicative block (section 3.3): narrow, two units, widen, add.

    Args:
        width: of the units; its input is twice as wide.
        outputs: of its output.
        masked: its units see pixels before theirs alone.
        reads: it lays the frame in front of the narrowed map.
        adds: its output is added to its input.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        *,
        dilation: int = 1,
        masked: bool = False,
        reads: bool = False,
        adds: bool = True,
    ) -> None:
        super().__init__()
        self.adds = adds
        self.narrow = nn.Conv2d(2 * width, width - reads, 1)
        self.units = nn.ModuleDict(
            {
                name: Unit([conv(width, dilation, masked, first) for _ in range(4)], first=first)
                for name, first in (("1", reads), ("2", False))
            }
        )
        self.widen = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor, frame: Tensor | None = None) -> Tensor:
        h = self.narrow(x)
        if frame is not None:
            h = torch.cat([frame.to(h.dtype), h], dim=1)
        h = self.widen(self.units["2"](self.units["1"](h)))
        return x + h if self.adds else h  # type: ignore[no-any-return]


def conv(width: int, dilation: int, masked: bool, blind: bool) -> nn.Module:
    """A unit's convolution."""
    if masked:
        return MaskedConv(width, width, blind=blind)
    return nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)


class Memory(nn.Module):
    """The ConvLSTM of TensorFlow's library: gates i, g, f, o, one added to the forget gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_xh = nn.Conv2d(2 * width, 4 * width, 3, padding=1)

    def forward(self, x: Tensor, state: State) -> State:
        i, g, f, o = self.of_xh(torch.cat([x, state.h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f + 1) * state.c + torch.sigmoid(i) * torch.tanh(g)
        return state._replace(h=torch.sigmoid(o) * torch.tanh(c), c=c)


class VPN(Predictor):
    """Encodes each frame at its own size, remembers, decodes the next one pixel by pixel."""

    def __init__(
        self,
        width: int,
        encoder: Sequence[Block],
        decoder: Sequence[Block],
        channels: int,
        cost: str,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 2 * width, 1)
        self.encoder = nn.Sequential(*encoder)
        self.memory = Memory(2 * width)
        self.decoder = nn.ModuleList(decoder)
        self.channels, self.cost = channels, cost
        uniform_(self, glorot)

    def begin(self, frame: Tensor) -> State:
        """The state before the first frame (B, 1, H, W)."""
        zeros = frame.new_zeros(len(frame), self.embed.out_channels, *frame.shape[2:])
        return State(zeros, zeros, zeros)

    def read(self, frame: Tensor, state: State) -> State:
        """The state after one frame of whole numbers, (B, 1, H, W)."""
        return self.memory(self.encoder(self.embed(frame)), state)  # type: ignore[no-any-return]

    def logits(self, seen: Tensor, frame: Tensor) -> Tensor:
        """(B, 256, H, W), of every pixel given those before it in the frame (B, 1, H, W).

        Args:
            seen: the first block's output, of the memory's.
        """
        x = self.decoder[1](seen, frame)
        for block in self.decoder[2:]:
            x = block(x)
        return x  # type: ignore[no-any-return]

    def choose(self, h: Tensor) -> Tensor:
        """The next frame, (B, 1, H, W): each pixel its likeliest level, given those chosen."""
        B, _, H, W = h.shape
        seen = self.decoder[0](h)
        reach = 2 * (len(self.decoder) - 1)  # a pixel for each masked convolution on the way
        frame = h.new_zeros(B, 1, H, W)
        for y in range(H):
            for x in range(W):
                rows = slice(max(0, y - reach), y + 1)
                columns = slice(max(0, x - reach), x + reach + 1)
                logits = self.logits(seen[:, :, rows, columns], frame[:, :, rows, columns])
                frame[:, 0, y, x] = logits[:, :, -1, x - columns.start].argmax(dim=1).to(frame)
        return frame

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        levels = self.levels(context)
        state = self.begin(levels[:, 0])
        for frame in levels.unbind(1):
            state = self.read(frame, state)
        frames = [self.choose(state.h)]
        for _ in range(horizon - 1):
            state = self.read(frames[-1], state)
            frames.append(self.choose(state.h))
        rows = torch.stack(frames, dim=1) / (LEVELS - 1)
        pixels = rows.view(*rows.shape[:2], rows.shape[3], -1, self.channels)  # (B, T, H, W, C)
        return pixels.permute(0, 1, 4, 2, 3).to(context.dtype)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """The mean of minus the log-likelihood of the target's pixels; no other loss fits levels.

        No gradient goes to the frames before the context's last, as in the source.
        """
        levels = self.levels(torch.cat([context, target], dim=1))
        del progress  # where training stands changes nothing
        state = self.begin(levels[:, 0])
        with torch.no_grad():
            for frame in levels[:, : context.shape[1] - 1].unbind(1):
                state = self.read(frame, state)
        logits, _state = self.follow(levels[:, context.shape[1] - 1 :], state)
        truth = levels[:, context.shape[1] :, 0].long()
        # float64 stays; autocast's half precision is too coarse for 256 levels. As a list of
        # pixels: torch sums those of maps in no fixed order on a GPU
        pixels = logits.to(target.dtype).movedim(2, -1).flatten(0, -2)
        return {"nll": functional.cross_entropy(pixels, truth.flatten())}

    def follow(self, levels: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, T - 1, 256, H, W), of frames 1 … T - 1 given those before, and the last state."""
        logits = []
        for frame, after in zip(levels.unbind(1), levels[:, 1:].unbind(1), strict=False):
            state = self.read(frame, state)
            logits.append(self.logits(self.decoder[0](state.h), after))
        return torch.stack(logits, dim=1), state

    @staticmethod
    def levels(frames: Tensor) -> Tensor:
        """Whole numbers 0 … 255, as floats, (B, T, 1, H, W C)."""
        rows = frames.permute(0, 1, 3, 4, 2).flatten(3).unsqueeze(2)
        return (rows * (LEVELS - 1)).round().clamp(0, LEVELS - 1)


@register_model("vpn")
def vpn(
    clip: Clip,
    *,
    width: Count = 128,
    encoders: Depth = 8,
    decoders: Depth = 12,
    dilated: bool = False,
    most_passes: Count = 1_024,
) -> Predictor:
    """VPN; the defaults are the paper's for Moving MNIST.

    Args:
        width: of the units; blocks and memory are twice as wide.
        encoders: blocks before the memory.
        decoders: blocks after it, the first one without a mask.
        dilated: kernels of the blocks before the memory are spread 1, 2, 4, 8, 1, … times.
        most_passes: passes of the decoder, one a pixel, that a predicted frame may take; 4096 lets
            it predict 64x64 frames.
    """
    if decoders < 3:
        raise Unfit("decoders must be at least 3, the first, a masked one and the last")
    if width < 2:
        raise Unfit("width must be at least 2: one channel of the units is the frame")
    pixels = clip.channels * clip.height * clip.width
    cost = (
        f"{pixels:,} passes of the decoder a frame, one after another, "
        f"{pixels * clip.horizon:,} a clip"
    )
    if pixels > most_passes:
        raise Unfit(
            f"predicting {clip.height}x{clip.width} takes {cost}; most_passes allows "
            f"{most_passes:,} a frame: use smaller frames or raise it"
        )
    encoder = [
        Block(width, 2 * width, dilation=2 ** (n % 4) if dilated else 1) for n in range(encoders)
    ]
    middle = [Block(width, 2 * width, masked=True, reads=n == 0) for n in range(decoders - 2)]
    last = Block(width, LEVELS, masked=True, adds=False)
    decoder = [Block(width, 2 * width), *middle, last]
    return VPN(width, encoder, decoder, clip.channels, cost)
