"""bench run, as typed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.training.trainer import Trainer

from ..stand_ins import bench, install, tiny

Write = Callable[..., Path]
LONGER = tiny(train={"steps": 60, "batch": 2, "validate_every": 20}, checkpoint_every=5)


def leaderboard(results: Path, suite: str = "tiny") -> list[str]:
    """The table's rows, the column of seconds left out."""
    text = (results / suite / "leaderboard.md").read_text()
    return [row.rpartition("|")[0].rpartition("|")[0] for row in text.splitlines() if "|" in row]


def files(results: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (results / "runs").rglob("*") if path.is_file()}


def test_a_suite_runs_once_and_its_table_stays(write_suite: Write, tmp_path: Path) -> None:
    suite, results = write_suite(), tmp_path / "results"
    first = bench("run", suite, "--results", results)
    assert "tiny: 2 to run, 0 done" in first
    assert "convlstm" in first
    table, kept = leaderboard(results), files(results)
    again = bench("run", suite, "--results", results)
    assert "tiny: 0 to run, 2 done" in again
    assert leaderboard(results) == table
    assert files(results) == kept
    assert again[again.index("moving_digits") :] in first


def test_a_download_before_the_first_run_is_told(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(_: object, watch: Callable[[str, int, int], None]) -> None:
        watch("digits.npy", 4_000_000, 8_000_000)

    monkeypatch.setattr("benchbench.datasets.moving_digits.MovingDigits.prepare", prepare)
    done = bench("run", write_suite(), "--results", tmp_path / "results")
    assert "digits.npy:  50 % of 8.0 MB\n" in done
    assert done.index("digits.npy") < done.index("done 1/2")


def test_a_run_leaves_what_the_design_says(write_suite: Write, tmp_path: Path) -> None:
    bench("run", write_suite(), "--results", tmp_path / "results")
    (folder,) = (tmp_path / "results" / "runs" / "moving_digits" / "convlstm").iterdir()
    assert folder.name.startswith("seed0-")
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "spec.yaml", "record.json", "history.jsonl", "weights.safetensors", "scores",
        "log.txt", "state.json",
    }  # fmt: skip
    assert not any("checkpoint" in name for name in names)
    record = json.loads((folder / "record.json").read_text())
    assert record["key"] == folder.name.removeprefix("seed0-")
    assert record["steps"] == 6
    assert record["tested_step"] in (3, 6)
    assert record["dataset"]["splits"]["test"] == 6
    assert record["provenance"]["versions"]["torch"]
    assert {p.name for p in (folder / "scores").iterdir()} == {
        "benchbench-v1.json", "benchbench-v1.parquet",
    }  # fmt: skip


def test_a_new_seed_or_protocol_is_all_that_is_computed_anew(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, results = write_suite(), tmp_path / "results"
    bench("run", suite, "--results", results)
    kept = files(results)
    more = bench("run", suite, "seeds=[0, 1]", "--results", results)
    assert "tiny: 1 to run, 2 done" in more
    monkeypatch.setattr(Trainer, "iterate", None)  # scoring again may not train
    other = bench("run", suite, "protocols=[benchbench, openstl]", "--results", results)
    assert "protocol openstl v1" in other
    now = files(results)
    assert all(
        now[path] == kept[path]
        for path in kept
        if "attempts" not in path.parts
        and path.name not in ("state.json", "log.txt", "record.json")
    )


def test_a_failed_run_does_not_stop_the_others(write_suite: Write, tmp_path: Path) -> None:
    bad = "{name: convlstm, label: bad, options: {hidden: [4]}, train: {lr: 1e30}}"
    models = f"models=[{bad}, persistence]"
    told = bench("run", write_suite(), models, "--results", tmp_path / "results", status=1)
    assert "failed: bad on moving_digits, seed 0: the loss is" in told
    assert "at step" in told
    assert "log.txt" in told
    assert "bad (0 of 1 seeds)" in told
    (log,) = (tmp_path / "results").glob("runs/*/convlstm/*/log.txt")
    assert "the loss is" in log.read_text()


def test_the_last_line_after_failures_says_what_to_type(write_suite: Write, tmp_path: Path) -> None:
    suite, results = write_suite(), tmp_path / "results"
    told = bench("run", suite, "train.lr=1e30", "--results", results, status=1)
    last = told.splitlines()[-1]
    assert last.startswith("1 of 2 runs failed; the reasons: bench status ")
    status, retry = re.findall(r"bench (status|retry) ([^;]*)", last)
    assert "the loss is" in bench(status[0], *shlex.split(status[1]))
    assert "tiny: 1 to retry" in bench(retry[0], *shlex.split(retry[1]), status=1)


@pytest.mark.slow
def test_kill_9_and_the_same_command_again_ends_in_the_undisturbed_table(
    write_suite: Write, tmp_path: Path
) -> None:
    suite = write_suite(LONGER)

    def command(results: Path) -> list[str]:
        return [
            sys.executable, "-m", "benchbench", "run", str(suite), "--results", str(results),
        ]  # fmt: skip

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    subprocess.run(command(undisturbed), check=True, capture_output=True)
    for checkpoints in (1, 2):
        with subprocess.Popen(
            command(killed), stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                _wait_for_checkpoints(process, killed, 2 * checkpoints)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
    subprocess.run(command(killed), check=True, capture_output=True)
    assert leaderboard(killed) == leaderboard(undisturbed)
    for name in ("scores/benchbench-v1.parquet", "weights.safetensors"):
        (one,) = undisturbed.glob(f"runs/*/convlstm/*/{name}")
        (two,) = killed.glob(f"runs/*/convlstm/*/{name}")
        if name.endswith("parquet"):
            assert one.read_bytes() == two.read_bytes()
        else:
            _assert_same_weights(one, two)


def _wait_for_checkpoints(process: subprocess.Popen[bytes], results: Path, count: int) -> None:
    seen: set[float] = set()
    while len(seen) < count:
        assert process.poll() is None, "the run ended before it could be killed"
        for path in results.glob("runs/*/convlstm/*/checkpoint.pt"):
            with contextlib.suppress(FileNotFoundError):  # it is being replaced
                seen.add(path.stat().st_mtime)


def _assert_same_weights(one: Path, two: Path) -> None:
    import torch
    from safetensors.torch import load_file

    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_third_partys_package_registers_a_model_and_bench_trains_it(
    write_suite: Write, tmp_path: Path
) -> None:
    module = textwrap.dedent('''
        """A last frame with a learned gain, by them."""
        import torch
        from benchbench.predictor import Predictor
        from benchbench.registry import register_model

        class Scaled(Predictor):
            def __init__(self, start):
                super().__init__()
                self.gain = torch.nn.Parameter(torch.tensor(start))

            def forward(self, context, horizon):
                return self.gain * context[:, -1:].expand(-1, horizon, -1, -1, -1)

            def losses(self, context, target, progress):
                return progress.criterion(self(context, target.shape[1]), target)

        @register_model("scaled")
        def scaled(clip, *, start: float = 1.0) -> Predictor:
            return Scaled(start)
        ''')
    points = "[benchbench.models]\nscaled = theirs\n"
    package = install(tmp_path / "site", points, theirs=module)
    answer = subprocess.run(
        [
            sys.executable, "-m", "benchbench", "run", str(write_suite()),
            "models=[{name: scaled, options: {start: 0.5}}]", "--results", str(tmp_path / "out"),
        ],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(package)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    (record,) = (tmp_path / "out").glob("runs/moving_digits/scaled/*/record.json")
    assert json.loads(record.read_text())["parameters"] == 1
    assert "scaled" in answer.stdout
