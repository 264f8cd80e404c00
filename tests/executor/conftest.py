"""Tiny suites for the executors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchbench.suite.plan import Plan, plan

from .cases import Case

SUITE: dict[str, Any] = {
    "datasets": [
        {
            "name": "moving_digits",
            "options": {
                "size": 16, "digits": 1, "context": 2, "horizon": 2, "val": 4, "test": 6,
            },
        }
    ],
    "models": [{"name": "convlstm", "options": {"hidden": [4, 4]}}],
    "train": {"steps": 6, "batch": 2},
    "checkpoint_every": 2,
    "local": {"slots": 2, "threads": 1},
    "slurm": {"timeout_min": 20, "cpus_per_task": 1},
}  # fmt: skip


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[..., Plan]:
    """Gives the plan of the tiny suite with some of its keys replaced."""

    def make(**changes: Any) -> Plan:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({**SUITE, **changes}))
        return plan(path)

    return make


@pytest.fixture
def case(make_plan: Callable[..., Plan], tmp_path: Path) -> Case:
    """The tiny suite's run, not yet submitted."""
    return Case(make_plan(), tmp_path / "r")
