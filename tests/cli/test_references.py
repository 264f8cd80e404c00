"""bench references and bench table --references, as typed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import UnknownName
from benchbench.references.read import names

from ..stand_ins import bench, tiny

Write = Callable[..., Path]


def test_all_tables_are_listed_with_their_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = bench("references")
    assert max(map(len, told.splitlines())) <= 80
    for name in names():
        assert f"{name}: " in told
    assert told.count("Source: ") == len(names())
    assert "the average of the four frames is .616" in told


def test_one_table_is_listed_alone() -> None:
    told = bench("references", "cms_lstm_table3")
    assert "23.210" in told
    assert "cms_lstm_table1" not in told


def test_the_list_is_a_table_in_every_format() -> None:
    told = bench("references", "cms_lstm_table1", "--format", "markdown")
    assert "| PSNR |" in " ".join(told.split())
    rows = list(csv.DictReader(io.StringIO(bench("references", "--format", "csv"))))
    assert {row["table"] for row in rows} == set(names())
    (fc_lstm,) = [row for row in rows if row["row"] == "FC-LSTM" and row["metric"] == "ssim"]
    assert (fc_lstm["printed"], fc_lstm["iterations"]) == ("0.690", "80000")
    lines = json.loads(bench("references", "cms_lstm_table2", "--format", "json"))["references"]
    frames = [line["printed"] for line in lines if line["row"] == "CMS-LSTM"]
    assert frames == ["0.228", "0.162", "0.203", "0.254", "0.294"]
    assert "<table" in bench("references", "predrnn_lpips", "--format", "html")
    assert r"\begin{tabular}" in bench("references", "predrnn_lpips", "--format", "latex")


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'cms_lstm_table1'"):
        bench("references", "cms_lstm_tabel1")
    with pytest.raises(UnknownName, match=r"--format: .*did you mean 'markdown'"):
        bench("references", "--format", "markdwon")


def test_published_numbers_stand_below_the_leaderboard(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    suite, results = write_suite(tiny()), tmp_path / "results"
    bench("run", suite, "--results", results)
    alone = bench("table", suite, "--results", results)
    told = bench("table", suite, "--results", results, "--references")
    assert told.startswith(alone)
    assert max(map(len, told[len(alone) :].splitlines())) <= 80
    words = " ".join(told[len(alone) :].split())
    assert "convlstm beside published numbers" in words
    assert "not comparable: data" in words
    assert "ours is moving_digits, theirs moving_mnist" in words
    assert "budget: 6 iterations of 2 clips; theirs 80,000 iterations of 8 clips" in words
    assert "No published number here is of: persistence." in words
    for style, sign in (("markdown", "## convlstm beside"), ("html", "<h2>convlstm beside")):
        assert sign in bench(
            "table", suite, "--results", results, "--references", "--format", style
        )
    told = bench("table", suite, "--results", results, "--references", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(told)))
    assert {row["verdict"] for row in rows} == {"not comparable"}
    told = bench("table", suite, "--results", results, "--references", "--format", "json")
    lines = json.loads(told)["references"]
    assert [line["published"] for line in lines] == [row["published"] for row in rows]
    (record,) = (results / "runs/moving_digits/convlstm").glob("*/record.json")
    parameters = json.loads(record.read_text())["parameters"]
    assert {line["parameters"] for line in lines} == {parameters}


def test_a_format_without_published_numbers_is_refused_by_name(
    write_suite: Write, tmp_path: Path
) -> None:
    command = ("table", write_suite(), "--results", tmp_path / "results", "--references")
    with pytest.raises(UnknownName, match=r"--format: .*did you mean 'latex'"):
        bench(*command, "--format", "latx")


def test_before_anything_is_run_there_is_nothing_to_set_beside(
    write_suite: Write, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    told = bench("table", write_suite(), "--results", results, "--references")
    assert "beside published numbers" not in told
    assert not results.exists()
