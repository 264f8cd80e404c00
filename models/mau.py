"""MAU, Chang et al., NeurIPS 2021: motion-aware units that attend to their own past.

Sources: ZhengChang467/MAU `core/models/MAU.py`, `core/layers/MAUCell.py`, and
chengtan9907/OpenSTL `openstl/models/mau_model.py`, `openstl/modules/mau_modules.py` at c74deb5,
the same network.

B batch, C hidden width, H height, W width of frames; h, w of the maps. S climbs the layers (it is a
state's h), T stays in each (its c).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts, Depth
from benchbench.predictor import Predictor
from benchbench.recurrent import Cell, Recurrent, Stack, State
from benchbench.registry import register_model

from ._layers import Conv, one_width


class MAUCell(nn.Module):
    """Fuses T with its past where S looked as it does now, then lets T and S gate each other.

    The state's `more` holds the last inputs S and the last T, (tau, B, C, h, w), the newest last.

    Args:
        residual: the layer's input is added to the S that it gives.
    """

    def __init__(self, hidden: int, conv: Conv, *, residual: bool) -> None:
        super().__init__()
        self.inputs = self.hidden = hidden
        self.residual = residual
        self.query = conv(hidden, hidden)
        self.gate = conv(hidden, hidden)
        self.of_s = conv(hidden, 3 * hidden)
        self.of_t = conv(hidden, 3 * hidden)

    def forward(self, x: Tensor, state: State) -> State:
        past_s, past_t = state.more
        scores = (past_s * self.query(x)).sum(dim=(2, 3, 4)) / math.sqrt(x[0].numel())
        weights = scores.softmax(dim=0)[..., None, None, None]  # (tau, B, 1, 1, 1)
        trend = (weights * past_t).sum(dim=0)
        gate = torch.sigmoid(self.gate(state.c))
        t_gate, t_of_t, s_of_t = self.of_t(gate * state.c + (1 - gate) * trend).chunk(3, dim=1)
        s_gate, t_of_s, s_of_s = self.of_s(x).chunk(3, dim=1)
        t_gate, s_gate = torch.sigmoid(t_gate), torch.sigmoid(s_gate)
        t = t_gate * t_of_t + (1 - t_gate) * t_of_s
        s = s_gate * s_of_s + (1 - s_gate) * s_of_t
        if self.residual:
            s = s + x
        return state._replace(h=s, c=t, more=(appended(past_s, x), appended(past_t, t)))


def appended(past: Tensor, newest: Tensor) -> Tensor:
    """The past without its oldest map and with the newest."""
    return torch.cat([past[1:], newest[None]])


class Encoder(nn.Module):
    """A frame to maps at its own size and at every halving, the last of them the cells' input."""

    def __init__(self, channels: int, hidden: int, halvings: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(channels, hidden, 1)]
        convs += [nn.Conv2d(hidden, hidden, 3, stride=2, padding=1) for _ in range(halvings)]
        self.layers = nn.ModuleList(nn.Sequential(conv, nn.LeakyReLU(0.2)) for conv in convs)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Maps to a frame, the encoder backwards; without an activation after the last doubling.

    Args:
        recall: the encoder's maps of the same size are added after each doubling.
    """

    def __init__(self, channels: int, hidden: int, doublings: int, *, recall: bool) -> None:
        super().__init__()
        self.recall = recall
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(hidden, hidden, 3, stride=2, padding=1, output_padding=1),
                nn.LeakyReLU(0.2) if n < doublings - 1 else nn.Identity(),
            )
            for n in range(doublings)
        )
        self.readout = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor, features: Sequence[Tensor]) -> Tensor:
        for layer, same_size in zip(self.layers, reversed(features[:-1]), strict=True):
            x = layer(x)
            if self.recall:
                x = x + same_size
        return self.readout(x)  # type: ignore[no-any-return]


class MAUStack(Stack[list[State]]):
    """Encoder, cells and decoder: one step from frame to frame.

    Args:
        tau: inputs and memories that each cell looks back on.
    """

    def __init__(self, cells: Sequence[Cell], encoder: Encoder, decoder: Decoder, *, tau: int):
        super().__init__(cells, decoder, embed=encoder)
        self.tau = tau
        self.halvings = len(decoder.layers)

    def begin(self, x: Tensor) -> list[State]:
        B, _, H, W = x.shape
        states = self.zeros(x.new_zeros(B, 1, H >> self.halvings, W >> self.halvings))
        return [
            state._replace(more=(past := state.c.expand(self.tau, -1, -1, -1, -1), past))
            for state in states
        ]

    def forward(self, x: Tensor, carry: list[State]) -> tuple[Tensor, list[State]]:
        features = self.embed(x)
        x = features[-1]
        states = []
        for cell, state in zip(self.cells, carry, strict=True):
            state = cell(x, state)
            states.append(state)
            x = state.h
        return self.head(x, features), states


@register_model("mau")
def mau(
    clip: Clip,
    *,
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 5,
    tau: Depth = 5,
    halvings: Depth = 2,
    residual: bool = False,
    recall: bool = False,
) -> Predictor:
    """MAU; the defaults are the authors' for Moving MNIST.

    Args:
        hidden: width of each layer, of the encoder's and of the decoder's maps, all equal.
        kernel: side of the cells' kernels.
        tau: how many steps back each cell attends; no tensor shows it.
        halvings: of a frame before the cells; 2 on Moving MNIST, 1 on TaxiBJ. The sources' sr_size
            is 2 to that.
        residual: each layer's input is added to its output ('residual' cells of the source).
        recall: the decoder is given the encoder's maps ('recall' mode of the source).
    """
    width = one_width(hidden)
    if tau < 2:
        raise Unfit(f"tau must be at least 2, for attention to have a choice, not {tau}")
    if clip.height % 2**halvings or clip.width % 2**halvings:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} cannot be halved {halvings} times; "
            "choose halvings so that 2 to their number divides both sides"
        )
    # the sources' option for the norm is never read
    conv = Conv(kernel, (clip.height >> halvings, clip.width >> halvings), bias=True)
    cells = [MAUCell(width, conv, residual=residual) for _ in hidden]
    encoder = Encoder(clip.channels, width, halvings)
    decoder = Decoder(clip.channels, width, halvings, recall=recall)
    return Recurrent(MAUStack(cells, encoder, decoder, tau=tau), patch=1)
