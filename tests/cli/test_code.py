"""Runs whose code has changed since: plan, table, status, retry and a resume, as typed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ..stand_ins import install, tiny

Write = Callable[..., Path]
MODULE = textwrap.dedent('''
    """A last frame with a learned gain, by them."""
    import os, signal
    import torch
    from benchbench.predictor import Predictor
    from benchbench.registry import register_model
    from theirs_scale import SCALE

    class Scaled(Predictor):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(SCALE))

        def forward(self, context, horizon):
            return self.gain * context[:, -1:].expand(-1, horizon, -1, -1, -1)

        def losses(self, context, target, progress):
            if progress.step == 4 and "STOP" in os.environ:
                os.kill(os.getpid(), signal.SIGTERM)
            return progress.criterion(self(context, target.shape[1]), target)

    @register_model("scaled")
    def scaled(clip) -> Predictor:
        return Scaled()
    ''')


class Bench:
    """`bench` in processes of their own, with a model of another package, which can be edited."""

    def __init__(self, suite: Path, site: Path, results: Path) -> None:
        self.suite, self.results = suite, results
        points = "[benchbench.models]\nscaled = theirs\n"
        self.site = install(site, points, theirs=MODULE, theirs_scale="SCALE = 0.5\n")

    def __call__(self, *words: str, status: int = 0, **environment: str) -> str:
        path = os.pathsep.join([str(self.site), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "benchbench", words[0], str(self.suite), *words[1:]]
        answer = subprocess.run(
            [*command, "--results", str(self.results)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        )
        told = answer.stdout + answer.stderr
        assert answer.returncode == status, told
        assert "Traceback" not in told
        return told

    def edit(self) -> None:
        """Changes a file that the model imports."""
        (self.site / "theirs_scale.py").write_text("SCALE = 0.75\n")


@pytest.fixture
def bench(write_suite: Write, tmp_path: Path) -> Bench:
    train = {"steps": 6, "batch": 2, "validate_every": 3}
    suite = write_suite(tiny(models=["persistence", "scaled"], train=train, checkpoint_every=2))
    return Bench(suite, tmp_path / "site", tmp_path / "results")


@pytest.mark.slow
def test_a_finished_run_of_other_code_is_counted_marked_and_run_again_on_demand(
    bench: Bench,
) -> None:
    bench("run")
    (bench.site / "theirs.py").write_text(f"# a comment\n{MODULE}\n\n")
    assert "other code" not in bench("plan")
    bench.edit()
    plan = bench("plan")
    assert "0 to run, 2 done" in plan
    assert "1 done under other code than today's (model)" in plan
    assert "retry" in plan
    assert "scaled (other code)" in bench("table")
    assert "other code (model)" in bench("status")
    again = bench("retry", "--stale")
    assert "1 to retry" in again
    assert "other code" not in again
    (old,) = bench.results.glob("superseded/moving_digits/scaled/*/1/record.json")
    (new,) = bench.results.glob("runs/moving_digits/scaled/*/record.json")
    assert old.read_bytes() != new.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_training_resumed_under_other_code_is_refused_unless_allowed(
    bench: Bench, executor: str
) -> None:
    how = ("--executor", executor)
    bench("run", *how, status=130, STOP="1")
    bench.edit()
    assert "1 interrupted under other code than today's (model)" in bench("plan")
    refused = bench("run", *how, status=1)
    assert "its training began under other code (model); bench retry --stale" in refused
    allowed = bench("run", *how, "--allow-code-change")
    assert "scaled (other code)" in allowed
    assert "Made under one code and then another: scaled." in allowed


@pytest.mark.slow
def test_an_interrupted_training_of_other_code_is_begun_again_on_demand(bench: Bench) -> None:
    bench("run", status=130, STOP="1")
    bench.edit()
    assert "other code" not in bench("retry", "--stale")
    (old,) = bench.results.glob("superseded/moving_digits/scaled/*/1/checkpoint.pt")
    assert old.stat().st_size
