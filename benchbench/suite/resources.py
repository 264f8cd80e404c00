"""Resources: what a suite says of the machines its runs are to have."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from benchbench.options import Count, Natural, Positive
from benchbench.suite.section import Many, Section


def minutes(value: Any) -> Any:
    """Whole minutes of `90`, `1:30`, `1:30:00`, `2-00` or `2-00:00`, seconds rounded up."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::([0-5]\d))?(?::([0-5]\d))?", value.strip())
    if match is None:
        raise ValueError("minutes, or a time such as 4:00 (hours:minutes) or 2-12 (days-hours)")
    days, first, second, third = match.groups()
    if days is None and second is None:
        return int(first)
    return int(days or 0) * 1440 + int(first) * 60 + int(second or 0) + (int(third or 0) > 0)


def _count(value: Any) -> int:
    """2 of `2`, `a100:2` or 2; 1 of a kind alone, `a100`."""
    last = str(value).rpartition(":")[2]
    return int(last) if last.isdigit() else 1


class Shares(Section):
    """How this machine is shared out: one run at a time on each GPU, or on each slot of a CPU."""

    slots: Count | None = None
    """Runs at once where there is no GPU; one for every four cores if absent."""
    threads: Count | None = None
    """CPU threads of each run; all cores shared out evenly if absent."""
    gpus: Many[Natural] | None = None
    """GPUs to use; all that are visible if absent, none if empty."""


class Request(Section):
    """What one run asks of SLURM, by submitit's names."""

    timeout_min: Annotated[Count | None, BeforeValidator(minutes)] = None
    """Time limit of one job, in minutes or as `4:00`; a run that needs longer is requeued."""
    max_num_timeout: Natural = 10
    """How often a run is requeued after its time limit; preemptions do not count."""
    signal_delay_s: Count = 120
    """Seconds before the limit at which a run is told to write its checkpoint."""
    mem_gb: Positive | None = None
    cpus_per_task: Count = 1
    gpus_per_node: Natural | None = None
    gpus_per_task: Natural | None = None
    cpus_per_gpu: Count | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    nodes: Literal[1] = 1
    tasks_per_node: Literal[1] = 1
    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    constraint: str | None = None
    gres: str | None = None
    exclude: str | None = None
    nodelist: str | None = None
    exclusive: bool | str | None = None
    comment: str | None = None
    dependency: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    array_parallelism: Count = 256
    """Most runs of one array at once."""
    setup: Many[str] = []
    """Shell lines before Python starts, such as `module load cuda`."""
    teardown: Many[str] = []
    srun_args: Many[str] = []
    additional_parameters: dict[str, Any] = {}
    """Any other option of sbatch, by its long name."""

    @model_validator(mode="after")
    def _signal_comes_in_time(self) -> Request:
        if self.timeout_min is not None and self.timeout_min * 60 <= self.signal_delay_s:
            raise ValueError(f"a timeout_min above signal_delay_s ({self.signal_delay_s} s)")
        return self

    @property
    def gpus(self) -> int:
        """How many GPUs it asks for, in whichever of SLURM's ways."""
        further = {key.replace("-", "_"): v for key, v in self.additional_parameters.items()}
        names = ("gpus_per_node", "gpus_per_task", "gpus")
        values = {**self.model_dump(exclude_none=True), **further}
        counts = [_count(values[name]) for name in names if name in values]
        for text in str(values.get("gres", "")).split(","):
            kind, _, count = text.removeprefix("gres/").partition(":")
            counts += [_count(count)] if kind == "gpu" else []
        return max(counts, default=0)

    @property
    def seconds(self) -> int:
        """Time limit of one job; to be asked only where there is one."""
        assert self.timeout_min is not None
        return self.timeout_min * 60

    def parameters(self) -> dict[str, Any]:
        """What is given to submitit, under the names of its `AutoExecutor`."""
        shared = ("timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node")
        skipped = ("max_num_timeout", "tasks_per_node", "setup")
        parameters: dict[str, Any] = {"tasks_per_node": 1}
        for name, value in self.model_dump(exclude_none=True, exclude=set(skipped)).items():
            if value or name in shared:
                parameters[name if name in shared else f"slurm_{name}"] = value
        # a site may have made jobs not requeuable by default
        extra = {"requeue": True, **self.additional_parameters}
        return {**parameters, "slurm_additional_parameters": extra}

    def __str__(self) -> str:
        """`1 GPU, 4 CPUs, 32 GB, 4:00, partition gpu`."""
        parts = []
        gpus = self.gpus_per_node or self.gpus_per_task
        if gpus:
            parts.append(f"{gpus} GPU{'s' if gpus > 1 else ''}")
        if self.gres:
            parts.append(self.gres)
        parts.append(f"{self.cpus_per_task} CPU{'s' if self.cpus_per_task > 1 else ''}")
        if self.mem_gb:
            parts.append(f"{self.mem_gb:g} GB")
        if self.timeout_min:
            parts.append(f"{self.timeout_min // 60}:{self.timeout_min % 60:02d} h")
        for name in ("partition", "qos", "account", "constraint"):
            if value := getattr(self, name):
                parts.append(f"{name} {value}")
        return ", ".join(parts)
