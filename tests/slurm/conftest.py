"""A real SLURM on this machine; the tests that ask for it are skipped where it cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from benchbench.cli import app

SCRIPT = Path(__file__).with_name("cluster.sh")
FOLDER = Path(os.environ.get("BENCH_SLURM_DIR", "/var/tmp/benchbench-slurm"))


@dataclass(frozen=True)
class Bench:
    """The command line, used as a person would, on one suite and one results folder."""

    suite: Path
    results: Path

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """What `bench COMMAND SUITE …` prints; its exit status must be the one expected."""
        answer = CliRunner().invoke(app, self.command(*arguments))
        assert answer.exit_code == status, answer.output + str(answer.exception)
        return answer.output

    def logs(self, key: str) -> str:
        """What `bench logs` prints of a run."""
        return CliRunner().invoke(app, ["logs", key, "--results", str(self.results)]).output

    def apart(self, *arguments: str) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        command = [sys.executable, "-m", "benchbench", *self.command(*arguments)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def command(self, name: str, *options: str) -> list[str]:
        """The command line."""
        return [name, str(self.suite), "--results", str(self.results), *options]

    def states(self) -> dict[str, str]:
        """`bench status` by model label, seeds apart; the lines as they are printed."""
        states = {}
        for line in self("status", "--lines", "0").splitlines()[1:-1]:
            _, model, _, seed, state = line.split()[:5]
            states[f"{model}{seed}"] = state + " " + line.split(state, 1)[1].strip()
        return states

    def until(self, wanted: Callable[[dict[str, str]], bool], seconds: float) -> dict[str, str]:
        """The states, once they are as wanted."""
        deadline = time.monotonic() + seconds
        while not wanted(states := self.states()):
            assert time.monotonic() < deadline, f"not in {seconds} s: {states}"
            start_requeued()
            time.sleep(0.5)
        return states

    def key(self, model: str, seed: int = 0) -> str:
        """Of a run."""
        for line in self("status", "--lines", "0").splitlines():
            if line.split()[1:2] == [model] and line.split()[3] == str(seed):
                return line.split()[0]
        raise AssertionError(model)

    def folder(self, key: str) -> Path:
        """Of a run."""
        (folder,) = self.results.glob(f"runs/*/*/seed*-{key}")
        return folder

    def attempts(self, key: str) -> list[dict[str, Any]]:
        """What the files of a run's attempts say."""
        paths = sorted((self.folder(key) / "attempts").glob("*.json"))
        return [json.loads(path.read_text()) for path in paths]


def start_requeued() -> None:
    """SLURM keeps a requeued job back for two minutes; not here."""
    for job in slurm("squeue", "-h", "-t", "PENDING", "--array", "-o", "%i %r").splitlines():
        if "BeginTime" in job:
            subprocess.run(
                ["scontrol", "update", f"JobId={job.split()[0]}", "StartTime=now"],
                capture_output=True,
                check=False,
            )


def slurm(*command: str) -> str:
    """The answer of one of SLURM's commands."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=["accounting", "no accounting"])
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """A running cluster, with a database behind it or without."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a SLURM cluster of its own")
    if shutil.which("apt-get") is None:
        pytest.skip("no apt-get to install SLURM with")
    installed = subprocess.run([SCRIPT, "packages"], check=False, capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"no SLURM to be had here: {installed.stderr.strip()}")
    more = ["--accounting"] if request.param == "accounting" else []
    subprocess.run([SCRIPT, "stop"], check=True, capture_output=True)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(FOLDER / "slurm.conf")
    try:
        started = subprocess.run(
            [SCRIPT, "start", *more], check=False, capture_output=True, text=True
        )
        assert started.returncode == 0, started.stderr
        yield request.param
    finally:
        subprocess.run([SCRIPT, "stop"], check=False, capture_output=True)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture
def ask() -> Callable[..., str]:
    """Puts a question to one of SLURM's commands."""
    return slurm


@pytest.fixture(scope="module")
def make_bench(shared: Path) -> Callable[[dict[str, Any], str], Bench]:
    """Gives the command line for a suite and a results folder of a name."""

    def make(suite: dict[str, Any], name: str) -> Bench:
        path = shared / f"{suite['name']}.yaml"
        path.write_text(yaml.safe_dump(suite))
        return Bench(path, shared / name)

    return make


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all nodes see."""
    return tmp_path_factory.mktemp("shared")
