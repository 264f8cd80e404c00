"""Checks of whether this machine, and the cluster if there is one, can do the runs of a suite."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchbench.errors import BenchError
from benchbench.executor import Terms, build_executor, squeue
from benchbench.executor.local import slots
from benchbench.run.process import search_path
from benchbench.suite.resources import Shares

Verdict = Literal["ok", "warn", "FAIL"]

LEAST_BYTES = 2 * 2**30
"""Free space below which checkpoints may soon not fit."""
NODE_FOLDERS = ("tmp", "var/tmp", "dev/shm", "run")
"""Where each node of a cluster has files of its own."""


@dataclass(frozen=True)
class Check:
    """What was looked at, and how it is."""

    verdict: Verdict
    name: str
    text: str


def examine(
    results: Path, suite: Path | None = None, overrides: Sequence[str] = ()
) -> Iterator[Check]:
    """All checks that apply, in order; a check that breaks is itself a fault."""
    checks = [_python(), _devices(), _results(results), _slurm(results), _lpips()]
    if suite is not None:
        checks.append(_suite(suite, overrides))
    for check in checks:
        try:
            yield from check
        except (OSError, subprocess.SubprocessError, ImportError) as error:
            yield Check("FAIL", "doctor", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Check]:
    import torch

    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("ok", "python", f"{version}, torch {torch.__version__}, {sys.executable}")
    yield Check("ok", "submitit", importlib.metadata.version("submitit"))
    with tempfile.TemporaryDirectory() as elsewhere:
        answer = subprocess.run(
            [sys.executable, "-c", "import benchbench; print(benchbench.__file__)"],
            env={**os.environ, **search_path()},
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )
    if answer.returncode == 0:
        yield Check("ok", "import", f"jobs will run {answer.stdout.strip()}")
    else:
        yield Check("FAIL", "import", "jobs cannot import benchbench; install it: pip install -e .")


def _devices() -> Iterator[Check]:
    import torch

    count = torch.cuda.device_count()
    for index in range(count):
        free, total = torch.cuda.mem_get_info(index)
        text = f"{torch.cuda.get_device_name(index)}, {free / 2**30:.1f} of {total / 2**30:.1f} GB"
        yield Check("ok" if free > total / 2 else "warn", f"GPU {index}", f"{text} free")
    if not count and shutil.which("nvidia-smi"):
        text = "nvidia-smi is here, torch sees no GPU; install torch with CUDA, see its driver"
        yield Check("warn", "GPU", text)
    elif not count:
        yield Check("ok", "GPU", "none here; runs use the CPU")
    places = slots(Shares())
    yield Check("ok", "local", f"{len(places)} at once by default, each {places[0]}")


def _results(results: Path) -> Iterator[Check]:
    folder = results.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            linked = Path(f"{file.name}.link")
            os.link(file.name, linked)
            linked.unlink()
        yield Check("ok", "results", f"{folder} can be written to")
    except PermissionError as error:
        yield Check("FAIL", "results", f"{folder}: {error.strerror}; choose --results elsewhere")
        return
    except OSError as error:
        text = f"{folder}: {error.strerror}; locks fall back to exclusive creation"
        yield Check("warn", "results", text)
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GB free"
    if free < LEAST_BYTES:
        yield Check("warn", "disk", f"{text}; free some, a checkpoint that does not fit ends a run")
    else:
        yield Check("ok", "disk", text)


def _slurm(results: Path) -> Iterator[Check]:
    missing = [name for name in ("sbatch", "squeue", "scontrol", "srun") if not shutil.which(name)]
    if len(missing) == 4:
        yield Check("ok", "slurm", "none here; use the executor inline or local")
        return
    if missing:
        yield Check("FAIL", "slurm", f"no {', '.join(missing)}; load SLURM's commands")
        return
    try:
        config = squeue.configuration()
        partitions = squeue.ask("sinfo", "--noheader", "--format=%P %l %D %G")
    except squeue.Unreachable as error:
        yield Check("FAIL", "slurm", f"{error}; is this the login node, is slurmctld up?")
        return
    listed = "; ".join(" ".join(line.split()) for line in partitions.splitlines())
    yield Check("ok", "slurm", f"answers; partitions (time limit, nodes, GPUs): {listed}")
    yield from _configuration(config)
    yield _accounting(config)
    yield _shared(results)


def _configuration(config: Mapping[str, str]) -> Iterator[Check]:
    yield Check("ok", "arrays", f"up to {config.get('MaxArraySize', '')} runs each")
    if config.get("PreemptMode", "").startswith("OFF"):
        yield Check("ok", "preemption", "off on this cluster")
    elif "preempt_send_user_signal" in config.get("SlurmctldParameters", ""):
        yield Check("ok", "preemption", "jobs get a signal before, and write a checkpoint")
    else:
        text = (
            "the cluster lacks preempt_send_user_signal: a preempted run writes its checkpoint at "
            "SIGTERM if the partition has a GraceTime, else it goes on from its last regular one; "
            "lower checkpoint_every, or ask the admins for it (SlurmctldParameters)"
        )
        yield Check("warn", "preemption", text)
    if config.get("JobRequeue") == "0":
        text = "jobs are not requeuable by default here; benchbench asks for it with --requeue"
        yield Check("ok", "requeue", text)


def _accounting(config: Mapping[str, str]) -> Check:
    if "slurmdbd" not in config.get("AccountingStorageType", "") or not shutil.which("sacct"):
        text = "none; status works, but cannot tell why a job was killed"
        return Check("ok", "accounting", text)
    try:
        squeue.ask("sacct", "--noheader", "--allocations")
    except squeue.Unreachable as error:
        return Check("warn", "accounting", f"{error}; status works without it")
    return Check("ok", "accounting", "sacct answers")


def _shared(results: Path) -> Check:
    folder = results.resolve()
    if any(folder.is_relative_to(Path("/") / name) for name in NODE_FOLDERS):
        text = f"{folder} looks like a folder that every node has for itself; choose --results on "
        return Check("warn", "shared folder", text + "a file system that all nodes share")
    return Check("ok", "shared folder", f"{folder}; every node must see it under this name")


def _lpips() -> Iterator[Check]:
    from benchbench.scoring.lpips import BACKBONES, backbone

    for net in BACKBONES:
        try:
            yield Check("ok", f"LPIPS {net}", str(backbone(net)))
        except BenchError as error:
            yield Check("warn", f"LPIPS {net}", f"{error}; only protocols with LPIPS need them")


def _suite(path: Path, overrides: Sequence[str]) -> Iterator[Check]:
    from benchbench.data.passport import passport
    from benchbench.suite.plan import plan as make_plan

    try:
        plan = make_plan(path, overrides)
    except BenchError as error:
        yield Check("FAIL", "suite", str(error))
        return
    yield Check("ok", "suite", f"{path}: {len(plan.runs)} runs")
    for source in plan.sources:
        try:
            passport(source.dataset, name=source.name, version=source.version)
        except BenchError as error:
            yield Check("warn", f"data {source.label}", f"{error}; bench run prepares it")
        else:
            yield Check("ok", f"data {source.label}", "is there")
    try:
        build_executor(plan, Terms()).describe(plan.runs)
    except BenchError as error:
        yield Check("FAIL", "executor", str(error))
    else:
        yield Check("ok", "executor", plan.suite.executor.name)
