"""Ranks of a table: ties share one, the best are marked, what is not known is in brackets."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchbench.comparison.standing import FOLDER
from benchbench.errors import SchemaError
from benchbench.report.board import Board, boards
from benchbench.report.leaderboard import render
from benchbench.run.record import Store
from benchbench.suite.plan import plan as make_plan

from ..comparison.test_contest import finish
from ..stand_ins import SUITE, bench

Write = Callable[..., Path]
LEVELS = {"persistence": 9.0, "good": 1.0, "good too": 1.01, "worst": 30.0}


def suite_of(labels: Sequence[str], **changes: object) -> str:
    """The tiny suite with these models, all trained but persistence."""
    trained = [
        {"name": "convlstm", "label": label, "options": {"hidden": [4]}, "train": {"lr": 0.1 / n}}
        for n, label in enumerate(labels, start=1)
        if label != "persistence"
    ]
    whole = {**yaml.safe_load(SUITE), "models": ["persistence", *trained], "seeds": [0, 1, 2]}
    return yaml.safe_dump({**whole, **changes})


@pytest.fixture
def ranked(write_suite: Write, tmp_path: Path) -> Callable[..., Board]:
    """The table of four models; `suite` are changes to it, `levels` their scores."""

    def finish_all(levels: dict[str, float] = LEVELS, **suite: object) -> Board:
        plan, store = make_plan(write_suite(suite_of(tuple(LEVELS), **suite))), Store(tmp_path)
        for run in plan.runs:
            finish(store, run, levels[run.model])
        board, *_ = boards(plan, store)
        return board

    return finish_all


def test_models_that_chance_could_exchange_share_a_rank(ranked: Callable[..., Board]) -> None:
    board = ranked()
    assert board.headings[:2] == ["Rank", "Model"]
    assert [row[:2] for row in board.texts] == [
        ["3", "persistence"],
        ["1", "good"],
        ["1", "good too"],
        ["4", "worst"],
    ]
    (note,) = (note for note in board.notes if note.startswith("Rank: by MSE, 1 and"))
    assert "`bench compare`" in note


def test_the_best_and_who_is_tied_with_it_are_marked_in_each_column(
    ranked: Callable[..., Board],
) -> None:
    board = dataclasses.replace(ranked(), mark="<{}>".format)
    for heading, best in (("MSE ↓", ["good", "good too"]), ("SSIM ↑", ["worst"])):
        place = board.headings.index(heading)
        assert [row[1] for row in board.texts if row[place].startswith("<")] == best
    cell = board.texts[-1][board.headings.index("SSIM ↑")].strip("<>")
    assert "±" in cell
    for style, mark in (
        ("terminal", "{}*"),
        ("markdown", "**{}**"),
        ("latex", r"\textbf{{{}}}"),
        ("html", "<b>{}</b>"),
    ):
        marked = mark.format(cell.replace("±", r"$\pm$") if style == "latex" else cell)
        assert marked in render([board], style, title="t")


def test_a_suite_ranks_by_the_metric_that_it_names(ranked: Callable[..., Board]) -> None:
    board = ranked(rank_by="ssim")
    assert [row[0] for row in board.texts] == ["2", "3", "3", "1"]
    assert any(note.startswith("Rank: by SSIM") for note in board.notes)


def test_a_metric_to_rank_by_that_is_not_there_is_a_fault_of_the_suite(write_suite: Write) -> None:
    with pytest.raises(SchemaError, match=r"rank_by: .* has no 'msee'; did you mean 'mse'"):
        make_plan(write_suite(suite_of(["a"], rank_by="msee")))


def test_with_one_seed_ranks_are_in_brackets_and_nobody_is_best(
    ranked: Callable[..., Board],
) -> None:
    board = ranked(seeds=[0])
    assert [row[0] for row in board.texts] == ["(3)", "(1)", "(2)", "(4)"]
    assert "**" not in render([board], "markdown", title="t")
    assert any("with one seed the variance of training is not known" in n for n in board.notes)


def test_models_worse_than_the_untrained_one_are_named_with_every_metric(
    ranked: Callable[..., Board],
) -> None:
    (note,) = (note for note in ranked().notes if note.startswith("Mean worse than"))
    assert note == (
        "Mean worse than that of persistence, which needs no training: "
        "good (PSNR, SSIM), good too (PSNR, SSIM), worst (MSE, MAE)."
    )


def test_lines_of_every_metric_have_their_own_rank(ranked: Callable[..., Board]) -> None:
    lines = json.loads(render([ranked()], "json", title="t"))["scores"]
    ranks = {(line["model"], line["metric"]): line["rank"] for line in lines}
    assert (ranks["worst", "mse"], ranks["worst", "ssim"]) == ("4", "1")


def test_a_damaged_file_of_scores_costs_the_ranks_and_no_number(
    ranked: Callable[..., Board], write_suite: Write, tmp_path: Path
) -> None:
    board = ranked()
    for path in (tmp_path / FOLDER).iterdir():
        path.unlink()
    plan = make_plan(write_suite(suite_of(tuple(LEVELS))))
    (path,) = Store(tmp_path).folder(plan.runs[1].spec).glob("scores/benchbench*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (after,) = boards(plan, Store(tmp_path))
    assert [row[1:] for row in board.texts] == after.texts
    assert any(note.startswith(f"No ranks: {path}: its sha256") for note in after.notes)


@pytest.mark.slow
def test_a_thousand_runs_are_ranked_again_without_reading_a_score(
    write_suite: Write, tmp_path: Path
) -> None:
    labels = [f"model {n}" for n in range(200)]
    suite = write_suite(suite_of(labels, seeds=[0, 1, 2, 3, 4]))
    plan, store = make_plan(suite), Store(tmp_path / "results")
    draw = np.random.default_rng(0)
    for run in plan.runs:
        finish(store, run, 20 + draw.random())
    began = time.process_time()
    first = bench("table", suite, "--results", store.root, "--format", "json")
    assert time.process_time() - began < 60
    assert '"rank": "1"' in first
    code = (
        "import sys; from benchbench.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'scipy', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr)"
    )
    words = ("table", str(suite), "--results", str(store.root), "--format", "json")
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert answer.stdout == first
    assert answer.stderr.split()[-1] == "set()", answer.stderr
