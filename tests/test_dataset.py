"""Splits, the data folder, passports and contact sheets."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchbench.clip import Clip
from benchbench.data.download import DataFile
from benchbench.data.passport import clip_hash, file_hashes, names_hash, reread
from benchbench.data.sheet import FUTURE, contact_sheet, write_png
from benchbench.dataset import data_folder, prepare
from benchbench.errors import DataMissing
from benchbench.registry import build_dataset

from .conftest import ComputedSplit


def a_split(length: int | None = 3, channels: int = 1) -> ComputedSplit:
    return ComputedSplit(lambda index: torch.full((4, channels, 8, 8), (index % 5) / 4), length)


def test_the_data_folder_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", "~/somewhere")
    assert data_folder() == Path("~/somewhere").expanduser()
    monkeypatch.delenv("BENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data_folder() == Path("/cache/benchbench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == Path("~/.cache/benchbench").expanduser()


def test_hashes_tell_ids_order_and_clips_apart() -> None:
    split = a_split()
    other = ComputedSplit(split.compute, 3, "other-{}")
    assert len({names_hash(a_split(2)), names_hash(split), names_hash(other)}) == 3
    assert clip_hash(split, 0) != clip_hash(split, 1)
    assert clip_hash(split, 0) == clip_hash(a_split(), 0)


def test_all_that_is_missing_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    made = [build_dataset("clips", path=p, frame=[1, 8, 8], context=1, horizon=1) for p in "ab"]
    with pytest.raises(DataMissing) as caught:
        prepare([*made, build_dataset("moving_digits"), made[0]])
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [str(tmp_path / p) for p in "ab"]


def test_files_of_the_same_name_are_told_apart_and_many_are_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    files = []
    for i in range(21):
        path = tmp_path / f"clip{i}" / "000.png"
        path.parent.mkdir()
        path.write_bytes(bytes([i]))
        files.append(DataFile(path, held="own"))
    some = file_hashes(files[:20])
    assert set(some) == {f"clip{i}/000.png" for i in range(20)}
    assert len(set(some.values())) == 20
    before = file_hashes(files)
    assert set(before) == {"21 files"}
    (tmp_path / "clip3" / "000.png").write_bytes(b"other")
    assert file_hashes(files) != before
    assert file_hashes([]) == {}


def test_rereading_says_what_a_file_was_held_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    path = tmp_path / "a"
    path.write_bytes(b"one")
    md5 = "md5:f97c5d29941bfb1b2fdab0874906ab82"
    assert reread(DataFile(path, digest=md5)) == f"{md5}, as published"
    assert "as when first prepared" in reread(DataFile(path))
    assert "your own file" in reread(DataFile(path, held="own"))
    stat = path.stat()
    path.write_bytes(b"two")  # the same size, and, put back, the same time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DataMissing, match="published file has"):
        reread(DataFile(path, digest=md5))
    with pytest.raises(DataMissing, match="when first prepared"):
        reread(DataFile(path))
    path.unlink()
    with pytest.raises(DataMissing, match="no such file"):
        reread(DataFile(path))


@pytest.mark.parametrize(("channels", "rows"), [(1, 1), (2, 2), (3, 1)])
def test_a_contact_sheet_has_a_row_a_clip_and_marks_the_future(channels: int, rows: int) -> None:
    clip = Clip(channels, 8, 8, 3, 1)
    sheet = contact_sheet(a_split(2, channels), clip)
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
