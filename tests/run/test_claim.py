"""Claims: one holder at a time, and nobody waits for the dead."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchbench.run import claim
from benchbench.run.attempt import STALE_SECONDS, attempt_file, attempts, file_clock, latest
from benchbench.run.claim import Claim, Held, alone
from benchbench.run.process import identity

HOLDER = """
import sys, time
from pathlib import Path
from benchbench.run.claim import Claim
Claim(Path(sys.argv[1]), {"job": "x"})
print("held", flush=True)
time.sleep(60)
"""


def write_foreign(folder: Path, number: int = 1, *, age: float) -> None:
    """The file of another machine's attempt, last touched `age` seconds ago."""
    path = attempt_file(folder, number)
    path.parent.mkdir(exist_ok=True)
    facts = {**identity(), "host": "elsewhere", "since": 1.0}
    path.write_text(json.dumps(facts))
    beat = file_clock(folder) - age
    os.utime(path, (beat, beat))


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    first = Claim(tmp_path)
    with pytest.raises(Held, match=f"process {os.getpid()} on"):
        Claim(tmp_path)
    first.release("done")
    assert Claim(tmp_path).number == 2


def test_the_attempts_tell_what_became_of_them(tmp_path: Path) -> None:
    Claim(tmp_path, {"job": "7_3"}).release("failed", "no memory")
    Claim(tmp_path).release("done")
    first, second = attempts(tmp_path)
    assert (first.facts["job"], first.outcome, first.facts["message"]) == (
        "7_3",
        "failed",
        "no memory",
    )
    assert second.outcome == "done"
    assert first.ended
    assert 0 <= first.seconds < 60


def test_the_claim_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Held):
            Claim(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert Claim(tmp_path).number == 2


def test_another_machine_is_waited_for_until_it_gives_no_sign_of_life(tmp_path: Path) -> None:
    write_foreign(tmp_path, age=STALE_SECONDS - 30)
    with pytest.raises(Held, match="on elsewhere"):
        Claim(tmp_path)
    write_foreign(tmp_path, age=STALE_SECONDS + 1)
    assert Claim(tmp_path).number == 2


def test_a_holder_touches_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.01)
    held = Claim(tmp_path)
    os.utime(held.path, (1, 1))
    deadline = time.monotonic() + 10
    while held.path.stat().st_mtime == 1 and time.monotonic() < deadline:
        pass
    assert held.path.stat().st_mtime > 1
    held.release("done")


def test_a_holder_that_was_taken_over_learns_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.01)
    slow = Claim(tmp_path)
    write_foreign(tmp_path, number=2, age=0)
    assert slow.lost.wait(10)
    slow.release("interrupted")
    newest = latest(tmp_path)
    assert newest is not None
    assert newest.number == 2
    assert not newest.ended


def test_of_many_that_want_a_stale_claim_one_gets_it(tmp_path: Path) -> None:
    write_foreign(tmp_path, age=STALE_SECONDS + 1)
    ready = threading.Barrier(16)

    def want(_: int) -> bool:
        ready.wait()
        try:
            Claim(tmp_path)
        except Held:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(want, range(16))) == 1
    assert len(attempts(tmp_path)) == 2


def _count(folder: Path, tries: int, wins: multiprocessing.sharedctypes.Synchronized[int]) -> None:
    for _ in range(tries):
        try:
            mine = Claim(folder)
        except Held:
            continue
        inside = folder / "inside"
        inside.touch(exist_ok=False)  # raises if two are in
        inside.unlink()
        mine.release("done")
        with wins.get_lock():
            wins.value += 1


def test_processes_that_fight_for_a_folder_are_never_in_it_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    wins = context.Value("i", 0)
    rivals = [context.Process(target=_count, args=(tmp_path, 50, wins)) for _ in range(3)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert [rival.exitcode for rival in rivals] == [0, 0, 0]
    assert wins.value == len(attempts(tmp_path)) > 0


def test_a_full_disk_does_not_keep_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Claim(tmp_path)

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(claim, "write_text", full)
    held.release("failed")
    newest = latest(tmp_path)
    assert newest is not None
    assert newest.ended


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    held = Claim(tmp_path)
    with pytest.raises(Held):
        Claim(tmp_path)
    held.release("done")
    assert Claim(tmp_path).number == 2


def test_half_a_file_counts_as_held_until_it_is_old(tmp_path: Path) -> None:
    path = attempt_file(tmp_path, 1)
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(Held):
        Claim(tmp_path)
    os.utime(path, (1, 1))
    assert Claim(tmp_path).number == 2


def test_alone_leaves_one_file_and_says_once_whom_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "LOCK_SECONDS", 0.001)
    waits: list[int] = []
    inside = 0

    def enter(_: int) -> None:
        nonlocal inside
        with alone(tmp_path, lambda other: waits.append(other.number)):
            inside += 1
            assert inside == 1
            time.sleep(0.005)
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(12)))
    assert len(waits) <= 12
    assert [path.name for path in attempt_file(tmp_path, 1).parent.iterdir()] == ["012.json"]


def test_a_late_comer_with_a_number_that_was_tidied_away_is_not_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked when 1 was the newest, and went on when 2 had come and gone and 3 was in."""
    monkeypatch.setattr(claim, "LOCK_SECONDS", 0.0)
    Claim(tmp_path).release("over")
    holder: list[Claim] = []
    real = latest

    def slow(folder: Path) -> object:
        newest = real(folder)
        if not holder:
            holder.append(None)  # type: ignore[arg-type]
            Claim(folder).release("over")
            holder[0] = Claim(folder)
            for number in (1, 2):
                attempt_file(folder, number).unlink()
        return newest

    monkeypatch.setattr(claim, "latest", slow)
    told: list[int] = []

    def watch(other: object) -> None:
        told.append(other.number)  # type: ignore[attr-defined]
        holder[0].release("over")

    with alone(tmp_path, watch):
        assert [attempt.number for attempt in attempts(tmp_path)] == [3, 4]
    assert told == [3]
    assert [attempt.number for attempt in attempts(tmp_path)] == [4]
