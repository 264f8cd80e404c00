"""E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998; set in motion.

Real handwritten digits, nothing to download: the 1,797 images of 8x8 pixels that scikit-learn
ships, enlarged, move and bounce as in Moving MNIST.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.clip import Clip
from benchbench.data.download import DataFile, Watch, silent
from benchbench.data.passport import fingerprint
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.errors import DataMissing
from benchbench.options import Count
from benchbench.registry import register_dataset

from ._bouncing import GENERATOR, STREAMS, Bouncing, Images, Naming, check_options

SIDE, COUNT = 8, 1797
PARTS: dict[SplitName, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""How the images of each digit are shared out; no image is in two splits."""


VERSION = 1


@register_dataset("moving_digits", version=VERSION)
def moving_digits(
    *,
    size: Count = 64,
    digits: Count = 2,
    digit_size: Count | None = None,
    context: Count = 10,
    horizon: Count = 10,
    train: Count | None = None,
    val: Count = 500,
    test: Count = 1000,
    seed: int = 0,
) -> Dataset:
    """Digits that move straight and bounce off the borders.

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
    extent = max(SIDE, round(size * 7 / 16)) if digit_size is None else digit_size
    check_options(size=size, digit_size=extent, smallest=SIDE, seed=seed)
    clip = Clip(1, size, size, context, horizon)
    return MovingDigits(clip, digits, extent, train, val, test, seed)


@dataclass(frozen=True)
class MovingDigits:
    """The dataset of one choice of options."""

    clip: Clip
    digits: int
    digit_size: int
    train: int | None
    val: int
    test: int
    seed: int

    def split(self, name: SplitName) -> Split:
        """Generated clips; only training may be endless."""
        images = functools.partial(images_of, name, self.digit_size)
        clip_at = Bouncing(images, name, self.seed, self.digits, self.clip)
        length: int | None = getattr(self, name)
        return Split(clip_at, length, id_of=Naming(name, self.seed))

    def prepare(self, _watch: Watch = silent, /) -> None:
        """Nothing to do: the digits come with scikit-learn."""
        self.check()

    def check(self) -> None:
        """Looks for the file of digits.

        Raises:
            DataMissing: scikit-learn lacks it.
        """
        digits_file()

    def files(self) -> tuple[DataFile, ...]:
        """The file of digits."""
        return (DataFile(digits_file()),)

    def fingerprint(self) -> dict[str, Any]:
        """Its passport."""
        return fingerprint("moving_digits", VERSION, self, files=self.files(), generator=GENERATOR)


def digits_file() -> Path:
    """Where scikit-learn keeps its digits; found without importing it, which takes seconds.

    Raises:
        DataMissing: it is not there.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataMissing("moving_digits: scikit-learn is not installed; install scikit-learn")
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        raise DataMissing(f"{file}: no such file; install scikit-learn anew")
    return file


@functools.cache
def small_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The images, (1797, 8, 8) in [0, 1], and which digit each one is."""
    file = digits_file()
    with gzip.open(file, "rt", encoding="ascii") as text:
        table = np.loadtxt(text, delimiter=",")
    if table.shape != (COUNT, SIDE * SIDE + 1):
        raise DataMissing(
            f"{file}: expected {COUNT} rows of {SIDE * SIDE + 1} numbers, not {table.shape}; "
            "install scikit-learn anew"
        )
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
def images_of(split: SplitName, extent: int) -> Images:
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
