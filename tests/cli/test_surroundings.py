"""Streams, homes and names that a command may meet: it says one sentence, and loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchbench.cli.progress import Display
from benchbench.executor import Outcome
from benchbench.run.job import Job, Settings
from benchbench.run.record import Store
from benchbench.suite.plan import Plan, plan
from benchbench.training.events import Note

from ..stand_ins import bench, tiny

pytestmark = pytest.mark.slow  # each starts processes of its own

Write = Callable[..., Path]
HOSTILE = "[/nope] <script>a|b</script> =1+1 \u202egnp \\x & $ % # _ ~ ^"
ESCAPES = {"\u202e": "\\u202e"}


def shell(command: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """What `bench` answers in a shell, which may send its streams anywhere."""
    line = command.replace("bench", f'{sys.executable} -m benchbench "$@"', 1)
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        ["bash", "-c", line, "bash", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **env},
    )


@pytest.fixture
def suite(write_suite: Write) -> Path:
    return write_suite(tiny(models=["persistence"]))


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "C"],
)
def test_output_that_cannot_show_our_signs_gets_others(
    suite: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    bench("run", suite, "--results", tmp_path)
    for command in ("plan", "table", "status"):
        answer = shell("bench", command, suite, "--results", tmp_path, **env)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "persistence" in answer.stdout
        assert answer.stdout.isascii()
    table = shell("bench", "table", suite, "--results", tmp_path, "--format", "json", **env)
    assert json.loads(table.stdout)["scores"]


def test_a_full_disk_under_the_output_is_one_sentence_and_no_run_is_lost(
    suite: Path, tmp_path: Path
) -> None:
    answer = shell("bench > /dev/full", "run", suite, "--results", tmp_path)
    assert answer.returncode == 2
    assert answer.stderr == (
        "error: standard output: no space left on device; what was printed is lost\n"
    )
    assert (tmp_path / "tiny" / "leaderboard.md").is_file()
    assert len(list(tmp_path.rglob("record.json"))) == 1


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_change_neither_the_end_nor_any_file(
    suite: Path, tmp_path: Path, closed: str
) -> None:
    answer = shell(f"bench {closed}", "plan", suite, "--results", tmp_path)
    assert answer.returncode == 0
    assert "Traceback" not in answer.stderr
    answer = shell(f"bench {closed}", "plan", "nope.yaml")
    assert answer.returncode == 2


@pytest.mark.parametrize("width", ["", "0", "1", "wide"])
def test_a_width_that_is_none_stops_nothing(suite: Path, tmp_path: Path, width: str) -> None:
    answer = shell("bench", "plan", suite, "--results", tmp_path, COLUMNS=width)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_reader_that_leaves_is_no_error_of_ours(suite: Path, tmp_path: Path) -> None:
    answer = shell("bench 2>&1 | true; echo ${PIPESTATUS[0]}", "models")
    assert answer.stdout in ("141\n", "0\n")
    assert answer.stderr == ""


@pytest.mark.parametrize("home", ["/proc"])
def test_a_home_that_is_missing_or_cannot_be_written_to_stops_nothing(
    suite: Path, tmp_path: Path, home: str
) -> None:
    answer = shell("bench", "plan", suite, "--results", tmp_path, HOME=home)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_home_of_nobody_is_one_sentence(suite: Path, tmp_path: Path) -> None:
    models = "models=[{name: convlstm, weights: ~nobody_here/w.pt}]"
    answer = shell("bench", "plan", suite, models, "--results", tmp_path)
    assert answer.returncode == 2
    assert "~nobody_here/w.pt: no home folder is known; set HOME" in answer.stderr
    options = "{path: ~nobody_here, frame: [1, 8, 8], context: 2, horizon: 2}"
    data = f"datasets=[{{name: clips, options: {options}}}]"
    answer = shell("bench", "plan", suite, data, "--results", tmp_path)
    assert answer.returncode == 2
    assert "~nobody_here: no home folder is known" in answer.stderr


def hostile(write_suite: Write) -> Plan:
    models = [{"name": "persistence", "label": HOSTILE}]
    return plan(write_suite(tiny(models=models)))


def shown() -> str:
    text = HOSTILE
    for sign, spelt in ESCAPES.items():
        text = text.replace(sign, spelt)
    return text


def test_a_hostile_label_is_text_in_plan_status_table_and_run(
    write_suite: Write, tmp_path: Path
) -> None:
    suite = hostile(write_suite).path
    for command in ("plan", "run", "status", "table", "plan"):
        told = bench(command, suite, "--results", tmp_path)
        assert shown() in told, command
        assert not set(told) & set(ESCAPES)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_hostile_label_is_text_while_its_run_goes_on(
    write_suite: Write, tmp_path: Path, terminal: bool
) -> None:
    suite_plan = hostile(write_suite)
    (run,) = suite_plan.runs
    console = Console(force_terminal=terminal, width=200, record=True)
    with Display(console, 1) as display:
        display.event(run, Note("held", "by \x1b]0;x\x07"))
        display.live.refresh()
        outcome = Outcome(Job(run, Store(tmp_path), Settings()), "failed", "of \x1b[31m\u202e")
        display.outcome(outcome)
    told = console.export_text()
    assert shown() in told
    assert not set(told) & {*ESCAPES, "\x1b", "\x07"}


@pytest.mark.parametrize("name", ["runs", "RUNS", "slurm", "superseded"])
def test_a_suite_may_not_be_called_as_a_folder_of_the_results(
    write_suite: Write, name: str
) -> None:
    answer = shell("bench", "plan", write_suite(tiny(), name=f"{name}.yaml"))
    assert answer.returncode == 2
    assert "name: expected another name" in answer.stderr or "name: another name" in answer.stderr


def test_a_plan_of_thousands_lists_the_first_and_counts_the_rest(write_suite: Write) -> None:
    train = {"steps": 6, "batch": 2}
    models = [{"name": "convlstm", "options": {"hidden": [4], "patch": 4}}]
    suite = write_suite(tiny(models=models, seeds=list(range(1003)), train=train))
    told = bench("plan", suite)
    assert "1003 to run" in told
    assert "and 3 runs more" in told
