"""How `bench` starts: its help, what it completes, and what it says of a wrong word."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchbench import protocols
from benchbench.cli import app, main
from benchbench.errors import SchemaError

from ..stand_ins import bench, install

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "{suite}", "train.stepz=1"], "unknown key 'stepz'; did you mean 'steps'?"),
        (["run", "{suite}", "--executor", "slrum"], "no executor 'slrum'; did you mean 'slurm'?"),
        (["table", "{suite}", "--format", "latx"], "no format 'latx'; did you mean 'latex'?"),
        (["status", "{suite}", "--only", "faild"], "no state 'faild'; did you mean 'failed'?"),
        (["run", "nope.yaml"], "nope.yaml: no such file"),
        (["logs", "\x1b[2J"], r"no run '\x1b[2J'"),
    ],
)
def test_a_wrong_word_is_one_message_and_status_2(
    write_suite: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    suite = str(write_suite())
    monkeypatch.chdir(tmp_path)
    for stream in ("stdout", "stderr"):  # which main replaces
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    monkeypatch.setattr(sys, "argv", ["bench", *(part.format(suite=suite) for part in arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    told = capfd.readouterr()
    assert told.err.startswith("error: ")
    assert message in told.err
    assert "\x1b" not in told.err
    assert not (tmp_path / "results").exists()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that offers a model, a dataset and protocols which cannot be imported."""
    points = "".join(
        f"[benchbench.{group}]\ntheirs = theirs_broken{value}\n"
        for group, value in (("models", ""), ("datasets", ""), ("protocols", ":PROTOCOLS"))
    )
    module = "import numpy\nnumpy.nothing_of_the_kind\n"
    monkeypatch.syspath_prepend(install(tmp_path / "site", points, theirs_broken=module))
    protocols._by_name.cache_clear()
    yield
    protocols._by_name.cache_clear()


@pytest.mark.parametrize("command", ["models", "datasets", "protocols"])
def test_a_broken_plug_in_is_one_line_and_the_others_are_listed(
    broken: None, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = bench(command) + caplog.text
    assert {"models": "predrnn", "datasets": "taxibj", "protocols": "openstl"}[command] in told
    (line,) = (line for line in told.splitlines() if "cannot be imported" in line)
    assert "theirs" in line
    assert "theirs_broken.py, line 2: AttributeError: " in line
    assert "Traceback" not in told


def test_a_broken_plug_in_stops_no_suite_that_does_not_name_it(
    broken: None, write_suite: Write, tmp_path: Path
) -> None:
    assert "2 to run" in bench("plan", write_suite(), "--results", tmp_path / "results")
    with pytest.raises(SchemaError, match="model 'theirs' cannot be imported"):
        bench("plan", write_suite(), "models=[theirs]", "--results", tmp_path / "results")


def cpu_seconds(*arguments: str) -> float:
    """CPU time of the fastest of three Pythons, which other processes lengthen less than a wait."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_takes_little_more_than_the_library_that_prints_it() -> None:
    library = cpu_seconds("-c", "import typer.rich_utils, rich.markdown, rich.table")
    assert cpu_seconds("-m", "benchbench", "--help") < 2 * library


def test_help_loads_nothing_that_takes_long() -> None:
    slow = {"importlib.metadata", "jinja2", "numpy", "pandas", "pydantic", "torch", "yaml"}
    code = (
        "import sys; from typer.testing import CliRunner; from benchbench.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print({slow!r} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert answer.stdout.split() == [b"set()"]


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (("run",), "SUITE [KEY=VALUE]..."),
        (("doctor",), "[SUITE] [KEY=VALUE]..."),
        (("prepare",), "NAME|SUITE..."),
        (("models", "show"), "NAME"),
        (("logs",), "RUN"),
    ],
)
def test_usage_names_what_is_to_be_typed(command: tuple[str, ...], usage: str) -> None:
    told = bench(*command, "--help")
    (line,) = (line for line in told.splitlines() if "Usage:" in line)
    assert line.rstrip().endswith(f"{' '.join(command)} [OPTIONS] {usage}")


def test_every_command_is_explained_in_whole_sentences() -> None:
    def commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
        inner = getattr(group, "commands", None)
        if inner is None:
            return [(path, group)]
        return [leaf for name, one in inner.items() for leaf in commands(one, (*path, name))]

    from typer.main import get_command

    leaves = commands(get_command(app))
    assert len(leaves) == 19
    for path, command in leaves:
        paragraphs = (command.help or "").strip().split("\n\n")  # type: ignore[attr-defined]
        assert all(text.strip().endswith((".", "`")) for text in paragraphs), path
        assert all("\n" not in text for text in paragraphs), path
        options = command.params  # type: ignore[attr-defined]
        assert all((option.help or "").strip() for option in options), path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("run qu", ["quickstart"]),
        ("plan suites/zoo", ["suites/zoo_smoke.yaml"]),
        ("models show cms", ["cms_lstm"]),
        ("datasets show tax", ["taxibj"]),
        ("protocols show ope", ["openstl"]),
        ("run quickstart --executor sl", ["slurm"]),
        ("score --protocol open", ["openstl"]),
        ("table quickstart --format la", ["latex"]),
        ("status quickstart --only fa", ["failed"]),
        ("datasets show clips --split te", ["test"]),
        ("weights import cms", ["cms_lstm"]),
        ("logs 0ab", ["0abc12345678"]),
        ("cancel quickstart --run 0ab", ["0abc12345678"]),
    ],
)
def test_the_shell_completes_names(
    words: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "0ab" in words:
        (tmp_path / "results/runs/d/m/seed0-0abc12345678").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(
        app,
        [],
        prog_name="bench",
        env={
            "_BENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": f"bench {words}",
            "COMP_CWORD": str(len(words.split())),
        },
    )
    assert answer.output.split() == offered
