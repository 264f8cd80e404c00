"""Executors by name: those of benchbench, and one that another package brings in one file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from benchbench.errors import SchemaError, UnknownName
from benchbench.registry import EXECUTORS

from ..stand_ins import bench, install

THEIRS = """
from benchbench.executor.inline import Inline
from benchbench.registry import register_executor

@register_executor("backwards")
def backwards(plan, terms, *, stride: int = 1):
    return Backwards(stride, terms.say)

class Backwards(Inline):
    def __init__(self, stride, say):
        self.stride, self.say = stride, say

    def describe(self, todo):
        return [f"{len(todo)} runs, the last one first"]

    def run(self, jobs, watch):
        self.say(f"backwards by {self.stride}")
        return super().run(jobs[::-self.stride], watch)
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package, with an executor `backwards`."""
    points = "[benchbench.executors]\nbackwards = theirs\n"
    monkeypatch.syspath_prepend(install(tmp_path / "site", points, theirs=THEIRS))
    monkeypatch.setattr(EXECUTORS, "entries", dict(EXECUTORS.entries))
    yield
    sys.modules.pop("theirs", None)


def test_every_name_registers_an_executor_that_says_what_it_is() -> None:
    for name in EXECUTORS.files():
        assert EXECUTORS.get(name).name == name
        assert len(EXECUTORS.citation(name)) > 20


def test_no_executor_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, benchbench.cli.run; print([m for m in sys.modules if 'executor.' in m])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == "[]\n", answer.stderr


@pytest.mark.usefixtures("theirs")
def test_a_suite_runs_on_an_executor_of_another_package(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    run = partial(bench, "run", write_suite(), "--results", tmp_path / "results")
    chosen = "executor={name: backwards, options: {stride: 1}}"
    assert "executor backwards\n  2 runs, the last one first\n" in run(chosen, "--dry-run")
    told = run(chosen)
    assert "backwards by 1\n" in told
    assert told.index("done 1/2: convlstm") < told.index("done 2/2: persistence")
    assert "2 done" in run("--executor", "backwards")


@pytest.mark.usefixtures("theirs")
def test_their_options_are_checked_with_the_suite(
    write_suite: Callable[..., Path],
) -> None:
    suite = write_suite()
    with pytest.raises(SchemaError, match=r"executor\.options\.stride: expected a whole number"):
        bench("plan", suite, "executor={name: backwards, options: {stride: x}}")
    with pytest.raises(UnknownName, match="no executor 'backward'; did you mean 'backwards'"):
        bench("plan", suite, "--executor", "backward")
