"""Checkpoints that survive a kill at any moment: the last whole one is always there."""

from __future__ import annotations

import errno
import io
import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from benchbench.atomic import replacing

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


class _File(io.FileIO):
    """A file that remembers why it could not be written; torch tells only that it could not."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self.error = error
            raise
        return done


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes the state in one step; the checkpoint before it stays as the previous one.

    Raises:
        OSError: it does not fit on the disk; those before it are as they were.
    """
    path = folder / NAME
    with replacing(path) as temporary:
        with _File(temporary, "w") as file:
            try:
                torch.save(state, file)
                os.fsync(file.fileno())
            except (RuntimeError, OSError) as error:
                cause = file.error or error
                if isinstance(cause, OSError):
                    raise OSError(cause.errno, cause.strerror, str(path)) from error
                raise
        # only now, when the new one is on the disk, may the old one move
        if path.exists():
            path.replace(folder / PREVIOUS)


def load(folder: Path, *, device: torch.device) -> dict[str, Any] | None:
    """The newest whole checkpoint, or None where there is none; runs no pickled code.

    Raises:
        OSError: the disk does not give the file.
    """
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
        except (MemoryError, torch.cuda.OutOfMemoryError):
            raise  # the file may well be whole
        except Exception as error:  # a broken file may raise anything
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise  # the disk is at fault, not what is on it
            log.warning("%s: not a whole checkpoint (%s); taking the one before", path, error)
            continue
        return state
    return None


def remove(folder: Path) -> None:
    """Deletes the checkpoints in a folder."""
    for name in (NAME, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
