"""The recurrent skeleton: one loop for each class.

A Cell is one layer for one step, a Stack all layers for one step, Recurrent all steps. A new
recurrent network is a new Cell, a new wiring of layers a new Stack; the roll-out is written once.

B batch, T frames, C channels, H height, W width of frames; c, h, w of folded ("patched") frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.predictor import Predictor, Progress

PatchOrder = Literal["thuml", "cms", "torch"]

# How the axes (B, T, C, h, dy, w, dx) of blocks are laid out as channels.
_FOLD = {
    "thuml": (0, 1, 4, 6, 2, 3, 5),  # channel = (dy p + dx) C + c
    "cms": (0, 1, 2, 6, 4, 3, 5),  # channel = c p^2 + dx p + dy
    "torch": (0, 1, 2, 4, 6, 3, 5),  # channel = c p^2 + dy p + dx
}


def fold(frames: Tensor, patch: int, order: PatchOrder = "thuml") -> Tensor:
    """Space to depth: (B, T, C, H, W) to (B, T, C p², H/p, W/p).

    `thuml`: thuml/predrnn-pytorch `preprocess.reshape_patch`; `cms`: czh-98/CMS-LSTM
    `utils.reshape_patch` (column offset major); `torch`: `torch.nn.PixelUnshuffle`.
    """
    B, T, C, H, W = frames.shape
    blocks = frames.reshape(B, T, C, H // patch, patch, W // patch, patch)
    return blocks.permute(_FOLD[order]).reshape(B, T, C * patch * patch, H // patch, W // patch)


def unfold(patches: Tensor, patch: int, order: PatchOrder = "thuml") -> Tensor:
    """Depth to space, the inverse of `fold`."""
    B, T, c, h, w = patches.shape
    C = c // (patch * patch)
    sizes = (B, T, C, h, patch, w, patch)
    axes = _FOLD[order]
    blocks = patches.reshape([sizes[axis] for axis in axes])
    inverse = [axes.index(axis) for axis in range(7)]
    return blocks.permute(inverse).reshape(B, T, C, h * patch, w * patch)


def folded(clip: Clip, patch: int) -> tuple[int, int, int]:
    """(c, h, w) of a clip's frames after `fold`.

    Raises:
        Unfit: the frames do not divide into patches.
    """
    if patch < 1:
        raise Unfit(f"patch must be at least 1, not {patch}")
    if clip.height % patch or clip.width % patch:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} do not divide into patches of {patch}; "
            "choose a patch that divides both"
        )
    return clip.channels * patch * patch, clip.height // patch, clip.width // patch


class State(NamedTuple):
    """One layer's state: output h, cell c, second memory m; each (B, hidden, h, w).

    A cell without a second memory hands m on untouched. `more` is what only one kind of cell
    carries: MIM's inner cell, E3D-LSTM's history.
    """

    h: Tensor
    c: Tensor
    m: Tensor
    more: tuple[Tensor, ...] = ()


class Cell(Protocol):
    """One layer, one step: from maps of width `inputs` to maps of width `hidden`."""

    inputs: int
    hidden: int

    def __call__(self, x: Tensor, state: State) -> State:
        """The next state, from the layer's input (B, width, h, w) and its state."""


class Block(Protocol):
    """Refines a pair of maps, and returns the pair."""

    def __call__(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]: ...


class Wrapped(nn.Module):
    """A cell with a block before its gates, (x, h) -> (x, h), or after them, (h, c) -> (h, c).

    It is itself a cell, and so fits any stack.
    """

    def __init__(
        self, cell: Cell, *, before: Block | None = None, after: Block | None = None
    ) -> None:
        super().__init__()
        self.cell = cell
        self.before = before
        self.after = after
        self.inputs, self.hidden = cell.inputs, cell.hidden

    def forward(self, x: Tensor, state: State) -> State:
        if self.before is not None:
            x, h = self.before(x, state.h)
            state = state._replace(h=h)
        state = self.cell(x, state)
        if self.after is not None:
            h, c = self.after(state.h, state.c)
            state = state._replace(h=h, c=c)
        return state


Carry = TypeVar("Carry")


