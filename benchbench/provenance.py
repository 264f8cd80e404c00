"""Where a number came from: code, versions, machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("benchbench", "torch", "numpy", "scikit-image", "lpips", "submitit")


def provenance(device: str) -> dict[str, Any]:
    """What a record says of the process that made it."""
    import torch

    return {
        "code": code(),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": _device(device),
        "threads": torch.get_num_threads(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "command": sys.argv,
        "slurm": {name: os.environ[name] for name in sorted(_slurm_ids())},
    }


def code() -> dict[str, Any]:
    """Commit of the checkout that runs and a hash of its changes; empty when installed."""
    folder = Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
    if commit is None or tracked is None:
        return {}
    diff = _git(folder, "diff", "HEAD") or ""
    dirty = hashlib.sha256(diff.encode()).hexdigest()[:12] if diff else None
    return {"commit": commit.strip(), "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _device(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return f"cpu ({platform.processor() or platform.machine()})"


def _slurm_ids() -> list[str]:
    wanted = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")
    return [name for name in wanted if name in os.environ]
