"""bench status, cancel, retry, logs and doctor, as typed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import SchemaError, UnknownName
from benchbench.executor import doctor, squeue, standing
from benchbench.executor.squeue import Queued
from benchbench.run.attempt import latest
from benchbench.run.claim import Claim

from ..stand_ins import bench, tiny

MODELS = [
    {"name": "convlstm", "label": "sound", "options": {"hidden": [4, 4]}},
    {"name": "convlstm", "label": "broken", "options": {"hidden": [4, 4]}, "train": {"lr": 1e30}},
]
CHANGES = {
    "seeds": [0, 1],
    "models": MODELS,
    "exclude": [{"model": "broken", "seed": 1}],
    "slurm": {"timeout_min": 10},
}


@pytest.fixture
def suite(
    write_suite: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(squeue, "queue", dict)
    return write_suite(tiny(**CHANGES))


def states(suite: Path) -> list[list[str]]:
    return [line.split()[1:] for line in bench("status", suite, "--lines", "0").splitlines()]


def test_status_before_during_and_after(suite: Path) -> None:
    assert [row[3] for row in states(suite)[1:-1]] == ["to", "to", "to"]
    bench("run", suite, status=1)
    told = bench("status", suite)
    lines = told.splitlines()
    assert lines[0].split() == ["Run", "Model", "Dataset", "Seed", "State", "Detail"]
    assert "failed  the loss is nan at step 2 of 6" in told
    assert "    | " in told
    assert lines[-1] == "3 runs: 2 done, 1 failed"
    assert len(bench("status", suite, "--only", "failed", "--lines", "0").splitlines()) == 3
    again = bench("run", suite, status=1)
    assert "1 to run, 2 done" in again


def test_retry_takes_the_failed_ones_only(suite: Path) -> None:
    assert "0 to retry" in bench("retry", suite)
    bench("run", suite, status=1)
    told = bench("retry", suite, status=1)
    assert "1 to retry" in told
    assert "failed: broken on moving_digits, seed 0: the loss is nan" in told
    told = bench("retry", suite, "models.1.train.lr=2e-3")
    assert "0 to retry" in told


def test_logs_take_the_start_of_a_key(suite: Path) -> None:
    bench("run", suite, status=1)
    full = bench("status", suite).splitlines()[1].split()[0]
    told = bench("logs", full[:6])
    assert "log.txt <==" in told
    assert "INFO done" in told
    assert len(bench("logs", full, "-n", "1").splitlines()) == 2


def test_an_unknown_run_is_named(suite: Path) -> None:
    for command in (["logs", "xyz"], ["cancel", suite, "--run", "xyz"]):
        with pytest.raises(UnknownName, match="no run 'xyz'"):
            bench(*command)


def test_cancel_takes_queued_jobs_and_marks_the_runs(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbench.executor.submission import Submission

    keys = [line.split()[0] for line in bench("status", suite).splitlines()[1:-1]]
    Submission("bench-t", tuple(keys), "", 0.0, "9").write(Path("results"))
    queue = {f"9_{i}": Queued(f"9_{i}", "PENDING", "bench-t", "Priority") for i in range(3)}
    gone: list[str] = []
    monkeypatch.setattr(squeue, "queue", lambda: queue)
    monkeypatch.setattr(squeue, "cancel", gone.extend)
    assert "1 cancelled" in bench("cancel", suite, "--run", keys[1][:8])
    assert gone == ["9_1"]
    del queue["9_1"]
    rows = bench("status", suite).splitlines()
    assert [row.split()[4] for row in rows[1:-1]] == ["waiting", "cancelled", "waiting"]


def test_cancel_stops_a_process_of_this_machine(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bench("status", suite).splitlines()[1].split()[0]
    folder = Path("results/runs/moving_digits/convlstm") / f"seed0-{key}"
    held = Claim(folder)
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(standing.os, "kill", lambda *to: sent.append(to))
    assert "1 cancelled" in bench("cancel", suite)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    held.release("interrupted")
    newest = latest(folder)
    assert newest is not None
    assert not newest.alive(0)


def test_a_dry_run_shows_the_arrays(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squeue, "largest_array", lambda: 2)
    told = bench("run", suite, "--executor", "slurm", "--dry-run")
    assert "  array: 2 runs, at most 2 at once; each 1 CPU, 0:10 h\n  job: 1 run; 1 CPU" in told
    assert not Path("results/runs").exists()


def test_an_unknown_executor_is_named(suite: Path) -> None:
    with pytest.raises(UnknownName, match="--executor: no executor 'slrum'; did you mean 'slurm'"):
        bench("run", suite, "--executor", "slrum")
    with pytest.raises(SchemaError, match="--wait: 'inline' waits for its runs anyway"):
        bench("run", suite, "--wait")


def test_a_plan_is_measured(suite: Path) -> None:
    told = bench("plan", suite, "models.1.train.lr=2e-3", "--measure")
    assert "s a step" in told
    assert "all 3 runs:" in told
    assert not Path("results/runs").exists()


def test_the_doctor_says_what_to_do(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    told = bench("doctor", suite)
    assert all(line.split()[0] in ("ok", "warn") for line in told.splitlines())
    assert "slurm: none here" in told
    assert "data moving_digits: is there" in told


def test_the_doctor_looks_at_the_suite_with_its_changes(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    told = bench("doctor", suite, "models=[persistence]", "seeds=[0]", "exclude=[]")
    assert f"{suite}: 1 run" in told
    told = bench("doctor", suite, "models=[persistance]", "exclude=[]", status=1)
    assert "did you mean 'persistence'?" in told


def test_the_doctor_fails_where_results_cannot_be_written(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").touch()
    told = bench("doctor", "--results", "file/results", status=1)
    assert "FAIL" in told
    assert "Not a directory" in told


CONFIGURATION = """
AccountingStorageType   = accounting_storage/none
JobRequeue              = 0
MaxArraySize            = 77
PreemptMode             = {}
SlurmctldParameters     = {}
"""


@pytest.mark.parametrize(
    ("mode", "parameters", "line"),
    [
        ("OFF", "(null)", "ok    preemption: off"),
        ("REQUEUE", "preempt_send_user_signal", "ok    preemption: jobs get a signal before"),
        ("REQUEUE", "(null)", "warn  preemption: the cluster lacks preempt_send_user_signal"),
    ],
)
def test_the_doctor_reads_the_cluster(
    suite: Path, monkeypatch: pytest.MonkeyPatch, mode: str, parameters: str, line: str
) -> None:
    answers = {"scontrol": CONFIGURATION.format(mode, parameters), "sinfo": "gpu* 1:00 4 gpu:8\n"}
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name)
    monkeypatch.setattr(squeue, "ask", lambda name, *_: answers[name])
    told = bench("doctor")
    assert line in told
    assert "up to 77 runs each" in told
    assert "ok    accounting: none" in told
    assert "gpu* 1:00 4 gpu:8" in told
