"""Published numbers beside a suite's runs, from the files that the runs left."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.references.facts import Frames
from benchbench.references.read import names, table
from benchbench.report import catalogue, published
from benchbench.report.facts import facts_of
from benchbench.report.sheet import Sheet, render, write_lines
from benchbench.run.record import Store, read_record
from benchbench.suite.plan import Plan
from benchbench.suite.plan import plan as make_plan

Finish = Callable[..., None]
SUITES = Path(__file__).parents[2] / "suites"


def test_the_facts_of_runs_are_those_of_spec_record_and_passport(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    passport = {"splits": {"train": None, "val": 4, "test": 6}}
    for seed, mse in ((0, 3.0), (1, 4.0)):
        finish(store, plan, "ConvLSTM", seed, mse, dataset=passport)
    (facts,) = facts_of(plan, store)
    assert (facts.label, facts.model, facts.dataset) == ("ConvLSTM", "convlstm", "moving_digits")
    assert facts.frames == Frames(channels=1, height=16, width=16, context=3, horizon=2)
    assert (facts.iterations, facts.batch, facts.updates) == (6, 2, 1)
    assert (facts.train_clips, facts.parameters) == ("endless", 74_321)
    assert facts.options["hidden"] == [4, 4]
    assert facts.dataset_options["test"] == 6
    values = {sample.column.metric: sample.values for sample in facts.samples}
    assert values == {"mse": (3.0, 4.0), "ssim": (0.5, 0.5)}


def test_a_record_without_a_passport_does_not_tell_the_training_clips(
    plan: Plan, finish: Finish, tmp_path: Path
) -> None:
    finish(Store(tmp_path), plan, "ConvLSTM", 0, 3.0)
    (facts,) = facts_of(plan, Store(tmp_path))
    assert facts.train_clips is None


def test_models_without_finished_runs_have_no_facts(plan: Plan, tmp_path: Path) -> None:
    assert facts_of(plan, Store(tmp_path)) == []


def test_the_quickstart_is_comparable_with_nothing_for_its_data_and_budget(
    finish: Finish, tmp_path: Path
) -> None:
    plan, store = make_plan(SUITES / "quickstart.yaml"), Store(tmp_path)
    for model in ("persistence", "CMS-LSTM", "PredRNN", "ConvLSTM"):
        finish(store, plan, model, 0, 30.0)
    pairs = published.pairs(facts_of(plan, store))
    assert {pair.ours.label for pair in pairs} == {"CMS-LSTM", "PredRNN", "ConvLSTM"}
    for pair in pairs:
        assert pair.verdict.word == "not comparable"
        kinds = pair.verdict.by_kind
        assert kinds.keys() == {"code"} or kinds.keys() >= {"data", "budget"}
        if "data" in kinds:
            dataset = pair.row.data.dataset
            assert kinds["data"].startswith(f"ours is moving_digits, theirs {dataset}")
            assert " iterations of 8 clips" in kinds["budget"].partition("; theirs ")[0]
    text = render(published.sheets(facts_of(plan, store)), "markdown")
    assert "No published number here is of: persistence." in text


@pytest.fixture
def table3(finish: Finish, tmp_path: Path) -> tuple[Plan, Store]:
    """Table 3's suite with three seeds of its second row, whose MSE is 39.1, 40.1, 41.1."""
    plan, store = make_plan(SUITES / "cms_lstm_table3.yaml", ["seeds=[0, 1, 2]"]), Store(tmp_path)
    passport = {"splits": {"train": None}}
    for seed in (0, 1, 2):
        finish(
            *(store, plan, "w CE, w/o SE", seed, 39.1 + seed),
            dataset=passport,
            protocol="cms_lstm",
        )
    return plan, store


def test_a_run_stands_beside_the_row_of_its_own_blocks_only(table3: tuple[Plan, Store]) -> None:
    pairs = published.pairs(facts_of(*table3))
    assert {pair.reference for pair in pairs} == {"CMS-LSTM, Table 3: ConvLSTM: w CE, w/o SE"}
    words = {pair.label: pair.verdict.word for pair in pairs}
    assert words == {
        "PSNR": "not comparable",  # not scored
        "SSIM": "not comparable",  # three seeds of one number
        "MSE": "reproduced",
        "MAE": "not comparable",
    }
    (mse,) = [pair for pair in pairs if pair.label == "MSE"]
    assert (mse.number, mse.published) == ("40.10 ± 1.00 (3)", "39.1")
    assert any("single run" in caveat for caveat in mse.verdict.caveats)


def test_two_protocols_of_one_signature_do_not_count_a_seed_twice(
    table3: tuple[Plan, Store], finish: Finish
) -> None:
    plan, store = table3
    finish(store, plan, "w CE, w/o SE", 0, 39.1, protocol="predrnn_pp")
    (run,) = [run for run in plan.runs if (run.model, run.spec.seed) == ("w CE, w/o SE", 0)]
    record = read_record(store.folder(run.spec))
    assert record is not None
    record.reseal(store.folder(run.spec), ["scores/cms_lstm-v1.json"])
    (facts,) = facts_of(plan, store)
    (mse,) = [sample for sample in facts.samples if sample.column.metric == "mse"]
    assert len(mse.values) == 3


def test_a_damaged_seed_gives_no_number(table3: tuple[Plan, Store]) -> None:
    plan, store = table3
    (run,) = [run for run in plan.runs if (run.model, run.spec.seed) == ("w CE, w/o SE", 2)]
    record = store.folder(run.spec) / "record.json"
    record.write_text(record.read_text().replace("74321", "74322"))
    (mse,) = [pair for pair in published.pairs(facts_of(plan, store)) if pair.label == "MSE"]
    assert mse.number == "39.60 ± 0.71 (2)"
    assert mse.verdict.by_kind == {"seeds": "2 seeds; at least 3 are needed"}