class Stack(nn.Module, ABC, Generic[Carry]):
    """All layers, one step: `embed`, the cells one above the other, `head` on the top output.

    A subclass is a wiring of the layers. What it carries from step to step is its own type: `begin`
    makes it, `forward` takes it and returns the next; it never lives on the module.
    """

    def __init__(
        self, cells: Sequence[Cell], head: nn.Module, *, embed: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cast("Sequence[nn.Module]", cells))
        self.head = head
        self.embed = embed if embed is not None else nn.Identity()

    @abstractmethod
    def begin(self, x: Tensor) -> Carry:
        """What the first step carries, for inputs shaped as x (B, c, h, w)."""

    @abstractmethod
    def forward(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The next frame's prediction and the next carry, from one frame (B, c, h, w)."""

    def zeros(self, x: Tensor) -> list[State]:
        """A state of zeros for each layer, for inputs shaped as x (B, c, h, w)."""
        B, _, h, w = x.shape
        maps = (x.new_zeros(B, cast("int", cell.hidden), h, w) for cell in self.cells)
        return [State(zeros, zeros, zeros) for zeros in maps]


class Straight(Stack[list[State]]):
    """Each layer reads the one below and keeps its own memory."""

    def begin(self, x: Tensor) -> list[State]:
        return self.zeros(x)

    def forward(self, x: Tensor, carry: list[State]) -> tuple[Tensor, list[State]]:
        x = self.embed(x)
        states = []
        for cell, state in zip(self.cells, carry, strict=True):
            state = cell(x, state)
            states.append(state)
            x = state.h
        return self.head(x), states


def climb(cells: Iterable[nn.Module], x: Tensor, m: Tensor, states: Iterable[State]) -> list[State]:
    """The layers' new states, while one second memory m climbs through them with x."""
    climbed = []
    for cell, state in zip(cells, states, strict=True):
        state = cell(x, state._replace(m=m))
        climbed.append(state)
        x, m = state.h, state.m
    return climbed


class Zigzag(Stack[list[State]]):
    """One second memory for the network: it climbs the layers, then enters the lowest at the next
    step (PredRNN, Wang et al. 2017, Figure 2). All widths must be equal, the memory being shared.
    """

    def begin(self, x: Tensor) -> list[State]:
        return self.zeros(x)

    def forward(self, x: Tensor, carry: list[State]) -> tuple[Tensor, list[State]]:
        states = climb(self.cells, self.embed(x), carry[-1].m, carry)
        return self.head(states[-1].h), states


class Recurrent(Predictor):
    """All steps: folds frames into patches, rolls a stack over them, unfolds.

    Args:
        stack: one step of the network, on folded frames.
        patch: side of the patches that become channels.
        patch_order: how their pixels are laid out, see `fold`.
        first_scored: index of the first predicted frame that is in the loss. Frame 1 in the PredRNN
            family; CMS-LSTM's trainer throws the prediction of frame 1 away, so 2 there.
        penalty: gives further named terms of the loss from what each step of training carried.
    """

    def __init__(
        self,
        stack: Stack[Any],
        *,
        patch: int,
        patch_order: PatchOrder = "thuml",
        first_scored: int = 1,
        penalty: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.stack = stack
        self.patch = patch
        self.patch_order = patch_order
        self.first_scored = first_scored
        self.penalty = penalty

    def steps(
        self, frames: Tensor, count: int, truth: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Any]]:
        """Each step's prediction, folded, and what it carries to the next; arguments as `roll`."""
        x = fold(frames, self.patch, self.patch_order)
        carry = self.stack.begin(x[:, 0])
        prediction = x[:, 0]
        for t in range(count):
            if truth is None or t == 0:
                fed = x[:, t] if t < x.shape[1] else prediction
            else:
                true = truth[:, t].to(x).view(-1, 1, 1, 1)
                fed = true * x[:, t] + (1 - true) * prediction
            prediction, carry = self.stack(fed, carry)
            yield prediction, carry

    def roll(self, frames: Tensor, count: int, truth: Tensor | None = None) -> Tensor:
        """Predictions of frames 1 … count, (B, count, C, H, W), unclipped.

        Args:
            frames: (B, T, C, H, W), the true frames.
            count: how many frames to feed, true or own.
            truth: (B, count), 1 where the true frame is fed, 0 where the prediction made of it at
                the step before is; in between they are mixed. None: true frames as far as there
                are any, then own predictions.
        """
        predictions = [prediction for prediction, _ in self.steps(frames, count, truth)]
        return self._unfolded(predictions, frames.dtype)

    def _unfolded(self, predictions: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        # autocast leaves half precision in the head's output; losses and scores want the frames'
        rolled = torch.stack(list(predictions), dim=1).to(dtype)
        return unfold(rolled, self.patch, self.patch_order)

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return self.roll(context, context.shape[1] + horizon - 1)[:, -horizon:]

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        frames = torch.cat([context, target], dim=1)
        B, count = frames.shape[0], frames.shape[1] - 1
        truth = progress.mask(B, context.shape[1], target.shape[1])
        steps = list(self.steps(frames, count, truth.to(frames.device, non_blocking=True)))
        predictions = self._unfolded([prediction for prediction, _ in steps], frames.dtype)
        # a clip of one context frame has no discarded warm-up prediction to drop
        first = min(self.first_scored, context.shape[1])
        terms = progress.criterion(predictions[:, first - 1 :], frames[:, first:])
        if self.penalty is not None:
            terms |= self.penalty([carry for _, carry in steps])
        return terms
