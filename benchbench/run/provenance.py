"""Where a number came from: code, versions, machine, and every attempt that it took."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchbench.atomic import write_text
from benchbench.errors import Damaged, RunFailed
from benchbench.jsonfile import read
from benchbench.run.attempt import Attempt, attempts, file_clock
from benchbench.suite.code import Code

PACKAGES = (
    "benchbench", "torch", "numpy", "numba", "lpips", "torchvision", "pillow", "h5py", "av",
)  # fmt: skip
"""Packages that compute numbers, or read the frames that they are computed of."""
TRAIL = "code.json"
"""In a run's folder: the codes under which its training began and went on."""
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")


def provenance(device: str, folder: Path, now: Code) -> dict[str, Any]:
    """What a record says of the process that made it, and of all attempts in its folder."""
    import torch

    tries = attempts(folder)
    # the newest is ours, and alive until now
    tries[-1:] = [replace(attempt, beat=file_clock(folder)) for attempt in tries[-1:]]
    history = [_entry(attempt) for attempt in tries]
    return {
        "code": _commit(),
        "codes": [code and code.to_dict() for code in trail(folder) or (now,)],
        "versions": {"python": platform.python_version(), **_versions()},
        "device": _device(device),
        "threads": torch.get_num_threads(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "command": sys.argv,
        "slurm": slurm_ids(),
        "attempts": history,
        "wall_seconds": sum(entry["seconds"] for entry in history),
    }


def _entry(attempt: Attempt) -> dict[str, Any]:
    """An attempt in the record; its `seconds` go on to its last sign of life."""
    names = ("host", "process", "since", "device", "slurm", "code", "command", "outcome", "message")
    facts = {name: attempt.facts.get(name) for name in names}
    facts["message"] = facts["message"] or attempt.damage or None
    return {"number": attempt.number, **facts, "seconds": attempt.seconds}


def about(device: str, code: Code) -> dict[str, Any]:
    """What an attempt notes of itself when it begins."""
    facts = {"device": device, "slurm": slurm_ids(), "command": sys.argv}
    return {**facts, "code": code.to_dict()}


def slurm_ids() -> dict[str, str]:
    """Job, array task and restarts of the SLURM job that this is, empty outside."""
    return {name: os.environ[name] for name in SLURM if name in os.environ}


def _commit() -> dict[str, Any]:
    """Commit of the checkout and hash of its changes; nothing where it is none."""
    folder = Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
    if commit is None or tracked is None:
        return {}
    diff = _git(folder, "diff", "HEAD") or ""
    dirty = hashlib.sha256(diff.encode()).hexdigest()[:12] if diff else None
    return {"commit": commit.strip(), "dirty": dirty}


def enter(folder: Path, now: Code, *, any_code: bool) -> None:
    """Notes the code under which the training in a folder begins or goes on.

    Raises:
        RunFailed: its checkpoint was made under other code, and not `any_code`.
    """
    past = trail(folder)
    if past and past[-1] == now:
        return
    if past and not any_code:
        parts = ", ".join(past[-1].differences(now)) if past[-1] else f"unknown: {folder / TRAIL}"
        raise RunFailed(
            f"its training began under other code ({parts}); bench retry --stale trains it anew, "
            "--allow-code-change goes on and marks it"
        )
    text = json.dumps([code and code.to_dict() for code in (*past, now)])
    write_text(folder / TRAIL, text)


def trail(folder: Path) -> tuple[Code | None, ...]:
    """The codes under which an unfinished training has gone on, oldest first.

    Empty where it has no checkpoint to go on from; None stands for code that cannot be told.
    """
    if not checkpoints(folder):
        return ()
    try:
        values = read(folder / TRAIL, list[Any], "nothing to do")
    except Damaged:
        return (None,)
    return tuple(map(Code.from_dict, values)) if values else (None,)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder."""
    return [path for path in folder.glob("checkpoint*.pt") if path.is_file()]


def codes(facts: Mapping[str, Any]) -> tuple[Code | None, ...]:
    """The codes under which a finished run was made, from its record's provenance."""
    values = facts.get("codes")
    return tuple(map(Code.from_dict, values)) if isinstance(values, list) else ()


def under(facts: Mapping[str, Any], now: Code) -> dict[str, Any]:
    """A record's provenance once scores were added to it under today's code."""
    past = codes(facts)
    if not past or past[-1] == now:
        return dict(facts)
    return {**facts, "codes": [*facts["codes"], now.to_dict()]}


def differences(past: Sequence[Code | None], now: Code) -> tuple[str, ...]:
    """Parts in which codes differ from today's; `unknown` for code that cannot be told."""
    parts = [part for code in past for part in (code.differences(now) if code else ("unknown",))]
    return tuple(dict.fromkeys(parts))


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
