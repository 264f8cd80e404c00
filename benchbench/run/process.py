"""Processes: what tells one from all others, whether one lives, and what lets one import us."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import benchbench


def identity() -> dict[str, Any]:
    """What tells this process from all others: machine, boot, process space, id and start."""
    return {**_machine(), "process": os.getpid(), "start": _started(os.getpid())}


def local(facts: Mapping[str, Any]) -> bool:
    """Whether a process is, or was, one of this machine, since its boot and in its space."""
    return all(facts.get(name) == value for name, value in _machine().items())


def lives(facts: Mapping[str, Any]) -> bool | None:
    """Whether the process with an identity lives; None where this machine cannot know."""
    if not local(facts):
        return None
    process = int(facts["process"])
    if facts["boot"]:
        return _started(process) is not None and _started(process) == facts["start"]
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def search_path() -> dict[str, str]:
    """What lets another process import this very benchbench, and nothing by chance from its cwd."""
    safe = {"PYTHONSAFEPATH": "1"}
    root = Path(benchbench.__file__).resolve().parent.parent
    if str(root) in benchbench.__path__:  # a checkout
        path = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**safe, "PYTHONPATH": os.pathsep.join(path)}
    return safe


@functools.cache
def _machine() -> dict[str, str]:
    """Host, boot and process space, where process ids mean the same."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    boot = _text("/proc/sys/kernel/random/boot_id")
    return {"host": socket.gethostname(), "boot": boot, "space": space}


def _started(process: int) -> str | None:
    """When a process started, in the kernel's ticks; None for one that is dead or a zombie."""
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in "ZX" else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
