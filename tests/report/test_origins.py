"""Origins: rows of one table that are of other code, packages or devices say so."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.report.board import boards
from benchbench.report.leaderboard import render
from benchbench.run.record import Store
from benchbench.suite.code import code_of
from benchbench.suite.plan import Plan
from benchbench.suite.plan import plan as make_plan

Finish = Callable[..., None]
Write = Callable[..., Path]


def provenance(plan: Plan, model: str, **changes: Any) -> dict[str, Any]:
    """Of a run of today's code, or of code, packages or a device that are not today's."""
    (spec,) = {run.spec.key: run.spec for run in plan.runs if run.model == model}.values()
    code = dataclasses.replace(code_of(spec), **changes.pop("code", {}))
    facts = {"codes": [code.to_dict()], "versions": {"torch": "2.4.0"}, "device": "cpu (x86_64)"}
    return {**facts, **changes}


@pytest.fixture
def pair(write_suite: Write) -> Plan:
    """A plan of two models with one seed each."""
    return make_plan(write_suite(), ["seeds=[0]", "models.1.label=ConvLSTM"])


OTHER = "Of other code than today's: ConvLSTM seed 0 (model); `bench retry --stale` runs them"


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv", "latex", "html", "json"])
def test_a_row_of_other_code_says_so_in_every_format(
    pair: Plan, finish: Finish, tmp_path: Path, name: str
) -> None:
    store = Store(tmp_path)
    finish(store, pair, "persistence", 0, 80.0, provenance=provenance(pair, "persistence"))
    same = render(boards(pair, store), name, title="tiny")
    other = provenance(pair, "ConvLSTM", code={"model": "0" * 12})
    finish(store, pair, "ConvLSTM", 0, 31.0, provenance=other)
    told = render(boards(pair, store), name, title="tiny")
    if name in ("csv", "json"):
        lines = csv.DictReader(told.splitlines()) if name == "csv" else json.loads(told)["scores"]
        marks = {line["model"]: line["other_code"] for line in lines}
        assert marks == {"persistence": "", "ConvLSTM": "model"}
    else:
        assert told.count("(other code)") == 1
        assert "ConvLSTM (other code)" in told
        assert "Of other code than today" in " ".join(told.split())
    assert "(other code)" not in same


def test_the_notes_name_the_parts_of_other_code(pair: Plan, finish: Finish, tmp_path: Path) -> None:
    store = Store(tmp_path)
    facts = provenance(pair, "ConvLSTM", code={"model": "0" * 12})
    finish(store, pair, "ConvLSTM", 0, 31.0, provenance=facts)
    (board,) = boards(pair, store)
    assert any(note.startswith(OTHER) for note in board.notes)


def test_a_run_under_two_codes_is_marked(pair: Plan, finish: Finish, tmp_path: Path) -> None:
    store = Store(tmp_path)
    facts = provenance(pair, "ConvLSTM")
    facts["codes"] = [{**facts["codes"][0], "engine": "0" * 12}, *facts["codes"]]
    finish(store, pair, "ConvLSTM", 0, 31.0, provenance=facts)
    (board,) = boards(pair, store)
    assert board.texts[1][0] == "ConvLSTM (other code)"
    assert "Made under one code and then another: ConvLSTM." in board.notes


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        (
            {"versions": {"torch": "2.9.1"}},
            "Made with versions of torch: 2.4.0 (persistence); 2.9.1 (ConvLSTM).",
        ),
        (
            {"device": "NVIDIA H100"},
            "Made on devices: cpu (x86_64) (persistence); NVIDIA H100 (ConvLSTM).",
        ),
        (
            {"attempts": [{"device": "cuda"}, {"device": "cpu"}]},
            "Made on devices: cpu (x86_64) (persistence); cpu (x86_64) and cuda (ConvLSTM).",
        ),
    ],
)
def test_rows_of_other_packages_or_devices_are_told(
    pair: Plan, finish: Finish, tmp_path: Path, changes: dict[str, Any], note: str
) -> None:
    store = Store(tmp_path)
    finish(store, pair, "persistence", 0, 80.0, provenance=provenance(pair, "persistence"))
    finish(store, pair, "ConvLSTM", 0, 31.0, provenance=provenance(pair, "ConvLSTM"))
    (board,) = boards(pair, store)
    assert not any(each.startswith("Made") for each in board.notes)
    finish(store, pair, "ConvLSTM", 0, 31.0, provenance=provenance(pair, "ConvLSTM", **changes))
    (board,) = boards(pair, store)
    assert note in board.notes
    assert not any("other code" in each for each in board.notes)
