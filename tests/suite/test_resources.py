"""Resources as a suite writes them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from benchbench.suite.resources import Request, Shares


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        *[(90, 90), ("90", 90), ("1:30", 90), ("4:00", 240), ("0:00:30", 1), ("1:30:01", 91)],
        *[("2-00", 2880), ("2-12", 3600), ("1-00:30", 1470), ("1-01:00:00", 1500)],
    ],
)
def test_a_time_may_be_written_as_slurm_does(written: Any, minutes: int) -> None:
    assert Request(timeout_min=written, signal_delay_s=10).timeout_min == minutes


@pytest.mark.parametrize("written", ["4:0", "4h", "1:75", "", "-5", 0, 1.5, True])
def test_what_is_no_time_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError, match="timeout_min"):
        Request(timeout_min=written, signal_delay_s=10)


def test_a_signal_before_the_start_is_refused() -> None:
    with pytest.raises(ValidationError, match="above signal_delay_s"):
        Request(timeout_min=2, signal_delay_s=120)


@pytest.mark.parametrize(
    "key", [{"time_min": 3}, {"nodes": 2}, {"mem_gb": "8"}, {"mem_gb": float("inf")}]
)
def test_what_one_run_cannot_use_is_refused(key: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(key))):
        Request(**key)


def test_submitit_gets_its_own_names() -> None:
    request = Request(
        timeout_min=60,
        gpus_per_node=1,
        mem_gb=8,
        partition="gpu",
        setup=["module load cuda"],
        additional_parameters={"licenses": "x"},
    )
    assert request.parameters() == {
        "timeout_min": 60,
        "mem_gb": 8,
        "nodes": 1,
        "cpus_per_task": 1,
        "gpus_per_node": 1,
        "tasks_per_node": 1,
        "slurm_signal_delay_s": 120,
        "slurm_partition": "gpu",
        "slurm_array_parallelism": 256,
        "slurm_additional_parameters": {"requeue": True, "licenses": "x"},
    }
    assert str(request) == "1 GPU, 1 CPU, 8 GB, 1:00 h, partition gpu"


def test_every_name_is_one_that_submitit_takes() -> None:
    from submitit.slurm.slurm import SlurmExecutor

    ours = {name.removeprefix("slurm_") for name in Request.model_fields}
    translated = {"timeout_min", "mem_gb", "tasks_per_node", "max_num_timeout"}
    assert ours - translated <= SlurmExecutor._valid_parameters()


def test_the_local_queue_takes_whole_numbers() -> None:
    assert Shares(slots=2, threads=1, gpus=[0, 1]).gpus == [0, 1]
    with pytest.raises(ValidationError, match="slots"):
        Shares(slots=0)
