"""Copies: of these very files, whole, or made anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchbench.data.copies import copy_place, make_copy, require_copy
from benchbench.data.digests import read_anew
from benchbench.errors import DataMissing


@pytest.fixture(autouse=True)
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "cache"))
    path = tmp_path / "a.npz"
    path.write_bytes(b"one")
    return path


class Writer:
    """Writes copies and counts them."""

    count = 0

    def __call__(self, to: Path) -> None:
        self.count += 1
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(b"the copy")


def test_a_copy_is_made_once(source: Path) -> None:
    write = Writer()
    for _ in range(3):
        make_copy(copy_place([source], "x", "copy.npy"), write)
        with read_anew():  # as another process would
            require_copy(copy_place([source], "x", "copy.npy"))
    assert write.count == 1


def test_another_source_of_the_same_size_and_time_has_another_copy(
    source: Path, tmp_path: Path
) -> None:
    before, stat = copy_place([source], "x", "copy.npy"), source.stat()
    source.write_bytes(b"two")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert copy_place([source], "x", "copy.npy") != before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.npz").write_bytes(b"one")
    assert copy_place([tmp_path / "elsewhere" / "a.npz"], "x", "copy.npy") == before
    assert copy_place([tmp_path / "elsewhere" / "a.npz"], "y", "copy.npy") != before


@pytest.mark.parametrize("damage", ["copy", "copy, its time put back", "note", "no note", "empty"])
def test_a_damaged_copy_is_told_and_made_anew(source: Path, damage: str) -> None:
    write, copy = Writer(), copy_place([source], "x", "copy.npy")
    make_copy(copy, write)
    stat, note = copy.stat(), copy.with_name("copy.npy.sha256")
    if damage.startswith("copy"):
        copy.write_bytes(b"the cupy")
        if "time" in damage:
            os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif damage == "no note":
        note.unlink()
    else:
        note.write_bytes(b"" if damage == "empty" else b"\xff0")
    with pytest.raises(DataMissing, match="damaged since it was made; prepare"):
        require_copy(copy)
    make_copy(copy, write)
    assert require_copy(copy).read_bytes() == b"the copy"
    assert write.count == 2
