"""Checksums: computed once for each size and time of change."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbench.data.checksums import checksums
from benchbench.errors import DataMissing


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    return tmp_path


def test_a_file_is_read_again_only_when_it_changed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "b"
    path.write_bytes(b"one")
    before = checksums(path)

    def refuse(_: Path) -> tuple[str, str]:
        raise AssertionError("read again")

    monkeypatch.setattr("benchbench.data.checksums.read_sums", refuse)
    assert checksums(path) == before
    with pytest.raises(AssertionError):
        checksums(path, fresh=True)


def test_a_broken_list_of_checksums_is_named(data: Path) -> None:
    (data / "b").write_bytes(b"one")
    (data / "published.json").write_text("[1]")
    with pytest.raises(DataMissing, match=r"published\.json"):
        checksums(data / "b")
