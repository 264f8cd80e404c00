"""Checkpoints that survive a kill at any moment: the last whole one is always there.

A file is what `torch.save` wrote, followed by the 64 hex digits of its SHA-256; `torch.load` reads
it as it is. The state holds the key of its run.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from benchbench.atomic import replacing
from benchbench.errors import Damaged

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
DIGITS = 64
DIGEST = re.compile(rb"[0-9a-f]{64}")
BLOCK = 1 << 20


class _File(io.FileIO):
    """A file that knows its SHA-256, and why it could not be written; torch tells only that."""

    error: OSError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self.sha256 = hashlib.sha256()

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self.sha256.update(view)
        done = 0
        try:
            while done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self.error = error
            raise
        return done


def save(folder: Path, state: dict[str, Any], key: str) -> None:
    """Writes the state in one step; the checkpoint before it stays as the previous one.

    Raises:
        OSError: it does not fit on the disk; those before it are as they were.
    """
    path = folder / NAME
    with replacing(path) as temporary:
        with _File(temporary) as file:
            try:
                torch.save({**state, "key": key}, file)
                file.write(file.sha256.hexdigest().encode())
                os.fsync(file.fileno())
            except (RuntimeError, OSError) as error:
                cause = file.error or error
                if isinstance(cause, OSError):
                    raise OSError(cause.errno, cause.strerror, str(path)) from error
                raise
        # only now, when the new one is on the disk, may the old one move
        if path.exists():
            path.replace(folder / PREVIOUS)


def load(folder: Path, key: str, *, device: torch.device) -> dict[str, Any] | None:
    """The newest whole checkpoint of a run, or None where there is none; runs no pickled code.

    What is not whole, or another run's, is told in the log and deleted.

    Raises:
        OSError: the disk does not give the file.
        Damaged: the file was written whole, and not by us.
    """
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        fault = "cut or damaged"
        if _is_whole(path):
            state: dict[str, Any] = _read(path, device)
            if state.get("key") == key:
                return state
            fault = f"the checkpoint of run {state.get('key')}"
        then = "the one before" if name == NAME else "the start"
        log.warning("%s: %s; deleted, going on from %s", path, fault, then)
        path.unlink()
    return None


def _is_whole(path: Path) -> bool:
    """Whether a file ends in the SHA-256 of all that is before it."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        rest = os.fstat(file.fileno()).st_size - DIGITS
        if rest <= 0:
            return False
        file.seek(rest)
        if not DIGEST.fullmatch(digest := file.read()):
            return False  # terabytes of zeros need not be read
        file.seek(0)
        while rest and (block := file.read(min(rest, BLOCK))):
            sha256.update(block)
            rest -= len(block)
        return digest == sha256.hexdigest().encode()


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise Damaged(path, f"whole, and not readable here ({error})", "delete it") from None
    if not isinstance(state, dict):
        raise Damaged(path, "not a checkpoint of ours", "delete it")
    return state


def remove(folder: Path) -> None:
    """Deletes the checkpoints in a folder."""
    for name in (NAME, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
