"""The precision of forward passes, the same in training, validation and test."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from benchbench.errors import SchemaError


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context of forward passes at `fp32` or `bf16`.

    Raises:
        SchemaError: another precision.
    """
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    if precision != "fp32":
        raise SchemaError(f"precision: expected fp32 or bf16, not '{precision}'")
    return nullcontext()
