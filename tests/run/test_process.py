"""Processes: which one lives, and which one only has the number of one that did."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchbench.run.process import identity, lives


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    facts = {**identity(), "process": process.pid}
    assert lives(facts) is False
    process.wait()


def test_a_process_with_a_recycled_number_is_another() -> None:
    assert lives(identity()) is True
    assert lives({**identity(), "start": "1"}) is False


@pytest.mark.parametrize("field", ["boot", "space"])
def test_the_same_host_name_in_another_container_is_another_machine(field: str) -> None:
    assert lives({**identity(), field: "other"}) is None