def test_runs_of_other_code_are_judged_with_that_caveat(
    table3: tuple[Plan, Store], finish: Finish
) -> None:
    plan, store = table3
    old = {"codes": [None]}  # which code it was cannot be told
    passport = {"splits": {"train": None}}
    finish(
        *(store, plan, "w CE, w/o SE", 1, 40.1),
        **{"dataset": passport, "protocol": "cms_lstm", "provenance": old},
    )
    (mse,) = [pair for pair in published.pairs(facts_of(plan, store)) if pair.label == "MSE"]
    assert mse.verdict.word == "reproduced"
    assert any("ours is of other code than today's" in text for text in mse.verdict.caveats)


def test_every_reason_is_told_once_and_referred_to(table3: tuple[Plan, Store]) -> None:
    *tables, notes = published.sheets(facts_of(*table3))
    cells = [row[-1][0] for sheet in tables for row in sheet.rows]
    numbered = [note for note in notes.notes if note.startswith("[")]
    assert len(set(numbered)) == len(numbered)
    for number, note in enumerate(numbered, start=1):
        assert note.startswith(f"[{number}] ")
        assert any(f"[{number}]" in cell for cell in cells)


def test_a_line_of_each_number_says_all_that_the_table_says(table3: tuple[Plan, Store]) -> None:
    lines = {line["metric"]: line for line in published.tidy(facts_of(*table3))}
    mse = lines["mse"]
    assert (mse["published"], mse["verdict"], mse["reasons"]) == ("39.1", "reproduced", "")
    assert (mse["mean"], mse["std"], mse["seeds"]) == (pytest.approx(40.1), pytest.approx(1.0), 3)
    assert mse["signature"].startswith("mse|")
    assert lines["mae"]["reasons"].startswith("protocol: ")


HOSTILE = "<script>a|b[/x]\x1b[31m=1+1&_$#{}"


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("terminal", r"<script>a|b[/x]\x1b[31m=1+1&_$#{}"),
        ("markdown", r"\<script>a\|b[/x]\\x1b[31m=1+1&\_$#{}"),
        ("html", r"&lt;script&gt;a|b[/x]\x1b[31m=1+1&amp;_$#{}"),
        ("latex", r"\textless{}script\textgreater{}a\textbar{}b[/x]\textbackslash{}x1b"),
    ],
)
def test_hostile_text_is_shown_as_text(
    style: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    sheet = Sheet(HOSTILE, ("A", HOSTILE), (((HOSTILE,), ("1", "2")),), (HOSTILE,))
    text = render([sheet], style)
    assert text.count(shown) == 5 if style != "terminal" else text.count(shown) >= 4
    assert "\x1b" not in text


def test_hostile_labels_are_harmless_beside_published_numbers(
    write_suite: Callable[..., Path], finish: Finish, tmp_path: Path
) -> None:
    plan, store = make_plan(write_suite(), [f"models.1.label='{HOSTILE[:15]}'"]), Store(tmp_path)
    finish(store, plan, HOSTILE[:15], 0, 3.0)
    for style in ("terminal", "markdown", "html", "latex"):
        text = render(published.sheets(facts_of(plan, store)), style)
        assert ("<script>" in text) is (style in ("terminal", "markdown"))
        assert style != "markdown" or r"\<script>" in text


def test_csv_quotes_formulas_and_json_spells_infinity() -> None:
    lines = [{"a": "=1+1", "b": float("inf"), "c": None, "d": "x\ny"}]
    (row,) = csv.DictReader(io.StringIO(write_lines(lines, "csv", title="t")))
    assert (row["a"], row["d"]) == ("'=1+1", r"x\ny")
    (line,) = json.loads(write_lines(lines, "json", title="t"))["references"]
    assert line == {"a": "=1+1", "b": "inf", "c": None, "d": "x\ny"}


def test_no_line_is_an_empty_table() -> None:
    assert write_lines([], "csv", title="t") == ""
    assert json.loads(write_lines([], "json", title="t"))["references"] == []


def test_a_cell_of_one_line_belongs_to_all_lines_of_its_row() -> None:
    sheet = Sheet("T", ("A", "B"), ((("x",), ("1", "2")), (("y",), ("3",))))
    assert sheet.lines == [["x", "1"], ["x", "2"], ["y", "3"]]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_lists_are_tables_that_fit(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = render([catalogue.sheet(table(name))], "terminal").splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("┏") for line in lines)


def test_beside_published_numbers_no_number_is_broken_at_80_columns(
    table3: tuple[Plan, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = render(published.sheets(facts_of(*table3)), "terminal")
    assert max(map(len, text.splitlines())) <= 80
    assert "40.10 ± 1.00 (3) │   39.1 │" in text


def test_a_list_says_every_number_source_and_remark() -> None:
    for name in names():
        whole = table(name)
        text = render([catalogue.sheet(whole)], "markdown")
        assert whole.source.split(",")[0] in text
        numbers = [number for row in whole.rows for number in row.numbers.values()]
        printed: list[Any] = [text for n in numbers for text in (n.printed, *n.by_frame)]
        assert all(f" {digits} |" in text for digits in printed)
        lines = catalogue.tidy([whole])
        assert len(lines) == len(printed)
        assert all(line["source"] == whole.source for line in lines)
    assert ".616" in render([catalogue.sheet(table("cms_lstm_table2"))], "markdown")
