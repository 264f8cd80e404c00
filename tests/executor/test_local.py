"""The queue over this machine's devices, with real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbench.executor import Outcome
from benchbench.executor.inline import Inline
from benchbench.executor.local import Local, Slot, slots
from benchbench.run.attempt import attempts
from benchbench.run.claim import Claim
from benchbench.run.job import jobs
from benchbench.run.process import search_path
from benchbench.run.record import Store
from benchbench.suite.plan import Plan, Run
from benchbench.suite.resources import Shares
from benchbench.training.events import Event, Note, Training

MakePlan = Callable[..., Plan]


def ignore(*_: Any) -> None:
    """Watches nothing."""


def run(plan: Plan, store: Store, watch: Callable[..., None] = ignore) -> dict[int, Outcome]:
    """Outcomes by seed."""
    executor = Local(plan.suite.local)
    outcomes = executor.run(jobs(plan, store), watch)
    return {outcome.run.spec.seed: outcome for outcome in outcomes}


def test_a_machine_is_shared_out() -> None:
    cores = len(os.sched_getaffinity(0))
    assert slots(Shares(slots=3, threads=2), {"CUDA_VISIBLE_DEVICES": ""}) == [Slot(None, 2)] * 3
    assert slots(Shares(slots=1), {"CUDA_VISIBLE_DEVICES": ""}) == [Slot(None, cores)]
    assert len(slots(Shares(), {"CUDA_VISIBLE_DEVICES": ""})) == max(1, cores // 4)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is asked in any case")
def test_torch_is_asked_for_gpus_only_where_one_has_a_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("benchbench.executor.local.DRIVERS", ("no_such_gpu*", "null"))
    assert [slot.gpu for slot in slots(Shares(), {})] == ["0", "1"]
    monkeypatch.setattr("benchbench.executor.local.DRIVERS", ("no_such_gpu*",))
    assert {slot.gpu for slot in slots(Shares(), {})} == {None}


def test_each_gpu_has_one_slot_and_shows_only_itself() -> None:
    for none in ("-1", "NoDevFiles", "none", " "):  # what clusters set where there is no GPU
        variables = {"CUDA_VISIBLE_DEVICES": none}
        assert slots(Shares(slots=1, threads=1), variables) == [Slot(None, 1)]
    (first,) = slots(Shares(), {"CUDA_VISIBLE_DEVICES": " 1,-1,2"})
    assert first.gpu == "1"
    named = slots(Shares(threads=4), {"CUDA_VISIBLE_DEVICES": "3,GPU-8f2"})
    assert named == [Slot("3", 4), Slot("GPU-8f2", 4)]
    assert slots(Shares(threads=1, gpus=[1]), {}) == [Slot("1", 1)]
    assert slots(Shares(slots=2, threads=1, gpus=[]), {}) == [Slot(None, 1)] * 2
    environment = named[1].environment()
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-8f2"
    assert environment["OMP_NUM_THREADS"] == "4"
    assert (named[0].device, Slot(None, 1).device) == ("cuda", "cpu")
    assert [str(named[0]), str(Slot(None, 1))] == ["GPU 3, 4 threads", "CPU slot, 1 thread"]


def test_a_worker_imports_this_benchbench_whatever_lies_in_its_folder(tmp_path: Path) -> None:
    import benchbench

    (tmp_path / "benchbench").mkdir()
    (tmp_path / "torch.py").touch()
    answer = subprocess.run(
        [sys.executable, "-c", "import benchbench; print(benchbench.__file__)"],
        cwd=tmp_path,
        env={**os.environ, **search_path()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == benchbench.__file__


@pytest.mark.slow
def test_a_suite_ends_as_it_does_in_one_process_whatever_dies(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    """Four runs on two slots; one worker is killed at step 3, one run fails."""
    steps = {"steps": 200, "batch": 2}  # long enough to be seen at work
    broken = {"name": "convlstm", "label": "broken", "options": {"hidden": [4, 4]}}
    models = [
        {"name": "convlstm", "options": {"hidden": [4, 4]}},
        {**broken, "train": {"lr": 1e30}},
    ]
    exclude = [{"model": "broken", "seed": seed} for seed in (0, 1, 2)]
    plan = make_plan(seeds=[0, 1, 2, 3], models=models, train=steps, exclude=exclude)
    runs = tuple(each for each in plan.runs if (each.model == "broken") == (each.spec.seed == 3))
    plan = replace(plan, runs=runs)
    store = Store(tmp_path / "local")
    busy: set[int] = set()
    most = 0
    killed = False

    def watch(run: Run, event: Event) -> None:
        nonlocal most, killed
        seed = run.spec.seed
        if event.phase in ("done", "failed"):
            busy.discard(seed)
        else:
            busy.add(seed)
        most = max(most, len(busy))
        if not killed and seed == 0 and isinstance(event, Training) and event.step >= 3:
            killed = True
            os.kill(attempts(store.folder(run.spec))[-1].facts["process"], signal.SIGKILL)

    outcomes = run(plan, store, watch)
    statuses = {seed: outcome.status for seed, outcome in outcomes.items()}
    assert statuses == {0: "done", 1: "done", 2: "done", 3: "failed"}
    assert "the loss is nan" in outcomes[3].message
    assert killed
    assert most == 2
    assert len(attempts(store.folder(plan.runs[0].spec))) == 2
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers have
    plain = Store(tmp_path / "inline")
    todo = [job for job in jobs(plan, plain) if job.run.model != "broken"]
    list(Inline().run(todo, ignore))
    torch.set_num_threads(threads)
    for job in todo:
        scores = [sorted(s.folder(job.run.spec).glob("scores/*")) for s in (store, plain)]
        assert [p.read_bytes() for p in scores[0]] == [p.read_bytes() for p in scores[1]]
        assert len(scores[0]) == 2


def test_a_run_whose_workers_all_die_fails_and_the_queue_goes_on(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    plan = make_plan(seeds=[0, 1])
    outcomes = run(plan, Store(tmp_path / "results"))
    assert [outcomes[seed].status for seed in (0, 1)] == ["failed", "failed"]
    assert outcomes[0].message == "its worker died 3 times, the last time by exit status 1"


def test_runs_of_another_process_are_waited_for_and_taken_up(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan(seeds=[0, 1])
    store = Store(tmp_path / "results")
    held = Claim(store.folder(plan.runs[0].spec))
    order: list[str] = []

    def watch(run: Run, event: Event) -> None:
        order.append(f"{event.phase} {run.spec.seed}")
        if event == Note("done") and run.spec.seed == 1:
            threading.Timer(0.2, held.release, ["interrupted"]).start()

    executor = Inline()
    outcomes = list(executor.run(jobs(plan, store), watch))
    assert [outcome.run.spec.seed for outcome in outcomes] == [1, 0]
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    assert order[0] == "held 0"
    assert order.index("done 1") < order.index("start 0")


def test_a_failure_in_another_process_is_not_repeated_here(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan()
    store = Store(tmp_path / "results")
    held = Claim(store.folder(plan.runs[0].spec))

    def watch(run: Run, event: Event) -> None:
        assert event.phase == "held"
        threading.Timer(0.2, held.release, ["failed", "no memory"]).start()

    (outcome,) = Inline().run(jobs(plan, store), watch)
    assert outcome.status == "failed"
    assert outcome.message.startswith("no memory (in process")
