"""Contact sheet: a few clips as one picture, a clip a row, its frames from left to right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchbench.atomic import replacing
from benchbench.clip import Clip
from benchbench.dataset import Split

if TYPE_CHECKING:
    from torch import Tensor

GAP = 4
SMALLEST = 64
"""Frames that are smaller are enlarged by whole factors to about this many pixels."""
PAPER = (255, 255, 255)
FUTURE = (214, 69, 65)


def contact_sheet(split: Split, clip: Clip, *, clips: int = 4) -> NDArray[np.uint8]:
    """The first clips of a split, (H, W, 3) in 0..255; a red line stands before the future.

    Clips of two channels, or more than three, get a row for each channel.
    """
    count = clips if split.length is None else min(clips, split.length)
    rows = [row for index in range(count) for row in _rows(split[index])]
    return np.concatenate([_strip(row, clip.context) for row in rows])


def _rows(clip: Tensor) -> list[NDArray[np.uint8]]:
    """Rows (T, H, W, 3) of one clip (T, C, H, W)."""
    frames = (clip.numpy() * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)
    if frames.shape[-1] == 3:
        return [frames]
    return [frames[..., [channel] * 3] for channel in range(frames.shape[-1])]


def _strip(frames: NDArray[np.uint8], context: int) -> NDArray[np.uint8]:
    scale = max(1, round(SMALLEST / max(frames.shape[1:3])))
    frames = frames.repeat(scale, axis=1).repeat(scale, axis=2)
    height = frames.shape[1]
    parts = []
    for time, frame in enumerate(frames):
        colour = FUTURE if time == context else PAPER
        parts += [np.full((height, GAP, 3), colour, np.uint8), frame]
    strip = np.concatenate([*parts, np.full((height, GAP, 3), PAPER, np.uint8)], axis=1)
    edge = np.full((GAP, strip.shape[1], 3), PAPER, np.uint8)
    return np.concatenate([edge, strip, edge])


def write_png(image: NDArray[np.uint8], path: Path) -> None:
    """Writes a picture in one step."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
