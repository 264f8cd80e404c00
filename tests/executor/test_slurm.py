"""SLURM through submitit, against commands that only play SLURM."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.errors import SchemaError
from benchbench.executor.slurm import Slurm, arrays
from benchbench.executor.squeue import Queued, Unreachable, endings, preempted, queue, split
from benchbench.executor.submission import Refused, newest_submissions, submissions
from benchbench.run.attempt import CANCELLED
from benchbench.run.claim import Claim
from benchbench.run.job import jobs
from benchbench.run.record import Store
from benchbench.suite.code import code_of
from benchbench.suite.plan import Plan

MakePlan = Callable[..., Plan]

FAKES = {
    "sbatch": """
        n=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1"); n=$((${n:-0} + 1))
        queued=$(cat queue | wc -l)
        [ $((queued + n)) -le $MOST ] || {
          echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
          echo "sbatch: error: Batch job submission failed: Job violates accounting limit" >&2
          exit 1; }
        id=$(($(cat last) + 1)); echo $id > last; cp "$1" $id.sh
        name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
        if [ $n = 1 ]; then echo "$id|PENDING|$name|Priority" >> queue
        else seq -f "${id}_%.0f|PENDING|$name|Priority" 0 $((n - 1)) >> queue; fi
        echo "Submitted batch job $id" """,
    "squeue": "cat queue",
    "scontrol": 'echo "MaxArraySize            = $ARRAY"; echo "   PreemptTime=$PREEMPT x=y"',
    "scancel": 'for job; do sed -i "/^$job|/d" queue; done',
    "sacct": '[ -n "$ACCOUNTS" ] && cat accounts',
    "srun": "exit 1",
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cluster with a queue of text."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "queue").touch()
    (folder / "last").write_text("100")
    for name, body in FAKES.items():
        path = folder / name
        path.write_text(f"#!/bin/bash\ncd {folder}\n{body}\n".replace('"$1"', '"$script"'))
        path.write_text(path.read_text().replace("cd ", 'script=$(realpath "${1:-/}")\ncd ', 1))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, value in {"MOST": "9999", "ARRAY": "1001", "PREEMPT": "None"}.items():
        monkeypatch.setenv(name, value)
    return folder


def submit(plan: Plan, root: Path, **options: Any) -> tuple[list[str], list[str]]:
    """How each run ended up, and what was said."""
    said: list[str] = []
    executor = Slurm("tiny", say=said.append, **options)
    outcomes = executor.run(jobs(plan, Store(root)), lambda *_: None)
    return [f"{outcome.status} {outcome.message}" for outcome in outcomes], said


def test_each_request_is_one_array(make_plan: MakePlan, fake: Path, tmp_path: Path) -> None:
    models = [
        {"name": "convlstm", "options": {"hidden": [4, 4]}},
        {
            "name": "convlstm",
            "label": "large",
            "options": {"hidden": [8, 8]},
            "slurm": {"timeout_min": "2-00:30", "mem_gb": 3, "array_parallelism": 2},
        },
        "persistence",
    ]
    plan = make_plan(seeds=[0, 1, 2], models=models)
    statuses, said = submit(plan, tmp_path / "r")
    assert said == [
        "array 101: 4 runs, at most 4 at once; each 1 CPU, 0:20 h",
        "array 102: 3 runs, at most 2 at once; each 1 CPU, 3 GB, 48:30 h",
    ]
    assert statuses[0] == "submitted job 101_0"
    assert statuses[-1] == "submitted job 101_3"
    script = (fake / "102.sh").read_text()
    for line in ("time=2910", "mem=3GB", "array=0-2%2", "requeue", "signal=USR2@120"):
        assert f"#SBATCH --{line}\n" in script
    assert 'export PYTHONSAFEPATH="1"' in script
    assert 'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"' in script
    assert arrays(plan.runs) == [line.replace(" 101", "").replace(" 102", "") for line in said]


def test_arrays_are_no_larger_than_the_cluster_takes(
    make_plan: MakePlan, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARRAY", "4")
    statuses, said = submit(make_plan(seeds=list(range(9))), tmp_path / "r")
    assert [line.split(":")[0] for line in said] == ["array 101", "array 102", "job 103"]
    assert len(set(statuses)) == 9
    assert statuses[-1] == "submitted job 103"
    assert split(range(9), 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_what_the_submit_limit_allows_is_submitted(
    make_plan: MakePlan, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOST", "5")
    plan = make_plan(seeds=list(range(8)))
    statuses, _ = submit(plan, tmp_path / "r")
    assert sum(status.startswith("submitted") for status in statuses) == 5
    assert statuses[0] == "failed sbatch: AssocMaxSubmitJobLimit; " + (
        "Batch job submission failed: Job violates accounting limit"
    )
    monkeypatch.setenv("MOST", "8")
    statuses, said = submit(plan, tmp_path / "r")
    assert said[0] == "5 in the queue already"
    assert all(status.startswith("submitted") for status in statuses)
    assert len((fake / "queue").read_text().splitlines()) == 8


def test_a_cluster_that_takes_nothing_says_why(
    make_plan: MakePlan, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOST", "0")
    with pytest.raises(Refused, match="AssocMaxSubmitJobLimit"):
        submit(make_plan(), tmp_path / "r")
    assert newest_submissions(tmp_path / "r", {}) == {}


def test_a_queued_run_is_not_submitted_again(
    make_plan: MakePlan, fake: Path, tmp_path: Path
) -> None:
    plan = make_plan(seeds=[0, 1])
    first, _ = submit(plan, tmp_path / "r")
    again, said = submit(plan, tmp_path / "r")
    assert first == again == ["submitted job 101_0", "submitted job 101_1"]
    assert said == ["2 in the queue already"]
    assert [path.name for path in (tmp_path / "r/slurm/attempts").iterdir()] == ["002.json"]


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_cancelled_run_is_submitted_again_while_its_job_still_ends(
    make_plan: MakePlan, fake: Path, tmp_path: Path, cancelled: bool
) -> None:
    plan = make_plan()
    submit(plan, tmp_path / "r")
    text = (fake / "queue").read_text().replace("PENDING", "COMPLETING")
    (fake / "queue").write_text(text)
    if cancelled:
        folder = Store(tmp_path / "r").folder(plan.runs[0].spec)
        folder.mkdir(parents=True)
        (folder / CANCELLED).touch()
    statuses, _ = submit(plan, tmp_path / "r")
    assert statuses == [f"submitted job {102 if cancelled else 101}"]


def test_a_front_end_that_died_before_sbatch_answered_is_made_up_for(
    make_plan: MakePlan, fake: Path, tmp_path: Path
) -> None:
    plan = make_plan(seeds=[0, 1])
    submit(plan, tmp_path / "r")
    (path,) = (tmp_path / "r").glob("slurm/*/submission.json")
    path.write_text(path.read_text().replace('"number": "101"', '"number": null'))
    assert submissions(tmp_path / "r")[0].number is None
    again, _ = submit(plan, tmp_path / "r")
    assert again == ["submitted job 101_0", "submitted job 101_1"]


def test_a_run_that_a_process_works_on_is_not_submitted(
    make_plan: MakePlan, fake: Path, tmp_path: Path
) -> None:
    plan = make_plan(seeds=[0, 1])
    held = Claim(Store(tmp_path / "r").folder(plan.runs[0].spec))
    statuses, said = submit(plan, tmp_path / "r")
    held.release("interrupted")
    assert sorted(status.split()[0] for status in statuses) == ["held", "submitted"]
    assert "1 being run by another process" in said


def test_the_time_limit_is_always_asked_for(
    make_plan: MakePlan, fake: Path, tmp_path: Path
) -> None:
    with pytest.raises(SchemaError, match=r"timeout_min.*convlstm.*4:00"):
        submit(make_plan(slurm={}), tmp_path / "r")


def test_no_slurm_here_is_said_in_words(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unreachable, match="squeue: no such command; is this a SLURM login node"):
        submit(make_plan(), tmp_path / "r")


def test_what_is_pickled_knows_the_code_of_the_submission(
    make_plan: MakePlan, fake: Path, tmp_path: Path
) -> None:
    plan = make_plan()
    submit(plan, tmp_path / "r")
    (path,) = (tmp_path / "r").glob("slurm/*/101_submitted.pkl")
    function = pickle.loads(path.read_bytes()).function
    assert function.job.code == code_of(plan.runs[0].spec)
    assert function.checkpoint().function == function
    assert function.limit_seconds == 1200


def test_a_setup_line_that_fails_ends_a_job_before_its_run_begins(
    make_plan: MakePlan, fake: Path, tmp_path: Path
) -> None:
    slurm = {"timeout_min": 20, "setup": ["false cuda/99"]}
    submit(make_plan(slurm=slurm), tmp_path / "r")
    lines = (fake / "101.sh").read_text().splitlines()
    begin, end = lines.index("set -e"), lines.index("set +e")
    assert "false cuda/99" in lines[begin:end]
    assert any(line.startswith("srun") for line in lines[end:])
    answer = subprocess.run(["bash", str(fake / "101.sh")], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr == ""


def test_the_queue_is_read(fake: Path) -> None:
    (fake / "queue").write_text("7_3|RUNNING|bench-a|None\n9|PENDING|x|Dependency|odd\n")
    jobs = queue()
    assert jobs["7_3"] == Queued("7_3", "RUNNING", "bench-a", "None")
    assert jobs["9"].waits
    assert not jobs["7_3"].waits


def test_accounts_are_used_where_there_are_some(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert endings(["7"]) == {}
    monkeypatch.setenv("ACCOUNTS", "yes")
    lines = ["7|OUT_OF_MEMORY|0:125", "8|COMPLETED|0:0", "9|RUNNING|0:0", "10|PENDING|0:0"]
    (fake / "accounts").write_text("\n".join(lines))
    assert endings(["7", "8", "9", "10"]) == {
        "7": "OUT_OF_MEMORY, exit code 0:125",
        "8": "COMPLETED",
    }


@pytest.mark.parametrize(("time", "answer"), [("None", False), ("2026-11-22T15:50:25", True)])
def test_the_scheduler_tells_preemption_from_the_time_limit(
    fake: Path, monkeypatch: pytest.MonkeyPatch, time: str, answer: bool
) -> None:
    monkeypatch.setenv("PREEMPT", time)
    assert preempted("7") is answer
