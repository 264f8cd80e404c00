"""Attempts: how long they were, and files that are not attempts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchbench.run.attempt import STALE_SECONDS, attempt_file, attempts, file_clock, numbers
from benchbench.run.claim import Claim, Held, clear
from benchbench.run.process import identity

HOSTILE = {
    "empty": b"",
    "a list": b"[1]",
    "a number": b"7",
    "half": b'{"host": "n',
    "deep": b"[" * 100_000,
    "not a number": b'{"since": NaN}',
    "other types": json.dumps({**identity(), "since": "now", "ended": [1]}).encode(),
    "all processes": json.dumps({**identity(), "process": -1, "since": 1.0}).encode(),
    "markup": b'"[/nope]\\u001b[2J"',
}


def killed(folder: Path, *, seconds: float, ago: float) -> None:
    """Leaves what a process that was killed leaves, which touched its file last at its start."""
    now = file_clock(folder)
    path = attempt_file(folder, len(numbers(folder)) + 1)
    path.parent.mkdir(exist_ok=True)
    began = now - ago - seconds
    path.write_text(json.dumps({**identity(), "start": "1", "since": began, "began": began}))
    os.utime(path, (began, began))
    state = folder / "state.json"
    state.touch()
    os.utime(state, (began + seconds, began + seconds))


def test_a_killed_attempt_lasted_to_the_last_file_it_wrote(tmp_path: Path) -> None:
    killed(tmp_path, seconds=7.5, ago=100.0)
    (tmp_path / "log.txt").touch()  # the next worker's, before it holds the run
    Claim(tmp_path).release("done")
    first, second = attempts(tmp_path)
    assert first.seconds == pytest.approx(7.5, abs=0.01)
    assert second.seconds < 5


def test_a_clock_that_is_set_meanwhile_does_not_change_how_long_an_attempt_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Claim(tmp_path)
    monkeypatch.setattr("time.time", lambda: 9e9)
    held.release("done")
    assert attempts(tmp_path)[0].seconds < 5


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_file_is_named_and_holds_the_run_only_while_it_is_new(
    tmp_path: Path, content: bytes
) -> None:
    path = attempt_file(tmp_path, 1)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(Held, match=r"held by whoever wrote a damaged file \(.*001\.json: "):
        Claim(tmp_path)
    old = file_clock(tmp_path) - STALE_SECONDS - 1
    os.utime(path, (old, old))
    assert Claim(tmp_path).number == 2
    damaged, mine = attempts(tmp_path)
    assert "001.json: " in damaged.damage
    assert not damaged.facts
    assert mine.damage == ""


@pytest.mark.parametrize("name", ["²²².json", "9" * 200 + ".json", "x.json", "001.json.bak"])
def test_files_that_we_do_not_name_so_are_no_attempts(tmp_path: Path, name: str) -> None:
    attempt_file(tmp_path, 1).parent.mkdir()
    (attempt_file(tmp_path, 1).parent / name).touch()
    assert attempts(tmp_path) == []
    assert Claim(tmp_path).number == 1


def test_a_folder_or_a_pipe_in_place_of_an_attempt_stops_nobody(tmp_path: Path) -> None:
    path = attempt_file(tmp_path, 1)
    path.mkdir(parents=True)
    os.mkfifo(attempt_file(tmp_path, 2))
    for place in (path, attempt_file(tmp_path, 2)):
        os.utime(place, (1, 1))
    assert Claim(tmp_path).number == 3
    assert [bool(attempt.damage) for attempt in attempts(tmp_path)] == [True, True, False]


def test_a_file_in_place_of_the_folder_of_attempts_holds_none(tmp_path: Path) -> None:
    attempt_file(tmp_path, 1).parent.touch()
    assert attempts(tmp_path) == []


def test_the_next_holder_clears_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    scores, tries = tmp_path / "scores", tmp_path / "attempts"
    scores.mkdir()
    tries.mkdir()
    names = (scores / ".x", tries / ".002.json", tmp_path / ".predictions.npy")
    ours = [path.with_name(f"{path.name}.{'0f' * 16}.tmp") for path in names]
    theirs = [tmp_path / ".notes.tmp", tmp_path / "thesis.tmp", scores / "mine.parquet"]
    for path in (*ours, *theirs):
        path.touch()
    clear(tmp_path)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in theirs)
