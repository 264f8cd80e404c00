"""What follows from the files of a dataset: check, prepare, and one message for all faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchbench.clip import Clip
from benchbench.data.download import DataFile
from benchbench.dataset import SHOWN, Dataset, Split, SplitName, prepare
from benchbench.errors import DataMissing
from benchbench.registry import build_dataset


@dataclass
class Filed(Dataset):
    """A dataset of some files, which counts how often it was unpacked."""

    paths: Sequence[Path]
    urls: tuple[str, ...] = ()
    unpacked: int = 0
    clip = Clip(1, 8, 8, 1, 1)

    def split(self, name: SplitName) -> Split:
        raise NotImplementedError

    def files(self) -> list[DataFile]:
        first, *others = self.paths
        return [DataFile(first, self.urls, held="own"), *(DataFile(p, held="own") for p in others)]

    def unpack(self) -> None:
        self.unpacked += 1


def test_all_that_is_missing_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    clips = [build_dataset("clips", path=p, frame=[1, 8, 8], context=1, horizon=1) for p in "ab"]
    with pytest.raises(DataMissing) as caught:
        prepare([*clips, build_dataset("moving_digits"), clips[0]])
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [str(tmp_path / p) for p in "ab"]


def test_of_many_missing_files_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(DataMissing) as caught:
        Filed([tmp_path / f"{i:02}" for i in range(SHOWN + 5)]).check()
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path / '00'}: no such file"
    assert len(lines) == SHOWN + 1
    assert lines[-1] == "and 5 more"


def test_nothing_is_downloaded_while_another_file_cannot_be_had(tmp_path: Path) -> None:
    dataset = Filed([tmp_path / "a", tmp_path / "b"], urls=("http://127.0.0.1:9/a",))
    with pytest.raises(DataMissing) as caught:
        dataset.prepare()
    assert str(caught.value) == f"{tmp_path / 'b'}: no such file"
    assert dataset.unpacked == 0


def test_files_that_are_there_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    dataset = Filed([tmp_path / "a"])
    dataset.check()
    assert dataset.unpacked == 0
    dataset.prepare()
    assert dataset.unpacked == 1
