"""Tables: means and spreads over seeds, dashes for what is not done, one signature a column."""

from __future__ import annotations

import dataclasses
import io
import math
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchbench.report.leaderboard import render, write
from benchbench.report.table import boards, size
from benchbench.run.record import Record, Store
from benchbench.scoring.summary import Score, Summary, write_summary
from benchbench.suite.plan import Plan, plan

Write = Callable[..., Path]


def score(metric: str, value: float, *, version: int = 1, decimals: int = 2) -> Score:
    better = "higher" if metric in ("psnr", "ssim") else "lower"
    return Score(
        metric, metric.upper(), value, "unit", better, decimals, f"{metric}|v{version}", 0, (value,)
    )


def finish(
    store: Store,
    made: Plan,
    model: str,
    seed: int,
    mse: float,
    *,
    version: int = 1,
    perfect: int = 0,
) -> None:
    """Leaves a record and scores as if the run had been made."""
    (run,) = [r for r in made.runs if (r.model, r.spec.seed) == (model, seed)]
    scores = {"mse": score("mse", mse, version=version), "ssim": score("ssim", 0.5, decimals=4)}
    scores["mse"] = dataclasses.replace(scores["mse"], infinite=perfect)
    summary = Summary("benchbench", version, "", 6, 2, "", scores, ("ssim", "mse"))
    write_summary(store.folder(run.spec) / "scores", summary)
    record = Record(run.spec.to_dict(), run.spec.key, 74_321, 6, 6, 0.1, 10.0 + seed, 1.0, None)
    store.write(run.spec, record)


@pytest.fixture
def made(write_suite: Write) -> Plan:
    overrides = ["seeds=[0, 1, 2]", "models.1.label=ConvLSTM"]
    return plan(write_suite(), overrides)


