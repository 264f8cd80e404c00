"""Digests of files: read once for each state, whatever became of the cache."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from benchbench.data import digests
from benchbench.data.digests import read_anew, sha256s
from benchbench.errors import DataMissing


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three files, last changed long before they are read."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "cache"))
    ahead, real = 10_000_000_000, time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead)
    folder = tmp_path / "set"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode())
    forget()
    return folder


def forget() -> None:
    """What another process would know."""
    with read_anew():
        pass


def sums(folder: Path) -> dict[str, str]:
    paths = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    return {path.name: digest for path, digest in sha256s(paths, root=folder).items()}


def truth(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    names: list[str] = []
    real = digests._read

    def spy(place: str) -> digests.Digest:
        names.append(Path(place).name)
        return real(place)

    monkeypatch.setattr(digests, "_read", spy)
    return names


def test_another_process_reads_only_what_changed_since(data: Path, reads: list[str]) -> None:
    assert sums(data) == truth(data)
    assert sorted(reads) == ["a", "b", "c"]
    forget()
    (data / "b").write_bytes(b"other")
    reads.clear()
    assert sums(data) == truth(data)
    assert reads == ["b"]


def test_another_content_of_the_same_size_and_time_is_seen(data: Path) -> None:
    before = sums(data)
    stat = (data / "a").stat()
    (data / "a").write_bytes(b"x")
    os.utime(data / "a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (data / "new").write_bytes(b"y")  # as rsync does: written beside, then given the name
    os.utime(data / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (data / "new").replace(data / "b")
    forget()
    assert sums(data) == truth(data)
    assert {name for name, digest in sums(data).items() if digest != before[name]} == {"a", "b"}


def test_a_link_that_points_elsewhere_is_another_file(data: Path) -> None:
    (data / "link").symlink_to(data / "a")
    before = sums(data)
    (data / "link").unlink()
    (data / "link").symlink_to(data / "b")
    assert sums(data)["link"] == before["b"]


@pytest.mark.parametrize("text", [b"", b"\n{}", b"[]", b"\xff\x00", b"{" * 5000])
def test_a_damaged_cache_only_makes_files_be_read_again(data: Path, text: bytes) -> None:
    sums(data)
    cache = data.with_name(".set.digests")
    cache.write_bytes(text)
    forget()
    assert sums(data) == truth(data)
    whole = cache.read_bytes()
    cache.write_bytes(whole.replace(b'"', b"'", 1) if b'"' in whole else b"")
    forget()
    assert sums(data) == truth(data)


def test_a_digit_changed_in_the_cache_is_not_believed(data: Path) -> None:
    sums(data)
    cache = data.with_name(".set.digests")
    digest = truth(data)["a"]
    other = ("0" if digest[0] != "0" else "1") + digest[1:]
    cache.write_bytes(cache.read_bytes().replace(digest.encode(), other.encode()))
    forget()
    assert sums(data) == truth(data)


def test_where_nothing_can_be_noted_beside_the_data_the_data_folder_has_it(
    data: Path, reads: list[str]
) -> None:
    data.with_name(".set.digests").mkdir()
    sums(data)
    forget()
    reads.clear()
    assert sums(data) == truth(data)
    assert reads == []


def test_where_nothing_can_be_noted_at_all_digests_are_right(data: Path) -> None:
    data.with_name(".set.digests").mkdir()
    (data.parent / "cache").write_bytes(b"a file and no folder")
    assert sums(data) == truth(data)


def test_reading_anew_reads_every_file_once_more(data: Path, reads: list[str]) -> None:
    sums(data)
    reads.clear()
    with read_anew():
        sums(data)
        sums(data)
    assert sorted(reads) == ["a", "b", "c"]


def test_a_file_that_was_just_written_is_not_trusted_to_stay(
    data: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = (data / "a").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: now)
    sums(data)
    reads.clear()
    assert sums(data) == truth(data)
    assert "a" in reads


def test_a_file_that_changes_while_it_is_read_is_told(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter([digests.stamp(data / "a"), digests.stamp(data / "b")])
    monkeypatch.setattr(digests, "_stamp", lambda _: next(stamps))
    with pytest.raises(DataMissing, match="changes while it is read"):
        sha256s([data / "a"])


def test_what_is_no_file_is_told_and_not_waited_for(data: Path) -> None:
    os.mkfifo(data / "pipe")
    with pytest.raises(DataMissing, match="pipe: a pipe; expected a regular file"):
        sums(data)
