"""bench plan, as typed: every run and its state, in 80 columns too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import DataMissing
from benchbench.predictor import Predictor
from benchbench.suite.plan import Run

from ..stand_ins import bench, tiny

Write = Callable[..., Path]
LONG = "ConvLSTM with a label of some length"


@pytest.fixture
def arguments(write_suite: Write, tmp_path: Path) -> tuple[object, ...]:
    models = ["persistence", {"name": "convlstm", "label": LONG, "options": {"hidden": [4]}}]
    return (write_suite(tiny(models=models)), "--results", tmp_path / "results")


def test_a_plan_does_nothing(arguments: tuple[object, ...], tmp_path: Path) -> None:
    told = bench("plan", *arguments)
    assert "tiny: 2 to run, 0 done" in told
    assert not (tmp_path / "results").exists()
    assert bench("run", *arguments, "--dry-run") == told
    assert not (tmp_path / "results").exists()


def test_a_plan_says_what_is_done_and_what_goes_on(
    arguments: tuple[object, ...], tmp_path: Path
) -> None:
    bench("run", *arguments, "models=[persistence]")
    assert _states(bench("plan", *arguments)) == ["done", "to run"]
    folder = bench("plan", *arguments, "--verbose").split()
    (place,) = (Path(word) for word in folder if "/convlstm/" in word)
    place.mkdir(parents=True)
    (place / "checkpoint.pt").touch()
    assert _states(bench("plan", *arguments)) == ["done", "to resume"]


def _states(told: str) -> list[str]:
    rows = [line.split("│") for line in told.splitlines() if line.startswith("│")]
    return [row[5].strip() for row in rows]


def test_data_that_are_not_there_are_named_and_a_run_refuses_in_the_same_words(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    datasets = [{"name": "taxibj"}, {"name": "moving_mnist"}]
    arguments = (write_suite(tiny(datasets=datasets)), "--results", tmp_path / "results")
    told = bench("plan", *arguments, "models=[persistence]")
    assert _states(told) == ["no data", "to run"]
    (line,) = (line for line in told.splitlines() if "no BJ13_M32x32_T30_InOut.h5, BJ14" in line)
    assert "get them from https://1drv.ms" in line
    assert "mnist_test_seq.npy: no such file; bench run downloads it from http" in told
    with pytest.raises(DataMissing) as caught:
        bench("run", *arguments, "models=[persistence]", "datasets=[taxibj]")
    assert str(caught.value) == line


def test_what_predicts_slowly_is_told(
    arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "cost", "4,096 passes a frame")
    assert f"{LONG} on moving_digits: 4,096 passes a frame" in bench("plan", *arguments)


def test_folders_are_named_only_when_asked_for(arguments: tuple[object, ...]) -> None:
    assert "seed0-" not in bench("plan", *arguments)
    assert bench("plan", *arguments, "-v").count("seed0-") == 2


@pytest.mark.parametrize("more", [(), ("-v",)])
def test_at_80_columns_nothing_is_cut_or_empty(
    arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    whole = bench("plan", *arguments)
    monkeypatch.setenv("COLUMNS", "80")
    told = bench("plan", *arguments, *more)
    assert "…" not in told
    for text in ("persistence", "moving_digits", "to run", "6", LONG):
        assert text in told
    if not more:
        assert max(map(len, told.splitlines())) <= 80
        assert told == whole


def test_no_run_is_compared_with_every_other(
    arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "__eq__", lambda *_: pytest.fail("a run was compared"))
    assert "to run" in bench("plan", *arguments)
