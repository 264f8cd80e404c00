"""What tests of several packages use: a tiny suite, clips that are computed, the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor
from typer.testing import CliRunner, Result

from benchbench.cli import app
from benchbench.dataset import Split
from benchbench.predictor import Predictor, Progress

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
"""Trained in a second."""


def tiny(**changes: Any) -> str:
    """The tiny suite with some of its keys replaced."""
    return yaml.safe_dump({**yaml.safe_load(SUITE), **changes})


def bench(*arguments: object, status: int = 0) -> str:
    """What `bench` prints, its streams together; see `invoke`."""
    return invoke(*arguments, status=status).output


def invoke(*arguments: object, status: int = 0) -> Result:
    """Runs `bench` in this process; what its `main` would print as an error is raised.

    The exit status must be the one expected.
    """
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == status, answer.output
    return answer


def install(folder: Path, entry_points: str, **modules: str) -> Path:
    """Leaves another package in a folder as pip would, and gives the folder, to be put on the path.

    Args:
        folder: the folder to install into.
        entry_points: lines of its `entry_points.txt`.
        modules: the text of each of its modules.
    """
    metadata = folder / "theirs-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


class Untrained(Predictor):
    """A predictor that is asked for frames and never for a loss."""

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        raise NotImplementedError


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
