"""Weights: the tensors that are tested, in a file that any program reads; not a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchbench.atomic import replacing
from benchbench.errors import Damaged


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


def save(path: Path, tensors: dict[str, Tensor], key: str) -> None:
    """Writes tensors and the key of their run to a safetensors file in one step."""
    # copies, because the format has no tensors that share memory
    whole = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # one entry only: the format writes several in any order, and equal runs are equal files
        save_file(whole, temporary, {"key": key})


def load(path: Path, key: str, mend: str) -> dict[str, Tensor]:
    """The tensors in a file, on the CPU, if they are those of the run of a key.

    Raises:
        Damaged: the file is not there, not whole, or another run's; the message ends with `mend`.
    """
    try:
        with safe_open(path, "pt") as file:
            owner = (file.metadata() or {}).get("key")
            if owner == key:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise Damaged(path, f"not whole weights ({error})", mend) from None
    raise Damaged(path, f"the weights of run {owner}, not of {key}", mend)
