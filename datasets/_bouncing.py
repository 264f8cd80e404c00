"""Digits that move and bounce in a square, as the generator of Moving MNIST moves them.

The rules are those of N. Srivastava, E. Mansimov, R. Salakhutdinov, "Unsupervised Learning of
Video Representations using LSTMs", ICML 2015, and of every generator copied from it: a digit
travels a tenth of its range a frame, moves before its first frame, stops for an instant at a wall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchbench.clip import Clip
from benchbench.dataset import Split, SplitName
from benchbench.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

GENERATOR = 1
"""Raised whenever the same seed and index give another clip."""

STEP = 0.1
"""The part of its range that a digit travels in one frame."""

STREAMS: dict[SplitName, int] = {"train": 0, "val": 1, "test": 2}

Images = NDArray[np.uint8]


class Draw(NamedTuple):
    """What chance decides for one digit, in the order in which it is drawn."""

    x: float
    """Where it starts, from the left, in [0, 1) of its range."""
    y: float
    turn: float
    """Its direction, in [0, 1) of a full turn; 0 goes right, a quarter goes down."""
    image: int


def draws(seed: int, split: SplitName, index: int, digits: int, images: int) -> list[Draw]:
    """The draws of one clip: a pure function of seed, split and index.

    Reads the raw 64-bit words of Philox, whose stream numpy keeps for good, at a place of its
    own for each clip: the seed is the key, the split and the index the upper part of the counter.
    `index` may be anything below 2**128.
    """
    place = (STREAMS[split] << 192) | (index << 64)
    words = np.random.Philox(key=seed, counter=place).random_raw(4 * digits)
    chance = ((words >> np.uint64(11)) * 2.0**-53).tolist()
    return [Draw(x, y, turn, int(pick * images)) for x, y, turn, pick in _fours(chance)]


def _fours(numbers: Sequence[float]) -> list[tuple[float, float, float, float]]:
    return list(zip(numbers[0::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True))


def path(draw: Draw, frames: int, travel: int) -> list[tuple[int, int]]:
    """Top and left of one digit in every frame, in pixels from 0 to `travel`."""
    angle = draw.turn * 2 * np.pi
    down, right = float(np.sin(angle)), float(np.cos(angle))
    y, x = draw.y, draw.x
    places = []
    for _ in range(frames):
        y, down = _bounce(y + down * STEP, down)
        x, right = _bounce(x + right * STEP, right)
        places.append((int(travel * y), int(travel * x)))
    return places


def _bounce(place: float, speed: float) -> tuple[float, float]:
    if place <= 0.0:
        return 0.0, -speed
    if place >= 1.0:
        return 1.0, -speed
    return place, speed


def compose(images: Images, chosen: Sequence[Draw], frames: int, size: int) -> Images:
    """The clip of these draws, (T, size, size) in 0..255; where digits overlap, the brighter."""
    extent = images.shape[1]
    canvas = np.zeros((frames, size, size), np.uint8)
    for draw in chosen:
        image = images[draw.image]
        for frame, (top, left) in zip(canvas, path(draw, frames, size - extent), strict=True):
            patch = frame[top : top + extent, left : left + extent]
            np.maximum(patch, image, out=patch)
    return canvas


@dataclass(frozen=True)
class Bouncing(Split):
    """Clips generated from images; small to pickle, since the images are loaded where needed."""

    images: Callable[[], Images]
    """Gives the images of this split, (N, extent, extent) in 0..255; kept by whoever loads."""
    split: SplitName
    length: int | None
    seed: int
    digits: int
    shape: Clip

    def clip(self, index: int) -> Tensor:
        import torch

        images = self.images()
        chosen = draws(self.seed, self.split, index, self.digits, len(images))
        frames = compose(images, chosen, self.shape.frames, self.shape.height)
        return torch.from_numpy(frames).unsqueeze(1).to(torch.float32).div_(255)

    def name(self, index: int) -> str:
        return f"{self.split}-seed{self.seed}-{index}"


def check_options(*, size: int, digit_size: int, smallest: int, seed: int) -> None:
    """Refuses what cannot be drawn.

    Raises:
        OptionError: naming the option.
    """
    if not smallest <= digit_size <= size:
        raise OptionError(
            digit_size=f"expected {smallest} to {size} (the frame's size), not {digit_size}"
        )
    if not 0 <= seed < 2**128:
        raise OptionError(seed=f"expected a whole number of at least 0, not {seed}")
