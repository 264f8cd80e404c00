"""One file out of a zip or tar."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchbench.data.archive import extract
from benchbench.errors import DataMissing


@pytest.mark.parametrize("form", ["zip", "gztar", "xztar"])
def test_a_damaged_archive_is_told_and_leaves_nothing(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text(" ".join(str(n**3) for n in range(9000)), encoding="utf-8")
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), form, tmp_path / "in"))
    extract(archive, "a.txt", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_bytes() == (tmp_path / "in/a.txt").read_bytes()
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = b"\xff" * 64
    archive.write_bytes(content)
    with pytest.raises(DataMissing, match="gave no zip or tar that can be read"):
        extract(archive, "a.txt", tmp_path / "damaged.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out.txt", archive.name}
