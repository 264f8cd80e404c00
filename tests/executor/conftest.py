"""The tiny suite for the executors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.suite.plan import Plan, plan

from ..stand_ins import tiny
from .cases import Case

EXECUTION: dict[str, Any] = {
    "models": [{"name": "convlstm", "options": {"hidden": [4, 4]}}],
    "checkpoint_every": 2,
    "local": {"slots": 2, "threads": 1},
    "slurm": {"timeout_min": 20, "cpus_per_task": 1},
}


@pytest.fixture
def make_plan(write_suite: Callable[..., Path]) -> Callable[..., Plan]:
    """Gives the plan of the tiny suite, one model only, with some of its keys replaced."""

    def make(**changes: Any) -> Plan:
        return plan(write_suite(tiny(**{**EXECUTION, **changes})))

    return make


@pytest.fixture
def case(make_plan: Callable[..., Plan], tmp_path: Path) -> Case:
    """The tiny suite's run, not yet submitted."""
    return Case(make_plan(), tmp_path / "r")
