"""Boards: means and spreads over seeds, dashes for what is not done, one signature a column."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.report.board import boards, size
from benchbench.report.formats import tidy
from benchbench.run.record import Store, read_record
from benchbench.suite.plan import Plan
from benchbench.suite.plan import plan as make_plan

Finish = Callable[..., None]
Write = Callable[..., Path]


def test_a_cell_is_mean_and_sample_deviation_over_seeds(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    values = [31.0, 33.5, 36.0]
    for seed, value in enumerate(values):
        finish(store, plan, "ConvLSTM", seed, value)
    finish(store, plan, "persistence", 0, 80.0)
    (board,) = boards(plan, store)
    assert board.headings == ["Model", "Params", "SSIM ↑", "MSE ↓", "Train s"]
    std = statistics.stdev(values)
    assert board.texts == [
        ["persistence", "0.074 M", "0.5000", "80.00", "10"],
        ["ConvLSTM", "0.074 M", "0.5000 ± 0.0000", f"33.50 ± {std:.2f}", "11 ± 1"],
    ]
    assert "±: standard deviation over seeds." in board.notes
    assert "MSE (unit): `mse|v1`" in board.notes


def test_what_is_not_done_is_a_dash_and_counted(plan: Plan, finish: Finish, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, plan, "ConvLSTM", 1, 31.0)
    (board,) = boards(plan, store)
    rows = board.texts
    assert rows[0] == ["persistence (0 of 1 seeds)", "–", "–", "–", "–"]
    assert rows[1][0] == "ConvLSTM (1 of 3 seeds)"


def test_scores_of_two_signatures_never_share_a_column(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    finish(store, plan, "ConvLSTM", 0, 31.0)
    finish(store, plan, "persistence", 0, 80.0, version=2)
    (board,) = boards(plan, store)
    assert board.headings == ["Model", "Params", "SSIM ↑", "MSE ↓ [2]", "MSE ↓ [3]", "Train s"]
    persistence, convlstm = board.texts
    assert persistence[3:5] == ["80.00", "–"]
    assert convlstm[3:5] == ["–", "31.00"]
    assert board.title == "moving_digits, protocol benchbench v1 and v2"
    assert board.notes[-2:] == ("MSE [2] (unit): `mse|v2`", "MSE [3] (unit): `mse|v1`")


def test_perfect_frames_of_some_seeds_are_told_and_spoil_no_table(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    for seed, (value, perfect) in enumerate([(math.inf, 3), (20.0, 0), (math.inf, 1)]):
        finish(store, plan, "ConvLSTM", seed, value, infinite=perfect)
    (board,) = boards(plan, store)
    assert board.texts[1][3] == "inf"
    assert board.notes[-1] == "Frames whose MSE is infinite: ConvLSTM 4."


def test_small_errors_keep_four_digits(plan: Plan, finish: Finish, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, plan, "ConvLSTM", 0, 0.31084)
    finish(store, plan, "persistence", 0, 1.2)
    (board,) = boards(plan, store)
    assert [row[3] for row in board.texts] == ["1.2000", "0.3108"]
    finish(store, plan, "persistence", 0, 1e-20)
    (board,) = boards(plan, store)
    assert [row[3] for row in board.texts] == ["0.00000000", "0.31084000"]
    finish(store, plan, "persistence", 0, 0.0)
    (board,) = boards(plan, store)
    assert [row[2:4] for row in board.texts] == [["0.5000", "0.0000"], ["0.5000", "0.3108"]]


def test_finished_runs_without_scores_are_told(plan: Plan, finish: Finish, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        finish(store, plan, "ConvLSTM", seed, 31.0)
        folder = store.folder(plan.runs[1 + seed].spec)
        record = read_record(folder)
        assert record is not None
        dataclasses.replace(record, files={}).write(folder)
    (board,) = boards(plan, store)
    assert board.notes[-1] == (
        "3 finished runs are not scored under benchbench; `bench run` scores them."
    )


def test_a_damaged_run_is_named_below_its_row_and_gives_no_number(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        finish(store, plan, "ConvLSTM", seed, 31.0 + seed)
    for seed, name in ((1, "record.json"), (2, "scores/benchbench-v1.json")):
        path = store.folder(plan.runs[1 + seed].spec) / name
        path.write_text(path.read_text().replace("6", "7", 1))
    (board,) = boards(plan, store)
    assert board.texts[1][0] == "ConvLSTM (1 of 3 seeds, 2 damaged)"
    assert board.texts[1][3] == "31.00"
    assert {(line["seeds"], line["damaged"]) for line in tidy([board])} == {(1, 2)}
    first, second = board.notes[-2:]
    assert first.startswith("Damaged: ConvLSTM on moving_digits, seed 1: ")
    assert "record.json: its digest is not that of what it says; delete the run's" in first
    assert "benchbench-v1.json: its sha256 is " in second
    assert f"score it again: bench rescore {plan.runs[3].spec.key} -p benchbench" in second


def test_runs_that_the_suite_does_not_ask_for_stay_out(
    plan: Plan, finish: Finish, write_suite: Write, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    finish(store, plan, "ConvLSTM", 2, 1.0)
    fewer = make_plan(write_suite(), ["seeds=[0]", "models.1.label=ConvLSTM"])
    (board,) = boards(fewer, store)
    assert all(row.done == 0 for row in board.rows)


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (0, "0"), (9_999, "9,999"), (7_967_568, "7.968 M")]
)
def test_sizes_read_as_in_the_papers(count: int | None, text: str) -> None:
    assert size(count) == text


def test_training_data_stand_in_a_column_where_they_differ(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    runs = [
        dataclasses.replace(run, train_data="" if run.model == "persistence" else "train: 9")
        for run in plan.runs
    ]
    mixed = dataclasses.replace(plan, runs=tuple(runs))
    (board,) = boards(mixed, Store(tmp_path))
    assert board.headings[:3] == ["Model", "Training data", "Params"]
    assert [row[1] for row in board.texts] == ["the dataset's", "train: 9"]
    finish(Store(tmp_path), plan, "ConvLSTM", 0, 31.0, dataset={"validates_on_training": True})
    (board,) = boards(plan, Store(tmp_path))
    assert "Validated on clips or images of training: ConvLSTM." in board.notes
    assert "Training data" not in board.headings
