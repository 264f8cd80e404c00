"""A suite of 12 runs on a real cluster, with all that can happen to a run happening to one."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

ONCE = ("preempted", "limited", "killed", "raises")
"""Models of one seed; `quick` has all of them."""


def suite(seeds: int) -> dict[str, Any]:
    """As many quick runs, persistence, and four that something happens to."""
    options = {"hidden": [4, 4], "patch": 2}
    trains = {"preempted": 400, "limited": 401, "killed": 402}
    models = [
        {"name": "convlstm", "label": label, "options": options, "train": {"steps": steps}}
        for label, steps in {**trains, "quick": 40}.items()
    ]
    models.append({**models[0], "label": "raises", "train": {"lr": 1e30}})
    clip = {"size": 16, "digits": 1, "context": 2, "horizon": 2, "val": 8, "test": 16}
    models[1]["slurm"] = {"timeout_min": 19}
    return {
        "name": f"suite{seeds}",
        "seeds": list(range(seeds)),
        "datasets": [{"name": "moving_digits", "options": clip}],
        "models": [*models, "persistence"],
        "exclude": [{"model": m, "seed": s} for m in ONCE for s in range(1, seeds)],
        "train": {"steps": 10, "batch": 2, "validate_every": 100},
        "checkpoint_every": 50,
        "local": {"slots": 2, "threads": 1},
        "slurm": {"timeout_min": 20, "mem_gb": 3, "cpus_per_task": 1, "partition": "low"},
    }


def test_a_suite_survives_everything(
    cluster: str, make_bench: Callable[[dict[str, Any], str], Any], ask: Callable[..., str]
) -> None:
    """With accounting 12 runs, compared with the local executor's; without, 7."""
    accounting = cluster == "accounting"
    seeds = 7 if accounting else 2
    bench = make_bench(suite(seeds), cluster.replace(" ", "_"))

    # two front ends at once submit every run once, in arrays no larger than MaxArraySize
    rivals = [bench.apart("run", "--executor", "slurm") for _ in range(2)]
    told = "\n".join(rival.communicate()[0] for rival in rivals)
    assert told.count("in the queue already") == 1, told
    arrays = re.findall(r"^array .*: (\d+) runs|^job .*: (1) run", told, re.MULTILINE)
    sizes = sorted(int(one or other) for one, other in arrays)
    assert sizes == ([1, 5, 6] if accounting else [1, 6])
    states = bench.states()
    assert len(states) == sum(sizes)
    assert {state.split()[0] for state in states.values()} <= {"waiting", "starting", "running"}

    # a run that waits is cancelled
    assert states["persistence0"].startswith("waiting")
    assert "1 cancelled" in bench("cancel", "--run", bench.key("persistence"))
    assert bench.states()["persistence0"].startswith("cancelled")

    # one is killed without a word
    victim = frozen(bench, "preempted")
    frozen(bench, "killed")
    os.kill(bench.attempts(bench.key("killed"))[-1]["process"], signal.SIGKILL)
    states = bench.until(lambda s: s["killed0"].startswith("failed"), 30)
    assert "killed at step" in states["killed0"]
    if accounting:  # accounts lag behind the queue
        bench.until(lambda s: "FAILED" in s["killed0"], 30)

    # one comes to its time limit
    job = frozen(bench, "limited")
    ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    bench.until(lambda _: "interrupted" in outcomes(bench, "limited"), 90)
    bench.until(lambda s: s["limited0"].startswith("requeued"), 30)
    ask("scontrol", "update", f"JobId={job}", "TimeLimit=19")
    assert "this job is timed-out" in bench.logs(bench.key("limited"))

    # one is preempted in the middle of its training
    node = ask("squeue", "-h", "-j", victim, "-o", "%N").strip()
    ask("sbatch", "-p", "high", "-N1", "-c2", "-w", node, "-o", "/dev/null", "--wrap", "sleep 1")
    bench.until(lambda _: "interrupted" in outcomes(bench, "preempted"), 90)
    state = bench.states()["preempted0"]
    assert state.startswith(("requeued", "starting", "running")), state
    assert "this job is preempted" in bench.logs(bench.key("preempted"))

    # all others come to their end by themselves
    over = ("done", "failed", "cancelled")
    states = bench.until(lambda s: all(v.startswith(over) for v in s.values()), 180)
    failed = {name for name, state in states.items() if state.startswith("failed")}
    assert failed == {"killed0", "raises0"}
    assert "the loss is nan" in states["raises0"]
    for model in ("limited", "preempted"):
        assert outcomes(bench, model)[-1] == "done"

    # what failed or was cancelled is tried again
    told = bench("retry", "--executor", "slurm", "--wait", status=1)
    assert "3 to retry" in told
    assert "failed: raises on moving_digits, seed 0: the loss is nan" in told
    unfinished = {name for name, state in bench.states().items() if not state.startswith("done")}
    assert unfinished == {"raises0"}
    if accounting:
        local = make_bench(suite(seeds), "local")
        local("run", "--executor", "local", status=1)
        assert_alike(bench.results, local.results, runs=11)


def frozen(bench: Any, model: str) -> str:
    """The SLURM job of a run that is at its training; its process is stopped.

    SLURM sends CONT before every signal, so however fast the machine, the run is in the middle of
    its training when the signal comes.
    """
    bench.until(lambda s: s[f"{model}0"].startswith("running step"), 150)
    attempt = bench.attempts(bench.key(model))[-1]
    os.kill(attempt["process"], signal.SIGSTOP)
    ids = attempt["slurm"]
    if "SLURM_ARRAY_TASK_ID" in ids:
        return f"{ids['SLURM_ARRAY_JOB_ID']}_{ids['SLURM_ARRAY_TASK_ID']}"
    return str(ids["SLURM_JOB_ID"])


def outcomes(bench: Any, model: str) -> list[str | None]:
    """Of a model's attempts so far."""
    return [attempt.get("outcome") for attempt in bench.attempts(bench.key(model))]


def assert_alike(one: Path, other: Path, *, runs: int) -> None:
    """The same runs, weights, scores, and so the same table, bit for bit, but for its seconds."""
    roots = (one, other)
    folders = sorted(path.parent.relative_to(one) for path in one.glob("runs/*/*/*/record.json"))
    assert folders == sorted(
        path.parent.relative_to(other) for path in other.glob("runs/*/*/*/record.json")
    )
    assert len(folders) == runs
    for run in folders:
        ours, theirs = (load_file(root / run / "weights.safetensors") for root in roots)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), run
        tables = [
            pd.read_parquet(next((root / run / "scores").glob("*.parquet"))) for root in roots
        ]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    boards = [
        pd.read_csv(root / "suite7" / "leaderboard.csv").drop(columns="train_seconds")
        for root in roots
    ]
    pd.testing.assert_frame_equal(*boards, check_exact=True)
