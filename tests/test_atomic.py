"""Files that are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchbench.atomic import sweep, write_text


def test_a_new_file_has_the_mode_of_any_other_and_the_mask_of_the_process_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").touch()
    monkeypatch.delattr(os, "umask")  # it is the process's: a thread's file would get any mode
    write_text(tmp_path / "new", "text")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_write_that_fails_leaves_the_file_before_it_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_sweep_deletes_what_a_killed_writer_left(tmp_path: Path) -> None:
    (tmp_path / f".a.{'01' * 16}.tmp").touch()
    (tmp_path / f".b.{'01' * 16}.tmp").symlink_to(tmp_path / "a")
    theirs = ["a", ".a.0123.tmp", ".notes.tmp", f"a.{'01' * 16}.tmp"]
    for name in theirs:
        (tmp_path / name).touch()
    (tmp_path / f".folder.{'01' * 16}.tmp").mkdir()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*theirs, f".folder.{'01' * 16}.tmp"]
    )
