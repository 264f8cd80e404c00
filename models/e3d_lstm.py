"""E3D-LSTM (Eidetic 3D LSTM), Wang et al., ICLR 2019.

Source: google/e3d_lstm at 3e5bd4b, `src/models/eidetic_3d_lstm_net.py` and
`src/layers/rnn_cell.py`.

B batch, C width, D = 2 frames of the window, H height, W width of the maps.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts
from benchbench.predictor import Ported, Predictor
from benchbench.recurrent import Block, Recurrent, Stack, State, climb, folded
from benchbench.registry import register_model

from ._blocks import BlockNames, Blocks, HalfSteps, Scales
from ._layers import Init, glorot, layers, one_width, uniform_

WINDOW = 2


class WindowConv(nn.Module):
    """3-D convolution of shape (2, k, k) with TensorFlow's same padding, then a layer norm.

    Time is padded with one zero at its end only. The norm's affine is one pair a channel, and its
    epsilon 1e-12, `tf.contrib.layers.layer_norm`'s.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, norm: bool) -> None:
        super().__init__()
        side = kernel // 2
        self.conv = nn.Conv3d(inputs, outputs, (WINDOW, kernel, kernel), padding=(0, side, side))
        self.norm = nn.GroupNorm(1, outputs, eps=1e-12) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(F.pad(x, (0, 0, 0, 0, 0, WINDOW - 1))))
        return normed


class EideticCell(Ported):
    """Eidetic 3D LSTM (section 3.2, released code): the recall gate attends to all past cells.

    States are (B, C, D, H, W). `state.more` is the history, (B, tokens, C): the cells of all the
    steps before, the initial zeros among them.

    Args:
        updated: hand the new second memory on. The released cell hands on the old one, which so
            stays zero for ever; its README admits a bug of the global memory.
    """

    def __init__(self, inputs: int, hidden: int, *, kernel: int, norm: bool, updated: bool) -> None:
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
        self.updated = updated
        conv = partial(WindowConv, kernel=kernel, norm=norm)
        self.of_x = conv(inputs, 7 * hidden)
        self.of_h = conv(hidden, 4 * hidden)
        self.of_m = conv(hidden, 4 * hidden)
        self.norm_c = nn.GroupNorm(1, hidden, eps=1e-12)
        self.of_new_c = WindowConv(hidden, hidden, kernel=kernel, norm=False)
        self.of_new_m = WindowConv(hidden, hidden, kernel=kernel, norm=False)
        self.reduce = nn.Conv3d(2 * hidden, hidden, 1)
        self.dead = {} if updated else {"of_m.conv.weight": "convolves a memory that stays zero"}

    def forward(self, x: Tensor, state: State) -> State:
        ix, gx, rx, ox, ix_m, gx_m, fx_m = self.of_x(x).chunk(7, dim=1)
        ih, gh, rh, oh = self.of_h(state.h).chunk(4, dim=1)
        im, fm, gm, mm = self.of_m(state.m).chunk(4, dim=1)
        history = torch.cat([state.more[0], tokens(state.c)], dim=1)
        c = self.norm_c(state.c + recall(torch.sigmoid(rx + rh), history))
        c = c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        m = torch.sigmoid(fx_m + fm + 1) * torch.tanh(mm)
        m = m + torch.sigmoid(ix_m + im) * torch.tanh(gx_m + gm)
        # the output gate is squashed twice in the released code
        o = torch.sigmoid(torch.tanh(ox + oh + self.of_new_c(c) + self.of_new_m(m)))
        h = o * torch.tanh(self.reduce(torch.cat([c, m], dim=1)))
        return State(h, c, m if self.updated else state.m, (history,))


def tokens(maps: Tensor) -> Tensor:
    """(B, C, D, H, W) to (B, DHW, C)."""
    return maps.flatten(2).transpose(1, 2)


def recall(gate: Tensor, history: Tensor) -> Tensor:
    """Attention of the recall gate (B, C, D, H, W) to the history; unscaled softmax over keys."""
    attended = F.scaled_dot_product_attention(tokens(gate), history, history, scale=1.0)
    return attended.transpose(1, 2).reshape(gate.shape)


class EideticStack(Stack[tuple[list[State], Tensor]]):
    """Memory in zigzag; each step reads the last two frames that were fed, zeros before the first.

    What is carried is the layers' states and the last frame.
    """

    def begin(self, x: Tensor) -> tuple[list[State], Tensor]:
        states = []
        for state in self.zeros(x):
            zeros = state.h.unsqueeze(2).repeat(1, 1, WINDOW, 1, 1)
            none = x.new_zeros(x.shape[0], 0, zeros.shape[1])
            states.append(State(zeros, zeros, zeros, (none,)))
        return states, torch.zeros_like(x)

    def forward(
        self, x: Tensor, carry: tuple[list[State], Tensor]
    ) -> tuple[Tensor, tuple[list[State], Tensor]]:
        states, last = carry
        states = climb(self.cells, torch.stack([last, x], dim=2), states[-1].m, states)
        return self.head(states[-1].h).squeeze(2), (states, x)


class EachFrame(nn.Module):
    """A block of two-dimensional maps, on each frame of the window."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        B = first.shape[0]
        maps = (x.transpose(1, 2).flatten(0, 1) for x in (first, second))  # (B D, C, H, W)
        a, b = (x.view(B, -1, *x.shape[1:]).transpose(1, 2) for x in self.block(*maps))
        return a, b


@register_model("e3d_lstm")
def e3d_lstm(
    clip: Clip,
    *,
    memory: Literal["as_released", "updated"] = "as_released",
    hidden: Counts = (64, 64, 64, 64),
    kernel: Count = 5,
    patch: Count = 4,
    norm: bool = True,
    init: Init = "released",
    blocks: BlockNames = (),
    se_scales: Scales = (1, 2, 4),
    ce_steps: HalfSteps = 5,
) -> Predictor:
    """E3D-LSTM: 3-D convolutions over windows of two frames, attention to all past cells.

    Args:
        memory: `as_released`, every cell hands on the second memory it was given, which therefore
            stays zero, a bug that its authors admit; `updated`, the paper's equations.
        hidden: width of each layer, all equal.
        kernel: spatial side of the kernels; in time they are 2 long.
        patch: side of the patches folded into channels.
        norm: layer norm after each gate convolution; the one of the recalled cell stays.
    """
    one_width(hidden)
    if kernel % 2 == 0:
        raise Unfit(f"kernel must be an odd number, not {kernel}")
    c, h, w = folded(clip, patch)
    wrap = Blocks(blocks, kernel, (h, w), se_scales, ce_steps, adapt=EachFrame)
    of = partial(EideticCell, kernel=kernel, norm=norm, updated=memory == "updated")
    head = nn.Conv3d(hidden[-1], c, (WINDOW, 1, 1), stride=(WINDOW, 1, 1))
    cells = layers(of, c, hidden)
    if init == "released":
        uniform_(nn.ModuleList([*cells, head]), glorot)
    return Recurrent(EideticStack([wrap(cell) for cell in cells], head), patch=patch)
