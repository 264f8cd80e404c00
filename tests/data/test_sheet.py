"""Contact sheets: a row a clip, the future marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchbench.clip import Clip
from benchbench.data.sheet import FUTURE, contact_sheet, write_png

from ..stand_ins import ComputedSplit


@pytest.mark.parametrize(("channels", "rows"), [(1, 1), (2, 2), (3, 1)])
def test_a_contact_sheet_has_a_row_a_clip_and_marks_the_future(channels: int, rows: int) -> None:
    clip = Clip(channels, 8, 8, 3, 1)
    split = ComputedSplit(lambda index: torch.full(clip.shape, index / 4), 2)
    sheet = contact_sheet(split, clip)
    assert sheet.shape == (2 * rows * 72, 4 * 68 + 4, 3)
    assert tuple(sheet[10, 3 * 68]) == FUTURE
    assert tuple(sheet[10, 2 * 68]) == (255, 255, 255)
    middle = sheet[36 :: 72 * rows, 36, 0]
    np.testing.assert_array_equal(middle, [0, 64])


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    write_png(image, tmp_path / "deep" / "x.png")
    np.testing.assert_array_equal(Image.open(tmp_path / "deep" / "x.png"), image)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["x.png"]
