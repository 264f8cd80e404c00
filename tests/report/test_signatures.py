"""The real table of real scores: each signature has a column, and each protocol its own ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.report.board import Board, boards
from benchbench.report.leaderboard import render
from benchbench.run.record import Record, Store, score_files
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.protocol import Protocol, ssim
from benchbench.scoring.stream import predicted
from benchbench.suite.plan import Plan
from benchbench.suite.plan import plan as make_plan

from ..stand_ins import ComputedSplit, Untrained

CLIP = Clip(channels=1, height=16, width=16, context=3, horizon=2)
Write = Callable[..., Path]


class Off(Untrained):
    """The target, all ones, with an error."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return context[:, :horizon] + self.error


def finish(
    store: Store, plan: Plan, errors: dict[str, float], scored: dict[str, Sequence[Protocol]]
) -> None:
    """Leaves a record and the scores of each model's predictor, as if the run had been made."""
    white = ComputedSplit(lambda index: torch.ones(CLIP.shape), 4)
    for run in plan.runs:
        folder, rules = store.folder(run.spec), scored[run.model]
        evaluate(predicted(Off(errors[run.model]), white, CLIP), rules, folder / "scores")
        record = Record(run.spec.to_dict(), run.spec.key, 10, 6, 6, 0.1, 10.0, 1.0, None)
        record.reseal(folder, score_files(*(protocol.stem for protocol in rules)))


def ranking(board: Board, metric: str) -> list[str]:
    """Models, best first, by the only column of a metric."""
    (column,) = [column for column in board.columns if column.metric == metric]
    return sorted(
        (row.model for row in board.rows),
        key=lambda model: next(r.cells[column].mean for r in board.rows if r.model == model),
        reverse=column.better == "higher",
    )


def test_two_protocols_rank_two_models_differently_and_the_table_keeps_them_apart(
    write_suite: Write, tmp_path: Path
) -> None:
    """Overshooting bright pixels is punished by OpenSTL alone, which does not clip."""
    names = ["benchbench", "openstl"]
    plan = make_plan(write_suite(), [f"protocols=[{', '.join(names)}]"])
    asked = [protocols.get(name) for name in names]
    overshoots, dark = "persistence", "convlstm"
    store = Store(tmp_path / "results")
    finish(store, plan, {overshoots: 0.3, dark: -0.2}, dict.fromkeys((overshoots, dark), asked))

    ours, theirs = tables = boards(plan, store)
    assert ranking(ours, "mse") == [overshoots, dark]
    assert ranking(theirs, "mse") == [dark, overshoots]
    for board, protocol in zip(tables, asked, strict=True):
        signatures = {column.metric: column.signature for column in board.columns}
        assert signatures == {name: protocol.signature(name) for name in protocol.headline}
    assert not {c.signature for c in ours.columns} & {c.signature for c in theirs.columns}

    text = render(tables, "csv", title="tiny")
    (tmp_path / "tidy.csv").write_text(text)
    tidy = pd.read_csv(tmp_path / "tidy.csv")
    for _, lines in tidy.groupby("signature"):
        assert lines["protocol"].nunique() == 1


def test_scores_of_one_metric_under_two_signatures_have_two_columns(
    write_suite: Write, tmp_path: Path
) -> None:
    """Even where somebody changed what a protocol computes without raising its version."""
    plan = make_plan(write_suite(), ["protocols=[benchbench]"])
    ours = protocols.get("benchbench")
    others = tuple(metric for metric in ours.metrics if metric.name != "ssim")
    changed = replace(ours, metrics=(*others, ssim(span=2)))
    store = Store(tmp_path / "results")
    errors = dict.fromkeys(("persistence", "convlstm"), -0.2)
    finish(store, plan, errors, {"persistence": [ours], "convlstm": [changed]})

    (board,) = boards(plan, store)
    old, new = columns = [column for column in board.columns if column.metric == "ssim"]
    assert [c.signature for c in columns] == [p.signature("ssim") for p in (ours, changed)]
    persistence, convlstm = board.rows
    assert set(columns) & set(persistence.cells) == {old}
    assert set(columns) & set(convlstm.cells) == {new}
    assert persistence.cells[old].mean < convlstm.cells[new].mean
    shared = [column for column in board.columns if column.metric != "ssim"]
    assert all(column in row.cells for column in shared for row in board.rows)
    lines = [
        line
        for line in render([board], "markdown", title="").splitlines()
        if line.startswith("- SSIM [")
    ]
    numbers = [board.columns.index(column) + 1 for column in columns]
    assert lines == [
        f"- SSIM [{n}] (index): `{column.signature}`"
        for n, column in zip(numbers, columns, strict=True)
    ]
    assert all(f"SSIM ↑ [{n}]" in board.headings for n in numbers)
