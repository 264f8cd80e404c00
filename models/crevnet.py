"""CrevNet, Yu et al., ICLR 2020: predicts between the two ends of an invertible network.

Sources: gnosisyuw/CrevNet-Traffic4cast `layers.py`, `train.py` at 810b2a9, the authors' 2-D code,
and tamasino52/CrevNet `layers_3d.py`, `utils/utils_3d.py`, `model_mnist.py`, somebody's upload of
the 3-D code for Moving MNIST. The paper's "CrevNet + ConvLSTM" is in no code.

B batch, T frames, C channels, H height, W width of frames, n frames of a clip; D half the channels
of the latent maps, (B, D, h, w) in 2-D and (B, D, n, h, w) in 3-D.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count, Counts, Depth
from benchbench.predictor import Predictor, Progress
from benchbench.recurrent import Stack, State
from benchbench.registry import register_model

from ._reversible import Autoencoder, Space, stacked

Strides = Annotated[Sequence[Literal[1, 2]], Field(min_length=1, max_length=20)]


class SpatiotemporalCell(nn.Module):
    """An ST-LSTM whose gates see the cells as well (released code; the paper draws PredRNN's)."""

    def __init__(self, space: Space, width: int) -> None:
        super().__init__()
        self.inputs = self.hidden = width
        self.i, self.f, self.g = (space.conv(3 * width, width) for _ in range(3))
        self.i_m, self.f_m, self.g_m = (space.conv(3 * width, width) for _ in range(3))
        self.o = space.conv(4 * width, width)
        self.reduce = space.conv(2 * width, width, 1)

    def forward(self, x: Tensor, state: State) -> State:
        seen = torch.cat([x, state.h, state.c], dim=1)
        i, f, g = torch.sigmoid(self.i(seen)), torch.sigmoid(self.f(seen)), self.g(seen)
        c = f * state.c + i * torch.tanh(g)
        seen = torch.cat([x, state.m, c], dim=1)
        i, f, g = torch.sigmoid(self.i_m(seen)), torch.sigmoid(self.f_m(seen)), self.g_m(seen)
        m = f * state.m + i * torch.tanh(g)
        o = torch.sigmoid(self.o(torch.cat([x, state.h, c, m], dim=1)))
        return State(o * torch.tanh(self.reduce(torch.cat([c, m], dim=1))), c, m)


class PlainCell(nn.Module):
    """A ConvLSTM without peepholes, of x and h, gates i, f, o, g; hands m on untouched.

    What the paper's "CrevNet + ConvLSTM" can be: nothing says more of it than its name.
    """

    def __init__(self, space: Space, width: int) -> None:
        super().__init__()
        self.inputs = self.hidden = width
        self.of_xh = space.conv(2 * width, 4 * width)

    def forward(self, x: Tensor, state: State) -> State:
        i, f, o, g = self.of_xh(torch.cat([x, state.h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        return state._replace(h=torch.sigmoid(o) * torch.tanh(c), c=c)


class Carry(NamedTuple):
    """State of each layer, and the memory that climbs them all, then enters the lowest again."""

    states: list[State]
    memory: Tensor


class ReversibleStack(Stack[Carry]):
    """From one clip's maps to the next one's: each layer moves one stream by the other (eq 4)."""

    def __init__(
        self,
        cells: Sequence[SpatiotemporalCell] | Sequence[PlainCell],
        autoencoder: Autoencoder,
        attention: Sequence[nn.Module],
    ) -> None:
        super().__init__(cells, nn.Identity(), embed=autoencoder)
        self.attention = nn.ModuleList(attention)

    def begin(self, x: Tensor) -> Carry:
        zero = torch.zeros_like(self.embed(x)[0])
        return Carry([State(zero, zero, zero) for _ in self.cells], zero)

    def forward(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        x, y = self.embed(x)
        memory, states = carry.memory, []
        for cell, attention, state in zip(self.cells, self.attention, carry.states, strict=True):
            state = cell(x, state._replace(m=memory))
            gate = torch.sigmoid(attention(state.h))
            x, y = (1 - gate) * y + gate * state.h, x
            memory = state.m
            states.append(state)
        return self.embed.inverse((x, y)), Carry(states, memory)  # type: ignore[operator]


class CrevNet(Predictor):
    """Rolls the stack over clips of n frames, each a frame further than the one before.

    Args:
        window: n; with 1, over single frames.
    """

    def __init__(self, stack: ReversibleStack, *, window: int) -> None:
        super().__init__()
        self.stack = stack
        self.window = window

    def roll(self, clips: Tensor, context: int, truth: Tensor | None = None) -> list[Tensor]:
        """The predicted clips 1 … N - 1, each (B, n, C, H, W).

        Args:
            clips: (B, N, n, C, H, W), clip t with the true frames from t on.
            context: how many of the frames are known: they are fed where they are in a clip, and
                else those of the clip predicted last.
            truth: (B, N - 1), 1 where a clip of true frames is fed instead. None: nowhere.
        """
        clip = clips[:, 0]
        carry = self.stack.begin(self._maps(clip))
        predictions: list[Tensor] = []
        for t in range(clips.shape[1] - 1):
            if t > 0:
                clip = self.completed(clips, context, t, predictions[-1])
            if truth is not None:
                share = truth[:, t].to(clip).view(-1, 1, 1, 1, 1)
                clip = share * clips[:, t] + (1 - share) * clip
            maps, carry = self.stack(self._maps(clip), carry)
            # autocast leaves half precision in the head's output
            maps = maps.to(clips.dtype)
            predictions.append(maps.transpose(1, 2) if self.window > 1 else maps[:, None])
        return predictions

    def completed(self, clips: Tensor, context: int, t: int, predicted: Tensor) -> Tensor:
        """Clip t, its known frames true, the others predicted."""
        count = min(max(0, context - t), self.window)
        return torch.cat([clips[:, t, :count], predicted[:, count:]], dim=1)

    def windows(self, frames: Tensor) -> Tensor:
        """(B, T, C, H, W) to clips (B, T - n + 1, n, C, H, W), each a frame further."""
        return frames.unfold(1, self.window, 1).movedim(-1, 2)

    def _maps(self, clip: Tensor) -> Tensor:
        """A clip as the stack reads it, (B, C, n, H, W) or without n where it is 1."""
        return clip.transpose(1, 2) if self.window > 1 else clip[:, 0]

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        frames = functional.pad(context, (*[0] * 7, horizon))
        clips = self.roll(self.windows(frames), context.shape[1])
        # every frame as first predicted, the newest of its clip
        return torch.stack([clip[:, -1] for clip in clips[-horizon:]], dim=1)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Pixel losses of each clip but the first, summed."""
        clips = self.windows(torch.cat([context, target], dim=1))
        truth = self.truth(context, target, progress).to(clips.device, non_blocking=True)
        predictions = self.roll(clips, context.shape[1], truth[:, self.window - 1 :])
        terms: Counter[str] = Counter()
        for clip, predicted in zip(clips.unbind(1)[1:], predictions, strict=True):
            terms.update(progress.criterion(predicted, clip))
        return dict(terms)  # type: ignore[arg-type]

    def truth(self, context: Tensor, target: Tensor, progress: Progress) -> Tensor:
        """(B, T - 1), 1 where a true frame ends the clip that is fed.

        Everywhere, as in the sources; where the suite asks for a sampling, that one.
        """
        B, before, after = len(context), context.shape[1], target.shape[1]
        if progress.truth is not None or progress.sampling.kind != "none":
            return progress.mask(B, before, after)
        return torch.ones(B, before + after - 1)


@register_model("crevnet")
def crevnet(
    clip: Clip,
    *,
    window: Depth = 3,
    stages: Counts = (4, 5, 3),
    strides: Strides = (1, 2, 2),
    bottleneck: Count = 2,
    layers: Depth = 8,
    cell: Literal["st-lstm", "convlstm"] = "st-lstm",
) -> Predictor:
    """CrevNet; the defaults are those of Moving MNIST in the 3-D code.

    Args:
        window: frames that it reads at a time, one further each step; 1 makes the 2-D network, more
            the 3-D one.
        stages: reversible blocks of each stage of the autoencoder.
        strides: of the first block of each stage; 2 halves height and width.
        bottleneck: how many times narrower the middle of a block is than its output.
        layers: of the predictor in the middle, all as wide as half the latent maps.
        cell: `st-lstm`, with a second memory, as released; `convlstm`, without, in place of the
            paper's "CrevNet + ConvLSTM".
    """
    if len(stages) != len(strides):
        raise Unfit(
            f"stages {list(stages)} and strides {list(strides)}: a number of each for every stage"
        )
    reduction = 2 ** (1 + sum(stride == 2 for stride in strides))
    if clip.height % reduction or clip.width % reduction:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} are halved to {reduction} times smaller maps; "
            f"crop them to multiples of {reduction}, or give fewer strides of 2"
        )
    if clip.context < window:
        raise Unfit(
            f"it reads {window} frames at a time, and a context of {clip.context} has fewer; "
            f"set window: {clip.context}"
        )
    space = Space(window)
    autoencoder = stacked(space, clip.channels, stages, strides, bottleneck)
    width = autoencoder.width
    kind = SpatiotemporalCell if cell == "st-lstm" else PlainCell
    cells = [kind(space, width) for _ in range(layers)]
    attention = [space.attention(width) for _ in range(layers)]
    return CrevNet(ReversibleStack(cells, autoencoder, attention), window=window)  # type: ignore[arg-type]
