"""Windows of recordings that lie as npy arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.dataset import Split
from benchbench.errors import DataMissing

from ._arrays import mapped

if TYPE_CHECKING:
    from torch import Tensor

ORDERS = ("NTCHW", "NTHWC", "NCTHW", "TNCHW", "NTHW", "TCHW", "THWC", "CTHW", "TNHW", "THW", "HWT")
"""Orders of axes that people store frames in."""


@dataclass(frozen=True)
class Recording:
    """Frames that follow one another: an array, or one entry along its axis N."""

    name: str
    source: str
    """The file, relative to the dataset's path, whose name may say a split; empty of one file."""
    array: Path
    axes: str
    entry: int | None
    frames: int

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Frames (T, C, H, W), as stored."""
        array, axes = mapped(self.array), self.axes
        if self.entry is not None:
            array = array.take([self.entry], axis=axes.index("N")).squeeze(axes.index("N"))
            axes = axes.replace("N", "")
        window = array[tuple(slice(start, stop) if a == "T" else slice(None) for a in axes)]
        ordered = window.transpose([axes.index(a) for a in "TCHW" if a in axes])
        return ordered if "C" in axes else ordered[:, None]


@dataclass(frozen=True)
class Window:
    """Where one clip lies."""

    recording: Recording
    start: int


def fitting_axes(shape: tuple[int, ...], frame: Mapping[str, int]) -> str:
    """`; axes: NTHW would fit`: orders in which arrays of such frames are stored; empty if none."""
    fits = [
        axes
        for axes in ORDERS
        if len(axes) == len(shape)
        and all(shape[axes.index(axis)] == frame[axis] for axis in frame if axis in axes)
        and ("C" in axes or frame["C"] == 1)
    ]
    return f"; axes: {' or '.join(fits)} would fit" if fits else ""


def scale_of(dtype: np.dtype[Any], values: tuple[float, float] | None) -> tuple[float, float]:
    """The values that become 0 and 1: those of the option, or what the type of an array says."""
    if values is not None:
        return values
    return (0.0, 255.0) if dtype == np.uint8 else (0.0, 1.0)


def check_range(path: Path, values: tuple[float, float] | None) -> None:
    """Asks that all of an array be in its range; reads the whole of it.

    Raises:
        DataMissing: a value is not a number, or outside the range.
    """
    array = mapped(path)
    low, high = scale_of(array.dtype, values)
    if array.size == 0 or (array.dtype == np.uint8 and (low, high) == (0.0, 255.0)):
        return
    least, greatest = float(array.min()), float(array.max())
    if not math.isfinite(least - greatest):
        raise DataMissing(
            f"{path}: values from {least:g} to {greatest:g}; expected finite numbers everywhere: "
            "fill in what is not known before"
        )
    if not (low <= least and greatest <= high):
        raise DataMissing(
            f"{path}: values from {least:g} to {greatest:g}; expected [{low:g}, {high:g}], or "
            "give them as 'values'"
        )


@dataclass(frozen=True)
class RecordingWindows(Split):
    """Clips that are windows of recordings, named by the recording and the first frame."""

    windows: tuple[Window, ...]
    length: int
    frames: int
    values: tuple[float, float] | None

    def clip(self, index: int) -> Tensor:
        import torch

        window = self.windows[index]
        frames = window.recording.read(window.start, window.start + self.frames)
        low, high = scale_of(frames.dtype, self.values)
        scaled = (frames.astype(np.float32) - np.float32(low)) / np.float32(high - low)
        return torch.from_numpy(np.ascontiguousarray(np.clip(scaled, 0, 1)))

    def name(self, index: int) -> str:
        window = self.windows[index]
        return f"{window.recording.name}@{window.start}"
