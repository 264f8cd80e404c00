"""Where a number came from: code, versions, machine, and every attempt that it took."""

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

import benchbench
from benchbench.run.attempt import Attempt, attempts

PACKAGES = ("benchbench", "torch", "numpy", "scikit-image", "lpips", "submitit")
SOURCES = ("", "models", "datasets")
"""Folders of the package whose code decides numbers, those below the first included."""
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")


def provenance(device: str, folder: Path) -> dict[str, Any]:
    """What a record says of the process that made it, and of the attempts before in its folder."""
    import torch

    history = [_told(attempt) for attempt in attempts(folder)]
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
        "wall_seconds": sum(attempt["seconds"] for attempt in history),
        "several_codes": len({attempt["code"] for attempt in history}) > 1,
    }


def _told(attempt: Attempt) -> dict[str, Any]:
    """What the record keeps of an attempt; `seconds` go on to its last sign of life."""
    names = ("host", "process", "since", "device", "slurm", "code", "command", "outcome", "message")
    kept = {name: attempt.facts.get(name) for name in names}
    return {"number": attempt.number, **kept, "seconds": attempt.seconds}


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
    found = hashlib.sha256()
    for root in benchbench.__path__:
        for name in SOURCES:
            folder = Path(root) / name
            if not name and not (folder / "provenance.py").exists():
                continue  # the root of a checkout holds more than the package
            pattern = "*.py" if name else "**/*.py"
            for path in sorted(folder.glob(pattern)):
                place = path.relative_to(root).as_posix()
                found.update(f"{place}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


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
