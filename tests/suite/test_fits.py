"""What models answered: told again without torch, and never where their code may be another."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from benchbench.jsonfile import read_cache, write_cache
from benchbench.suite.fits import Fits

from ..stand_ins import bench, install, tiny

pytestmark = pytest.mark.slow  # each starts processes of its own

Write = Callable[..., Path]
SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.yaml"))

PLAN = """\
import json, pathlib, sys
from benchbench.errors import BenchError
from benchbench.suite.plan import plan
try:
    planned = plan(pathlib.Path(sys.argv[1]), sys.argv[2:])
    told = [[run.spec.key, repr(run.spec)] for run in planned.runs], planned.costs
except BenchError as error:
    told = str(error)
print(json.dumps([told, "torch" in sys.modules]))
"""
COMMANDS = """\
import json, sys
from benchbench.cli import app
for words in json.loads(sys.argv[1]):
    app(words, standalone_mode=False)
    assert "torch" not in sys.modules, words
"""
NET = """\
from benchbench.registry import register_model
from theirs_parts import WIDTH, Net
@register_model("theirs")
def theirs(clip, *, width: int = WIDTH):
    return Net()
"""
PARTS = """\
from benchbench.predictor import Predictor
WIDTH = 4
class Net(Predictor):
    cost = "slow"
    def forward(self, context, horizon):
        return context[:, :horizon]
    def losses(self, context, target, progress):
        return {}
"""


class Told(NamedTuple):
    """What a plan in a process of its own gave, and whether that imported torch."""

    plan: object
    torch: bool


def planned(suite: Path, *overrides: str) -> Told:
    """A plan in a process of its own."""
    command = [sys.executable, "-c", PLAN, str(suite), *overrides]
    return Told(*json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the answers are kept, in a data folder of the test's own."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "fits.json"


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem != "quickstart"))
        for path in SUITES
    ],
)
def test_a_suite_is_the_same_runs_whatever_is_remembered(suite: Path, memory: Path) -> None:
    first, second = planned(suite), planned(suite)
    assert (first.torch, second.torch) == (True, False)
    assert second.plan == first.plan
    memory.write_bytes(memory.read_bytes().replace(b", 1, true", b", 2, true"))  # versions
    assert planned(suite) == first
    assert planned(suite) == second


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": ', b"\xff\xfe", b"[" * 100_000])
def test_damaged_answers_are_asked_anew(write_suite: Write, memory: Path, content: bytes) -> None:
    memory.parent.mkdir()
    memory.write_bytes(content)
    first, second = planned(write_suite()), planned(write_suite())
    assert (first.torch, second) == (True, Told(first.plan, False))


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of another package that offers a model."""
    points = "[benchbench.models]\ntheirs = theirs_net\n"
    folder = install(tmp_path / "site", points, theirs_net=NET, theirs_parts=PARTS)
    path = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    return folder


def test_what_a_model_answered_goes_with_its_code(
    write_suite: Write, memory: Path, theirs: Path
) -> None:
    suite = write_suite(tiny(models=["theirs"]))
    first = planned(suite)
    assert planned(suite) == Told(first.plan, False)
    (theirs / "theirs_parts.py").write_text(PARTS.replace("WIDTH = 4", "WIDTH = 8"))
    wider = planned(suite)
    assert wider.torch
    assert "'width': 8" in str(wider.plan)
    assert "'width': 4" in str(first.plan)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "old", "new", "message"),
    [
        ("theirs_net", "width: int", "breadth: int", "has no option 'width'"),
        ("theirs_net", "int = WIDTH", "str", "expected text, not 5"),
        ("theirs_net", "return Net()", "return 1 / 0", "ZeroDivisionError: division by zero"),
        ("theirs_net", '"theirs"', '"other"', "registered no 'theirs'"),
        ("theirs_parts", "WIDTH = 4", "WIDTH = nothing", "NameError: name 'nothing'"),
    ],
)
def test_a_new_fault_of_a_model_is_told_at_once(
    write_suite: Write, memory: Path, theirs: Path, module: str, old: str, new: str, message: str
) -> None:
    suite = write_suite(tiny(models=[{"name": "theirs", "options": {"width": 5}}]))
    assert not isinstance(planned(suite).plan, str)
    path = theirs / f"{module}.py"
    sound = path.read_text()
    path.write_text(sound.replace(old, new))
    for _ in range(2):  # faults are not remembered
        assert message in str(planned(suite).plan)
    path.write_text(sound)
    assert not planned(suite).torch


def test_nothing_is_remembered_of_code_that_is_not_seen(memory: Path, theirs: Path) -> None:
    names = ["persistence", "theirs", "no_such_model"]
    assert Fits(names).codes == {}  # torch is here already
    code = f"from benchbench.suite.fits import Fits; print(*Fits({names}).codes)"

    def remembered() -> list[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert remembered() == ["persistence", "theirs"]
    # a package whose sources somebody works at, or none
    for package in ("benchbench_of_mine", "no_such_package"):
        (theirs.parent / "benchbench_of_mine.py").touch()
        (theirs / "theirs_parts.py").write_text(f"import {package}\n{PARTS}")
        assert remembered() == ["persistence"]


def test_no_more_answers_are_kept_than_the_newest(write_suite: Write, memory: Path) -> None:
    write_cache(memory, {"oldest": "1", "old": "2"})
    few = f"from benchbench.suite import fits\nfits.ANSWERS = 3\n{PLAN}"
    suite = str(write_suite(tiny(models=["persistence"])))
    subprocess.run([sys.executable, "-c", few, suite], check=True, stdout=subprocess.DEVNULL)
    answers = read_cache(memory, dict[str, str])
    assert answers
    assert (len(answers), "oldest" in answers, "old" in answers) == (3, False, True)


def test_commands_that_compute_nothing_import_no_torch(
    write_suite: Write, memory: Path, tmp_path: Path
) -> None:
    suite, results = str(write_suite()), ["--results", str(tmp_path / "results")]
    bench("run", suite, *results)
    planned(Path(suite))
    commands = [
        *([word, suite, *results] for word in ("plan", "run", "table", "status", "compare")),
        *(["references"], ["datasets"], ["protocols"]),
    ]
    command = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "0 to run, 2 done" in told.stdout


@pytest.mark.slow
def test_ten_thousand_files_are_planned_in_two_seconds_the_second_time(
    write_suite: Write, memory: Path, tmp_path: Path
) -> None:
    for number in range(500):
        folder = tmp_path / "videos" / f"v{number}"
        folder.mkdir(parents=True)
        for frame in range(20):
            Image.new("L", (16, 16), (number + frame) % 256).save(folder / f"{frame}.png")
    options = {"path": "videos", "frame": [1, 16, 16], "context": 2, "horizon": 2}
    suite = write_suite(tiny(datasets=[{"name": "clips", "options": options}]))
    command = [sys.executable, "-m", "benchbench", "plan", str(suite), "--results", str(tmp_path)]
    seconds = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds[1:]) < 2, seconds
