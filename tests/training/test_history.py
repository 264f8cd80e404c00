"""Histories: whole lines up to a checkpoint, whatever has become of the file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from benchbench.errors import Damaged
from benchbench.training import history
from benchbench.training.history import EMPTY, NAME, History

STEPS = 6


def written(folder: Path, marked: int) -> str:
    """Writes six lines; gives the mark after some of them."""
    history, mark = History(folder), EMPTY
    history.resume(0, EMPTY)
    for step in range(1, STEPS + 1):
        history.append({"step": step, "mse": 0.5 / step, "lr": 1e-3})
        mark = history.mark if step == marked else mark
    return mark


def lines(folder: Path) -> list[bytes]:
    return (folder / NAME).read_bytes().splitlines(keepends=True)


def test_lines_after_the_checkpoint_are_cut_and_the_rest_is_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = written(tmp_path, marked=4)
    before = lines(tmp_path)
    resumed = History(tmp_path)
    resumed.resume(4, mark)
    assert lines(tmp_path) == before[:4]
    assert resumed.mark == mark
    assert not caplog.records
    resumed.append({"step": 5})
    assert lines(tmp_path)[4] == b'{"step": 5}\n'


BAD = {
    "half": b'{"step": 3, "ms\n',
    "empty": b"\n",
    "a list": b"[3]\n",
    "a number": b"3\n",
    "a text for a step": b'{"step": "3"}\n',
    "deep": b'{"step":' * 100_000 + b"\n",
    "long": b'{"step": 3, "x": "' + b"x" * (1 << 17) + b'"}\n',
    "not UTF-8": b"\xff\xfe\n",
    "zeros": bytes(50),
    "a step again": b'{"step": 2}\n',
    "a step back": b'{"step": 1}\n',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_line_that_is_none_costs_only_itself_and_is_told_with_the_file(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    mark = written(tmp_path, marked=5)
    before = lines(tmp_path)
    content = [*before[:2], bad, *before[3:]]
    (tmp_path / NAME).write_bytes(b"".join(content))
    with caplog.at_level(logging.WARNING):
        History(tmp_path).resume(5, mark)
    rest = before[4:5] if bad == bytes(50) else before[3:5]  # no end: it takes the next line along
    assert lines(tmp_path) == [*before[:2], *rest]
    assert f"{tmp_path / NAME}: not what it was at the checkpoint of step 5" in caplog.text


def test_a_digit_that_has_changed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mark = written(tmp_path, marked=6)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes().replace(b"0.25", b"0.75"))
    History(tmp_path).resume(6, mark)
    assert "not what it was at the checkpoint of step 6" in caplog.text


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing"])
def test_what_is_no_file_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    with pytest.raises(Damaged, match=r"history\.jsonl: .*; move it away and run again"):
        History(tmp_path).resume(0, EMPTY)


def test_what_a_link_is_to_is_never_written(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs\n")
    (tmp_path / NAME).symlink_to(tmp_path / "theirs")
    resumed = History(tmp_path)
    resumed.resume(0, EMPTY)
    resumed.append({"step": 1})
    assert (tmp_path / "theirs").read_text() == "theirs\n"
    assert lines(tmp_path) == [b'{"step": 1}\n']


def test_a_file_without_end_costs_no_more_than_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = written(tmp_path, marked=6)
    before = lines(tmp_path)
    os.truncate(tmp_path / NAME, 1 << 40)
    monkeypatch.setattr(history, "MOST", 1 << 20)
    History(tmp_path).resume(6, mark)
    assert lines(tmp_path) == before
