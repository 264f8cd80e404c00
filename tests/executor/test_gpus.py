"""A GPU that is asked for and not there ends a run before its training, in every executor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchbench.errors import RunFailed
from benchbench.executor import Terms, build_executor
from benchbench.executor.slurm_job import SlurmJob
from benchbench.run.job import jobs
from benchbench.run.record import Store
from benchbench.suite.plan import Plan
from benchbench.suite.resources import Request

from ..stand_ins import bench, tiny

MakePlan = Callable[..., Plan]
NONE = r"^1 GPU asked for, and torch sees none on .*; see nvidia-smi, CUDA_VISIBLE_DEVICES and .*$"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def assert_nothing_was_trained(results: Path) -> None:
    names = {path.name for path in results.rglob("*")}
    assert not names & {"record.json", "checkpoint.pt", "history.jsonl", "weights.safetensors"}


@pytest.mark.parametrize("executor", ["inline", "local"])
@pytest.mark.parametrize("how", ["suite", "environment"])
def test_this_machine_without_the_gpu_that_is_asked_for_trains_nothing(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, how: str
) -> None:
    plan = make_plan(local={"gpus": [0]} if how == "suite" else {})
    if how == "environment":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    built = build_executor(plan, Terms(), executor)
    todo = jobs(plan, Store(tmp_path / "r"))
    if executor == "local":
        with pytest.raises(RunFailed, match=NONE):
            list(built.run(todo, lambda *_: None))
    else:
        (outcome,) = built.run(todo, lambda *_: None)
        assert outcome.status == "failed"
        assert RunFailed(outcome.message).args[0].startswith("1 GPU asked for, and torch sees none")
        assert "\n" not in outcome.message
    assert_nothing_was_trained(tmp_path / "r")


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_two_gpus_asked_for_and_one_seen_is_told(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    plan = make_plan(local={"gpus": [0, 1]})
    todo = jobs(plan, Store(tmp_path / "r"))
    try:
        (outcome,) = build_executor(plan, Terms(), executor).run(todo, lambda *_: None)
        message = outcome.message
    except RunFailed as error:
        message = str(error)
    assert message.startswith("2 GPUs asked for, and torch sees 1 on ")
    assert_nothing_was_trained(tmp_path / "r")


@pytest.mark.parametrize(
    "request_",
    [
        {"gpus_per_node": 1},
        {"gpus_per_task": 1},
        {"gres": "gpu:1"},
        {"gres": "shard:3,gpu:a100:1"},
        {"additional_parameters": {"gpus": "a100"}},
        {"additional_parameters": {"gpus-per-node": 1}},
    ],
)
def test_a_slurm_job_without_the_gpu_that_it_asks_for_fails(
    make_plan: MakePlan, tmp_path: Path, request_: dict[str, object]
) -> None:
    plan = make_plan(slurm={"timeout_min": 20, **request_})
    assert plan.runs[0].slurm.gpus == 1
    (job,) = jobs(plan, Store(tmp_path / "r"))
    threads = torch.get_num_threads()
    with pytest.raises(RunFailed, match=r"1 GPU asked for, .* sees none .*; log: .*log\.txt$"):
        SlurmJob(job, 1200, 120)()
    torch.set_num_threads(threads)
    assert_nothing_was_trained(tmp_path / "r")


def test_a_request_counts_its_gpus() -> None:
    assert Request().gpus == 0
    assert Request(gpus_per_node=0, gres="shard:2").gpus == 0
    assert Request(gpus_per_node=2).gpus == 2
    assert Request(gres="gpu:a100:4").gpus == 4


def test_runs_that_have_gpus_on_a_cluster_are_not_done_on_the_cpu_without_a_word(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    suite = write_suite(tiny(models=["persistence"], slurm={"gpus_per_node": 1}))
    told = bench("run", suite, "--results", tmp_path / "r")
    assert "no GPU here: 1 run that would have one on a cluster, done on the CPU" in told
