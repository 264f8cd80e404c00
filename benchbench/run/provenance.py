"""Where a number came from: code, versions, machine, and every attempt that it took."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import benchbench
from benchbench.run.attempt import Attempt, attempts

PACKAGES = (
    "benchbench", "torch", "numpy", "numba", "lpips", "torchvision", "pillow", "h5py", "av",
)  # fmt: skip
"""Packages that compute numbers, or read the frames that they are computed of."""
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")


def provenance(device: str, folder: Path) -> dict[str, Any]:
    """What a record says of the process that made it, and of all attempts in its folder."""
    import torch

    history = [_entry(attempt) for attempt in attempts(folder)]
    return {
        "code": code(),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": _device(device),
        "threads": torch.get_num_threads(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "command": sys.argv,
        "slurm": slurm_ids(),
        "attempts": history,
        "wall_seconds": sum(entry["seconds"] for entry in history),
        "several_codes": len({entry["code"] for entry in history} - {None}) > 1,
    }


def _entry(attempt: Attempt) -> dict[str, Any]:
    """An attempt in the record; its `seconds` go on to its last sign of life."""
    names = ("host", "process", "since", "device", "slurm", "code", "command", "outcome", "message")
    facts = {name: attempt.facts.get(name) for name in names}
    return {"number": attempt.number, **facts, "seconds": attempt.seconds}


def about(device: str) -> dict[str, Any]:
    """What an attempt notes of itself when it begins."""
    return {"device": device, "slurm": slurm_ids(), "code": digest(), "command": sys.argv}


def slurm_ids() -> dict[str, str]:
    """Job, array task and restarts of the SLURM job that this is, empty outside."""
    return {name: os.environ[name] for name in SLURM if name in os.environ}


def code() -> dict[str, Any]:
    """Hash of the sources; commit of the checkout and hash of its changes if it is one."""
    folder = Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
    if commit is None or tracked is None:
        return {"digest": digest()}
    diff = _git(folder, "diff", "HEAD") or ""
    dirty = hashlib.sha256(diff.encode()).hexdigest()[:12] if diff else None
    return {"digest": digest(), "commit": commit.strip(), "dirty": dirty}


def digest() -> str:
    """12 hex digits of the sources as they lie on the disk now: the engine, models, datasets."""
    sources = hashlib.sha256()
    for place, path in sorted(_sources().items()):
        content = path.read_bytes()
        sources.update(f"{place}\0{len(content)}\0".encode() + content)
    return sources.hexdigest()[:12]


def _sources() -> dict[str, Path]:
    """All code that decides numbers, by its place; the same in a checkout and in a wheel."""
    engine = Path(benchbench.__file__).parent
    sources = {path.relative_to(engine).as_posix(): path for path in engine.rglob("*.py")}
    for root in map(Path, benchbench.__path__):  # a checkout's holds more than these two
        for folder in ("models", "datasets"):
            files = (root / folder).glob("*.py")
            sources |= {path.relative_to(root).as_posix(): path for path in files}
    return sources


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _device(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return f"cpu ({platform.processor() or platform.machine()})"
