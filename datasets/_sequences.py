"""Clips read from the files in which Moving MNIST is exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchbench.clip import Clip
from benchbench.data.copies import require_copy
from benchbench.data.npy import inspect_npy, open_npz
from benchbench.dataset import Split
from benchbench.errors import DataMissing

from ._arrays import inspect_npz, mapped, unpacked

if TYPE_CHECKING:
    from torch import Tensor

FRAMES, EXTENT = 20, 64
"""Frames of a clip of the published test files, and their side in pixels."""


@dataclass(frozen=True)
class TimeMajor(Split):
    """Clips of a (20, N, 64, 64) file of values in 0..255."""

    path: Path
    length: int
    frames: int

    def clip(self, index: int) -> Tensor:
        import torch

        frames = mapped(self.path)[: self.frames, index].astype(np.float32)
        return torch.from_numpy(frames).unsqueeze(1).div_(255)

    def name(self, index: int) -> str:
        return f"{self.path.stem}-{index}"


def inspect_sequences(path: Path, *, count: int) -> None:
    """Looks whether a file has the form of the official test clips.

    Raises:
        DataMissing: it has not.
    """
    header = inspect_npy(path)
    shape, dtype = header.shape, header.dtype
    expected = (FRAMES, count, EXTENT, EXTENT)
    if shape != expected or dtype not in (np.uint8, np.float32):
        raise DataMissing(
            f"{path}: expected {expected} of uint8 (or float32), not {shape} of {dtype}"
        )


@dataclass(frozen=True)
class Slices(Split):
    """Clips of an npz file of the PredRNN project, from its number `first` on.

    `clips` is (2, N, 2): start and length of the input, then of the output, in `input_raw_data`
    (frames, C, H, W), or for the output in `output_raw_data` where there is one.
    """

    stem: str
    clips: Path
    inputs: Path
    outputs: Path
    first: int
    length: int
    frames: int

    @classmethod
    def of(cls, path: Path, first: int, length: int, frames: int) -> Slices:
        """Those of an unpacked npz file."""
        last = "output_raw_data"
        if last not in inspect_npz(path, keys=()):
            last = "input_raw_data"
        clips, inputs, outputs = (
            require_copy(unpacked(path, key)) for key in ("clips", "input_raw_data", last)
        )
        return cls(path.stem, clips, inputs, outputs, first, length, frames)

    def clip(self, index: int) -> Tensor:
        import torch

        spans = mapped(self.clips)[:, self.first + index].tolist()
        parts = [
            mapped(raw)[start : start + length]
            for (start, length), raw in zip(spans, (self.inputs, self.outputs), strict=True)
        ]
        frames = np.concatenate(parts)[: self.frames]
        return torch.from_numpy(frames.astype(np.float32))

    def name(self, index: int) -> str:
        return f"{self.stem}-{self.first + index}"


def inspect_clips(path: Path, *, clip: Clip) -> None:
    """Looks whether an npz file of the PredRNN project has such clips.

    Raises:
        DataMissing: it has not.
    """
    shapes = inspect_npz(path, keys=("clips", "dims", "input_raw_data"))
    raw = shapes["input_raw_data"]
    frame = (clip.channels, clip.height, clip.width)
    if raw[1:] != frame:
        raise DataMissing(f"{path}: expected frames of {frame}, not {raw[1:]}")
    with open_npz(path) as npz:
        clips: NDArray[np.int64] = npz.read("clips")
    if clips.ndim != 3 or clips.shape[0::2] != (2, 2) or not clips.size or clips.dtype.kind != "i":
        raise DataMissing(
            f"{path}: expected clips of shape (2, N, 2), whole numbers, not {clips.shape} of "
            f"{clips.dtype}"
        )
    held = (raw[0], shapes.get("output_raw_data", raw)[0])
    if (clips < 0).any() or (clips.sum(axis=2).max(axis=1) > held).any():
        raise DataMissing(
            f"{path}: clips reach outside the {held[0]} and {held[1]} frames there are; "
            "get it or make it again"
        )
    shortest = int(clips[:, :, 1].sum(0).min())
    if shortest < clip.frames:
        raise DataMissing(f"{path}: clips of {shortest} frames; expected {clip.frames} or more")
