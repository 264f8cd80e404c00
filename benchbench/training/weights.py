"""Weights: the tensors that are tested, in a file that any program reads; not a checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchbench.atomic import replacing
from benchbench.errors import DataMissing

NAME = "weights.safetensors"


@dataclass(frozen=True)
class Weights:
    """The tensors of a predictor, and the training that gave them."""

    tensors: dict[str, Tensor]
    """As in its `state_dict`."""
    step: int = 0
    """Iteration after which they were taken."""
    validation_mse: float | None = None
    train_seconds: float = 0.0
    """Time of all iterations, validations apart."""


def save(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors to `weights.safetensors` in one step."""
    # copies, because the format has no tensors that share memory
    whole = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(folder / NAME) as temporary:
        save_file(whole, temporary, {"format": "pt"})


def load(folder: Path, digest: str) -> dict[str, Tensor]:
    """The tensors in a folder, on the CPU, if they are those of a SHA-256.

    Raises:
        DataMissing: the file is not there, damaged, or another one.
    """
    path = folder / NAME
    try:
        if sha256(path) == digest:
            return load_file(path)
    except (FileNotFoundError, SafetensorError):
        pass
    raise DataMissing(
        f"{path}: not the whole weights that this run tested; delete the folder, "
        "then run its suite again"
    )


def sha256(file: Path) -> str:
    """The digest of a file of weights, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