def test_a_cell_is_mean_and_sample_deviation_over_seeds(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    values = [31.0, 33.5, 36.0]
    for seed, value in enumerate(values):
        finish(store, made, "ConvLSTM", seed, value)
    finish(store, made, "persistence", 0, 80.0)
    (board,) = boards(made, store)
    assert board.headings == ["Model", "Params", "SSIM ↑", "MSE ↓", "Train s"]
    std = statistics.stdev(values)
    assert board.texts == [
        ["persistence", "0.074 M", "0.5000", "80.00", "10"],
        ["ConvLSTM", "0.074 M", "0.5000 ± 0.0000", f"33.50 ± {std:.2f}", "11 ± 1"],
    ]
    assert "±: standard deviation over seeds." in board.notes
    assert "MSE (unit): `mse|v1`" in board.notes


def test_what_is_not_done_is_a_dash_and_counted(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, made, "ConvLSTM", 1, 31.0)
    (board,) = boards(made, store)
    rows = board.texts
    assert rows[0] == ["persistence (0 of 1 seeds)", "–", "–", "–", "–"]
    assert rows[1][0] == "ConvLSTM (1 of 3 seeds)"


def test_scores_of_two_signatures_never_share_a_column(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, made, "ConvLSTM", 0, 31.0)
    finish(store, made, "persistence", 0, 80.0, version=2)
    (board,) = boards(made, store)
    assert board.headings == ["Model", "Params", "SSIM ↑", "MSE ↓ [2]", "MSE ↓ [3]", "Train s"]
    persistence, convlstm = board.texts
    assert persistence[3:5] == ["80.00", "–"]
    assert convlstm[3:5] == ["–", "31.00"]
    assert board.title == "moving_digits, protocol benchbench v1 and v2"
    assert board.notes[-2:] == ("MSE [2] (unit): `mse|v2`", "MSE [3] (unit): `mse|v1`")


def test_perfect_frames_of_some_seeds_are_told_and_spoil_no_table(
    made: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    for seed, (value, perfect) in enumerate([(math.inf, 3), (20.0, 0), (math.inf, 1)]):
        finish(store, made, "ConvLSTM", seed, value, perfect=perfect)
    (board,) = boards(made, store)
    assert board.texts[1][3] == "inf"
    assert board.notes[-1] == "Frames whose MSE is infinite: ConvLSTM 4."
    for style in ("markdown", "csv", "latex", "html"):
        assert "inf" in render([board], style, title="tiny")


def test_small_errors_keep_four_digits(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, made, "ConvLSTM", 0, 0.31084)
    finish(store, made, "persistence", 0, 1.2)
    (board,) = boards(made, store)
    assert [row[3] for row in board.texts] == ["1.2000", "0.3108"]
    finish(store, made, "persistence", 0, 1e-20)
    (board,) = boards(made, store)
    assert [row[3] for row in board.texts] == ["0.00000000", "0.31084000"]
    finish(store, made, "persistence", 0, 0.0)
    (board,) = boards(made, store)
    assert [row[2:4] for row in board.texts] == [["0.5000", "0.0000"], ["0.5000", "0.3108"]]


def test_a_narrow_terminal_shows_every_number_whole(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        finish(store, made, "ConvLSTM", seed, 31.25 + seed)
    (board,) = boards(made, store)
    console = Console(width=40, file=io.StringIO(), force_terminal=True)
    console.print(board.rich())
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in printed
    assert "32.25" in printed


def test_finished_runs_without_scores_are_told(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        finish(store, made, "ConvLSTM", seed, 31.0)
        shutil.rmtree(store.folder(made.runs[1 + seed].spec) / "scores")
    (board,) = boards(made, store)
    assert board.notes[-1] == (
        "3 finished runs are not scored under benchbench; `bench run` scores them."
    )


def test_a_bar_in_a_label_does_not_break_a_markdown_table(
    write_suite: Write, tmp_path: Path
) -> None:
    odd = plan(write_suite(), ["models.1.label='A | B [bold]'"])
    (board,) = boards(odd, Store(tmp_path))
    assert r"| A \| B [bold] (0 of 1 seeds) " in board.markdown()
    console = Console(width=100, file=io.StringIO())
    console.print(board.rich())
    assert "A | B [bold]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_runs_that_the_suite_does_not_ask_for_stay_out(
    made: Plan, write_suite: Write, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    finish(store, made, "ConvLSTM", 2, 1.0)
    fewer = plan(write_suite(), ["seeds=[0]", "models.1.label=ConvLSTM"])
    (board,) = boards(fewer, store)
    assert all(row.done == 0 for row in board.rows)


def test_every_format_holds_the_numbers(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        finish(store, made, "ConvLSTM", seed, 31.0 + seed)
    tables = boards(made, store)
    write(tables, tmp_path / "out", title="tiny")
    out = {path.suffix: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert out[".md"] == render(tables, "markdown", title="tiny")
    assert "| ConvLSTM" in out[".md"]
    assert "32.00 ± 1.00" in out[".md"]
    assert r"32.00 $\pm$ 1.00" in out[".tex"]
    assert r"moving\_digits" in out[".tex"]
    assert r"\par{\footnotesize MSE (unit): \texttt{mse\textbar{}v1}}" in out[".tex"]
    assert "<td>32.00 ± 1.00</td>" in out[".html"]
    assert "<li>MSE (unit): <code>mse|v1</code></li>" in out[".html"]
    tidy = pd.read_csv(tmp_path / "out" / "leaderboard.csv").set_index(["model", "metric"])
    row = tidy.loc[("ConvLSTM", "mse")]
    assert (row["mean"], row["std"], row["seeds"], row["signature"]) == (32.0, 1.0, 3, "mse|v1")
    assert row["parameters"] == 74_321


def test_an_unfinished_suite_writes_every_format_too(made: Plan, tmp_path: Path) -> None:
    write(boards(made, Store(tmp_path)), tmp_path / "out", title="tiny")
    assert "0 of 3 seeds" in (tmp_path / "out" / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (0, "0"), (9_999, "9,999"), (7_967_568, "7.968 M")]
)
def test_sizes_read_as_in_the_papers(count: int | None, text: str) -> None:
    assert size(count) == text


def test_a_record_of_another_run_is_refused(made: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, made, "ConvLSTM", 0, 31.0)
    first, second = (r.spec for r in made.runs[1:3])
    record = store.record(first)
    assert record is not None
    store.write(second, dataclasses.replace(record))
    with pytest.raises(ValueError, match="is of run"):
        store.record(second)
    (store.folder(second) / "record.json").write_text("{")
    with pytest.raises(ValueError, match="not a record"):
        store.record(second)
