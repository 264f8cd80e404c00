"""E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998; set in motion.

Real handwritten digits, nothing to download: 1,797 images of 8x8 pixels (`digits.csv.gz`, see
`digits.md`), enlarged, move and bounce as in Moving MNIST.
"""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.clip import Clip
from benchbench.data.download import DataFile
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.options import Count
from benchbench.registry import register_dataset

from ._bouncing import GENERATOR, STREAMS, Bouncing, Images, check_options

SIDE, COUNT = 8, 1797
PARTS: dict[SplitName, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""How the images of each digit are shared out; no image is in two splits."""
DIGITS = DataFile(
    Path(__file__).with_name("digits.csv.gz"),
    digest="sha256:09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    advice="install benchbench anew",
)


@register_dataset("moving_digits", version=1)
@dataclass(kw_only=True)
class MovingDigits(Dataset):
    """Digits that move straight and bounce off the borders; the fields are the options.

    Args:
        size: side of the square frames, pixels.
        digits: how many move in a clip.
        digit_size: side of a digit, pixels; 7/16 of the frame if null, as in Moving MNIST.
        context: frames read.
        horizon: frames to predict.
        train: clips of a fixed training set; null never repeats a clip.
        val: clips of the validation set.
        test: clips of the test set.
        seed: of the generator.
    """

    clip: Clip = field(init=False)
    size: Count = 64
    digits: Count = 2
    digit_size: Count | None = None
    context: Count = 10
    horizon: Count = 10
    train: Count | None = None
    val: Count = 500
    test: Count = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(
            size=self.size,
            digit_size=self.extent,
            smallest=SIDE,
            seed=self.seed,
        )
        self.clip = Clip(1, self.size, self.size, self.context, self.horizon)

    @property
    def extent(self) -> int:
        """The side of a digit, pixels."""
        return max(SIDE, round(self.size * 7 / 16)) if self.digit_size is None else self.digit_size

    def split(self, name: SplitName) -> Split:
        """Generated clips; only training may be endless."""
        images = functools.partial(enlarged_digits, name, self.extent)
        return Bouncing(images, name, getattr(self, name), self.seed, self.digits, self.clip)

    def files(self) -> tuple[DataFile, ...]:
        """The file of digits, which is shipped with this one."""
        return (DIGITS,)

    def notes(self) -> dict[str, Any]:
        """The generator's version."""
        return {"generator": GENERATOR}


@functools.cache
def small_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The images, (1797, 8, 8) in [0, 1], and which digit each one is."""
    with gzip.open(DIGITS.path, "rt", encoding="ascii") as text:
        table = np.loadtxt(text, delimiter=",")
    return table[:, :-1].reshape(-1, SIDE, SIDE) / 16, table[:, -1].astype(np.int64)


@functools.cache
def members(split: SplitName) -> NDArray[np.int64]:
    """Which images belong to a split: the same share of every digit, drawn once and for all."""
    _, labels = small_digits()
    order = np.argsort(np.random.Philox(key=0).random_raw(COUNT))
    first = sum(PARTS[name] for name in STREAMS if STREAMS[name] < STREAMS[split])
    last = first + PARTS[split]
    chosen = []
    for digit in range(10):
        mine = order[labels[order] == digit]
        chosen.append(mine[round(first * len(mine)) : round(last * len(mine))])
    return np.sort(np.concatenate(chosen))


@functools.lru_cache(maxsize=8)
def enlarged_digits(split: SplitName, extent: int) -> Images:
    """The digits of a split, enlarged to `extent` pixels, in 0..255.

    One dark pixel is put around each first, so that no stroke ends at a hard edge. The cubic
    enlargement of an 8x8 image is soft; the contrast curve gives strokes with a firm core.
    """
    small, _ = small_digits()
    padded = np.pad(small[members(split)], ((0, 0), (1, 1), (1, 1)))
    weights = cubic(SIDE + 2, extent)
    large = np.clip(weights @ padded @ weights.T, 0, 1)
    firm = np.clip((large - 0.15) / 0.6, 0, 1)
    # The small offset decides ties the same way whatever the order of summation.
    return np.floor(255 * firm + 0.5 + 1e-6).astype(np.uint8)


def cubic(small: int, large: int) -> NDArray[np.float64]:
    """The matrix (large, small) that enlarges a row of pixels by Catmull-Rom interpolation."""
    centre = (np.arange(large) + 0.5) * small / large - 0.5
    away = np.abs(centre[:, None] - np.arange(small)[None, :])
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = np.where(away <= 1, near, np.where(away < 2, far, 0.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
