"""Shared by all tests: a fixed seed, one thread, and a suite small enough to train in a second."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchbench.dataset import Split

SUITE = """
datasets:
  - name: moving_digits
    options: {size: 16, digits: 1, context: 3, horizon: 2, val: 4, test: 6}
models:
  - persistence
  - name: convlstm
    options: {hidden: [4, 4], patch: 4}
train: {steps: 6, batch: 2, validate_every: 3}
"""


@dataclass
class ComputedSplit(Split):
    """Clips that a function computes, named by a pattern."""

    compute: Callable[[int], Tensor]
    length: int | None
    pattern: str = "{}"

    def clip(self, index: int) -> Tensor:
        return self.compute(index)

    def name(self, index: int) -> str:
        return self.pattern.format(index)


@pytest.fixture(autouse=True)
def _steady() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a suite file and gives its path."""

    def write(text: str = SUITE, name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write
