"""SwinLSTM, Tang et al., ICCV 2023, arXiv:2308.09891: an LSTM whose gate is a Swin Transformer.

Sources: SongTang-x/SwinLSTM `SwinLSTM_D.py`, `SwinLSTM_B.py`, and chengtan9907/OpenSTL
`openstl/models/swinlstm_model.py`, `openstl/modules/swinlstm_modules.py` at c74deb5, equal to the
last bit on the same weights.

B batch, h, w size of the maps, D their width. Maps are (B, h, w, D) but at both ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts, Depths, Fraction
from benchbench.predictor import Predictor
from benchbench.recurrent import Recurrent, Stack, State
from benchbench.registry import register_model

from ._swin import PatchExpanding, PatchMerging, Size, SwinBlock

# frames are cut into patches of 2x2, and one transposed convolution of stride 2 undoes it
PATCH = 2


class SwinLSTMCell(nn.Module):
    """One gate for both memories, of x and h through Swin blocks (section 3.2).

    The first block joins x and h, every other one after it what came before and x.
    """

    def __init__(self, width: int, blocks: Sequence[SwinBlock]) -> None:
        super().__init__()
        self.inputs = self.hidden = width
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, state: State) -> State:
        o = self.blocks[0](x, state.h)
        for n, block in enumerate(self.blocks[1:], start=1):
            o = block(o, x if n % 2 == 0 else None)
        gate = torch.sigmoid(o)
        c = gate * (state.c + torch.tanh(o))
        return state._replace(h=gate * torch.tanh(c), c=c)


class PatchEmbedding(nn.Module):
    """Patches of a frame (B, C, H, W) to normed maps (B, h, w, D)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, width, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.project(x).permute(0, 2, 3, 1))  # type: ignore[no-any-return]


class Readout(nn.Module):
    """Maps to the pixels of a frame, in [0, 1]."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            width, channels, 3, stride=PATCH, padding=1, output_padding=1
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(x.permute(0, 3, 1, 2)))


class Level(nn.Module):
    """A cell, and what gives its output the next one's size."""

    def __init__(self, cell: SwinLSTMCell, size: Size, resize: nn.Module) -> None:
        super().__init__()
        self.cell = cell
        self.size = size
        self.resize = resize

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        state = self.cell(x, state)
        return self.resize(state.h), state


class SwinStack(Stack[list[State]]):
    """Levels down, each followed by merging, then up, each followed by expanding."""

    def __init__(
        self, embed: nn.Module, down: Sequence[Level], up: Sequence[Level], head: nn.Module
    ) -> None:
        super().__init__([], head, embed=embed)
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList(up)

    def levels(self) -> Iterator[Level]:
        yield from self.down  # type: ignore[misc]
        yield from self.up  # type: ignore[misc]

    def begin(self, x: Tensor) -> list[State]:
        zeros = [x.new_zeros(len(x), *level.size, level.cell.hidden) for level in self.levels()]
        return [State(zero, zero, zero) for zero in zeros]

    def forward(self, x: Tensor, carry: list[State]) -> tuple[Tensor, list[State]]:
        x = self.embed(x)
        states = []
        for level, state in zip(self.levels(), carry, strict=True):
            x, state = level(x, state)
            states.append(state)
        return self.head(x), states


