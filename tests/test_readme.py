"""The README's commands run, its example works, its suites plan, its table was produced."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchbench.cli import app
from benchbench.registry import build_model
from benchbench.report.board import size
from benchbench.suite.plan import plan

from .stand_ins import bench

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

_spec = importlib.util.spec_from_file_location("commands", ROOT / "tests" / "readme_commands.py")
assert _spec is not None
assert _spec.loader is not None
commands = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(commands)


def test_ci_runs_the_two_commands_that_install() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("quickstart", "install"):
        assert commands.named(name)
        assert f"readme {name}\n" in ci


@pytest.mark.slow
def test_every_other_command_runs_in_a_clone_with_the_example_model(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("benchbench", "models", "datasets", "suites"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    suite = clone / "suites" / "quickstart.yaml"
    text = suite.read_text()
    # the same commands on a quickstart that takes seconds
    short = text.replace("steps: 400", "steps: 2").replace("test: 256", "test: 8")
    assert short.count("steps: 2\n") == 1
    suite.write_text(short.replace("executor: local", "executor: inline"))
    (example,) = re.findall(r"`models/lastmean\.py`:\n\n```python\n(.*?)```", README, re.S)
    (clone / "models" / "lastmean.py").write_text(example)
    bench = clone / "bench"
    bench.write_text(f'#!/bin/sh\nexec {sys.executable} -m benchbench "$@"\n')
    bench.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{clone}:{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "BENCH_DATA": str(tmp_path / "data"),
    }
    for name, brightness in (("predicted", 0.9), ("true", 1.0)):
        np.save(clone / f"{name}.npy", np.full((2, 3, 1, 8, 8), brightness, np.float32))
    typed = commands.unnamed()
    assert len(typed) >= 10
    for line in [command for command in typed if not command.startswith("bench doctor")]:
        line = line.replace("train.steps=40", "train.steps=3")
        answer = subprocess.run(
            ["bash", "-c", line], cwd=clone, env=environment, capture_output=True, text=True
        )
        assert answer.returncode == 0, f"{line}\n{answer.stdout}\n{answer.stderr}"
    assert "lastmean" in answer.stdout  # the last command's table
    written = (clone / "results" / "quickstart" / "leaderboard.md").read_text()
    assert "lastmean" not in written  # which is not the suite's own


def test_the_example_suite_plans(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert len(examples) == 2
    for index, text in enumerate(examples):
        path = tmp_path / f"example{index}.yaml"
        path.write_text(text)
        assert plan(path).runs


def test_the_cluster_example_is_the_shipped_suite_whole() -> None:
    shown = plan_text(re.findall(r"```yaml\n(.*?)```", README, re.S)[1])
    assert shown == plan_text((ROOT / "suites" / "cluster.yaml").read_text())


def plan_text(text: str) -> list[str]:
    """The lines of a suite without comments."""
    return [line.split("#")[0].rstrip() for line in text.splitlines() if line.split("#")[0].strip()]


def test_the_cluster_commands_have_the_options_they_are_shown_with() -> None:
    lines = re.findall(r"^\$ (bench [^#\n]*)", README, re.M)
    assert len(lines) >= 8
    for line in lines:
        _, command, *words = line.split()
        told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0, line
        for word in words:
            if word.startswith("--"):
                assert f" {word} " in told.output, line


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_table_is_one_that_the_quickstart_wrote(tmp_path: Path) -> None:
    """Its models and their sizes; the scores of persistence, which nothing random changes."""
    table = README[README.index("|   Rank | Model ") :].partition("\n\n")[0]
    head, _, *rows = map(cells, table.splitlines())
    suite = ROOT / "suites" / "quickstart.yaml"
    whole = plan(suite)
    assert [row[1] for row in rows] == [run.model for run in whole.runs]
    for row, run in zip(rows, whole.runs, strict=True):
        with torch.device("meta"):
            model = build_model(run.spec.model, whole.datasets[0].clip, **run.spec.model_options)
        assert row[2] == size(sum(p.numel() for p in model.parameters())), run.model
    bench("run", suite, "models=[persistence]", "--executor", "inline", "--results", tmp_path)
    options = ("models=[persistence]", "--results", tmp_path, "--format", "markdown")
    told = bench("table", suite, *options).splitlines()
    lines = [cells(line) for line in told if line.startswith("|")]
    assert head[1:] == lines[0]  # a model alone has no rank
    assert rows[0][1:-1] == lines[2][:-1]


def test_names_that_the_readme_gives_exist() -> None:
    for path in re.findall(r"`((?:benchbench|models|datasets|suites|tests)/[\w./]+)`", README):
        if path != "models/lastmean.py":
            assert (ROOT / path).exists(), path


def test_every_promise_about_a_number_names_tests_that_exist() -> None:
    title = "## What benchbench promises about a number"
    promises = README.split(title)[1].split("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 10
    for row in rows:
        names = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert names, row
        for file, test in names:
            assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8"), test
