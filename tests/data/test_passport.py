"""Hashes of names, clips and files, and what a file that is read again is compared with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from benchbench.data.download import DataFile
from benchbench.data.passport import clip_hash, file_hashes, names_hash, reread
from benchbench.errors import DataMissing

from ..stand_ins import ComputedSplit


class Backwards(ComputedSplit):
    """The same clips under the same names, the last name first."""

    def name(self, index: int) -> str:
        return super().name(2 - index)


def split(length: int = 3) -> ComputedSplit:
    return ComputedSplit(lambda index: torch.full((4, 1, 8, 8), index / 4), length)


def test_hashes_tell_names_order_and_clips_apart() -> None:
    backwards = Backwards(split().compute, 3)
    assert len({names_hash(split(2)), names_hash(split()), names_hash(backwards)}) == 3
    assert clip_hash(split(), 0) != clip_hash(split(), 1)
    assert clip_hash(split(), 0) == clip_hash(split(2), 0)


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
    urls = ("http://127.0.0.1:9/a",)
    md5 = "md5:f97c5d29941bfb1b2fdab0874906ab82"
    assert reread(DataFile(path, digest=md5)) == f"{md5}, as published"
    assert "as when first prepared" in reread(DataFile(path, urls))
    assert "your own file" in reread(DataFile(path, held="own"))
    stat = path.stat()
    path.write_bytes(b"two")  # the same size, and, put back, the same time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DataMissing, match="published file has"):
        reread(DataFile(path, digest=md5))
    with pytest.raises(DataMissing, match="when first prepared"):
        reread(DataFile(path, urls))
    path.unlink()
    with pytest.raises(DataMissing, match="no such file"):
        reread(DataFile(path))
