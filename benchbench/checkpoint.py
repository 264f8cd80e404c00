"""Checkpoints that survive a kill at any moment: the last whole one is always there."""

from __future__ import annotations

import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from benchbench.atomic import replacing

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes the state in one step; the checkpoint before it stays as the previous one."""
    path = folder / NAME
    with replacing(path) as temporary:
        torch.save(state, temporary)
        if path.exists():
            path.replace(folder / PREVIOUS)


def load(folder: Path, *, device: torch.device) -> dict[str, Any] | None:
    """The newest whole checkpoint, or None where there is none; runs no pickled code."""
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
            if broken is not None:
                raise zipfile.BadZipFile(f"{broken} fails its checksum")
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as e:
            log.warning("%s: not a whole checkpoint (%s); taking the one before it", path, e)
            continue
        return state
    return None