@dataclass(frozen=True)
class Levels:
    """Makes the levels of one network: level n has maps of `size` halved n times.

    Raises:
        Unfit: maps do not divide into windows, or widths into heads.
    """

    width: int
    size: Size
    window: int
    mlp_ratio: float
    drop_path: float
    """Of the last block of a half of the network; it rises evenly from 0."""

    def down(self, depths: Sequence[int], heads: Sequence[int]) -> list[Level]:
        """The levels from 0 on, each followed by merging."""
        return [
            self.level(n, heads[n], rates, PatchMerging(self.width << n))
            for n, rates in enumerate(self.rates(depths))
        ]

    def up(self, depths: Sequence[int], heads: Sequence[int]) -> list[Level]:
        """The levels down to 1, each followed by expanding."""
        # the sources count the way up from its end: the blocks that are passed last drop least
        rates = self.rates(depths[::-1])[::-1]
        return [
            self.level(n, heads[-n], rates[-n], PatchExpanding(self.width << n))
            for n in range(len(depths), 0, -1)
        ]

    def rates(self, depths: Sequence[int]) -> list[list[float]]:
        """Stochastic depth of each block of each cell."""
        line = iter(torch.linspace(0, self.drop_path, sum(depths), device="cpu").tolist())
        return [[next(line) for _ in range(depth)] for depth in depths]

    def level(self, n: int, heads: int, rates: Sequence[float], resize: nn.Module) -> Level:
        """Level n, whose cell has a block for each rate."""
        width, size = self.width << n, (self.size[0] >> n, self.size[1] >> n)
        window = min(self.window, *size)
        if any(side % window for side in size):
            raise Unfit(
                f"maps of {size[0]}x{size[1]} do not divide into windows of {window}; choose "
                "frames whose sides divide by a higher power of 2, or fewer depths"
            )
        if width % heads:
            raise Unfit(f"a width of {width} does not divide into {heads} heads")
        if int(width * self.mlp_ratio) < 1:
            raise Unfit(f"mlp_ratio {self.mlp_ratio} leaves a width of {width} no hidden units")
        blocks = [
            SwinBlock(
                width,
                size,
                heads=heads,
                window=self.window,
                shifted=k % 2 == 1,
                joins=k % 2 == 0,
                mlp_ratio=self.mlp_ratio,
                drop_path=rate,
            )
            for k, rate in enumerate(rates)
        ]
        return Level(SwinLSTMCell(width, blocks), size, resize)


@register_model("swinlstm")
def swinlstm(
    clip: Clip,
    *,
    width: Count = 128,
    depths: Depths = (2, 6, 2, 6),
    heads: Counts = (4, 8, 8, 4),
    window: Count = 4,
    mlp_ratio: Annotated[float, Field(gt=0, le=100)] = 4.0,
    drop_path: Fraction = 0.1,
) -> Predictor:
    """SwinLSTM, by default D for Moving MNIST; B is `depths: [12], heads: [4]`.

    Args:
        width: of the maps of patches; twice as wide at each halving.
        depths: Swin blocks of each cell, in the order that a frame passes them. One number: B, a
            single cell. An even number of them: D, as many cells going down as up, maps halved and
            widened after each going down. The authors' script lists D's way up backwards, 6 and 2.
        heads: of each cell's attention, likewise.
        window: side of the windows, in patches of 2x2 pixels, where the maps are larger.
        mlp_ratio: hidden units of a block's MLP for each of its width.
        drop_path: stochastic depth of the last block of each half, rising evenly from 0.
    """
    if len(depths) != len(heads) or (len(depths) > 1 and len(depths) % 2):
        raise Unfit(
            f"depths {list(depths)} and heads {list(heads)}: expected one of each, or as many "
            "going down as up"
        )
    halvings = len(depths) // 2
    factor = PATCH << halvings
    if clip.height % factor or clip.width % factor:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} cannot be halved {halvings + 1} times; choose "
            f"frames whose sides divide by {factor}, or fewer depths"
        )
    size = clip.height // PATCH, clip.width // PATCH
    levels = Levels(width, size, window, mlp_ratio, drop_path)
    if halvings:
        down = levels.down(depths[:halvings], heads[:halvings])
        up = levels.up(depths[halvings:], heads[halvings:])
    else:
        down = [levels.level(0, heads[0], levels.rates(depths)[0], nn.Identity())]
        up = []
    stack = SwinStack(PatchEmbedding(clip.channels, width), down, up, Readout(width, clip.channels))
    return Recurrent(stack, patch=1)
