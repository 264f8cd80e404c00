"""bench compare, as typed."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from benchbench.errors import BenchError, SchemaError, UnknownName

from ..stand_ins import bench, tiny

HOSTILE = "<b>=1 | $x$"
SUITE = tiny(
    models=[
        "persistence",
        {"name": "convlstm", "options": {"hidden": [4, 4], "patch": 4}},
        {"name": "convlstm", "label": HOSTILE, "options": {"hidden": [8, 8], "patch": 4}},
    ],
    seeds=[0, 1, 2],
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The file of a suite of 7 runs that are done, and their results."""
    folder = tmp_path_factory.mktemp("compare")
    suite, results = folder / "tiny.yaml", folder / "results"
    suite.write_text(SUITE)
    bench("run", suite, "--results", results)
    return suite, results


def compare(ran: tuple[Path, Path], *arguments: str) -> str:
    return bench("compare", ran[0], *arguments, "--results", ran[1])


def test_all_pairs_are_compared_and_the_runs_named(ran: tuple[Path, Path]) -> None:
    told = " ".join(compare(ran).split())
    assert "all 3 pairs taken together (Holm)" in told
    assert "on 6 test sequences of 2 frames, the same for all" in told
    assert "0, 1, 2" in told
    assert "not trained" in told
    lines = json.loads(compare(ran, "--format", "json"))["comparisons"]
    assert [(line["model"], line["against"]) for line in lines] == [
        ("persistence", "convlstm"),
        ("persistence", HOSTILE),
        ("convlstm", HOSTILE),
    ]
    for line in lines:
        beyond = line["low"] > 0 or line["high"] < 0
        assert beyond == (line["verdict"] in ("better", "worse"))
        assert line["difference"] == pytest.approx(line["mean"] - line["against_mean"])
        assert (line["against_runs"], line["sequences"]) == (3, 6)


def test_two_models_are_one_comparison(ran: tuple[Path, Path]) -> None:
    (line,) = csv.DictReader(io.StringIO(compare(ran, "convlstm", HOSTILE, "--format", "csv")))
    assert (line["model"], line["against"], line["level"]) == ("convlstm", HOSTILE, "0.05")
    (back,) = csv.DictReader(io.StringIO(compare(ran, HOSTILE, "convlstm", "--format", "csv")))
    assert float(back["difference"]) == -float(line["difference"])
    assert float(back["low"]) == pytest.approx(-float(line["high"]))
    assert "Holm" not in compare(ran, "convlstm", HOSTILE)


def test_one_seed_calls_no_winner_and_says_why(ran: tuple[Path, Path]) -> None:
    told = compare(ran, "convlstm", HOSTILE, "seeds=[1]")
    assert "with one seed the variance of training is not known" in told
    assert "unknown" in told
    (line,) = json.loads(compare(ran, "seeds=[1]", "convlstm", HOSTILE, "--format", "json"))[
        "comparisons"
    ]
    assert (line["verdict"], line["p"]) == ("unknown", None)
    assert line["low"] < line["difference"] < line["high"]
    assert re.search(r"\(1\).*\(2\)|\(2\).*\(1\)", compare(ran, "seeds=[1]"), re.S)


def test_another_metric_and_protocol_are_compared_as_they_count(ran: tuple[Path, Path]) -> None:
    for line in json.loads(compare(ran, "-m", "ssim", "--format", "json"))["comparisons"]:
        assert line["signature"].startswith("ssim|")
        if line["verdict"] == "better":
            assert line["difference"] > 0
    with pytest.raises(UnknownName, match="the suite has no protocol 'mim'"):
        compare(ran, "-p", "mim")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convlstm"], "'convlstm': name two models to compare, or none to compare all"),
        (["convlstm", "convlstm"], "name two models to compare"),
        (["convlstm", "persistense"], "no model 'persistense'; did you mean 'persistence'"),
        (["a=b", "convlstm"], "no model 'a=b'"),
        (["seeds=[7]"], "convlstm on moving_digits: 0 of 1 seeds are scored; run the suite"),
        (["--format", "docx"], "--format: no format 'docx'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    ran: tuple[Path, Path], words: list[str], message: str
) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        compare(ran, *words)


@pytest.mark.parametrize("style", ["terminal", "markdown", "latex", "html"])
def test_a_hostile_label_is_text_in_every_format(ran: tuple[Path, Path], style: str) -> None:
    told = compare(ran, "--format", style)
    shown = {
        "terminal": HOSTILE,
        "markdown": r"\<b>=1 \| $x$",
        "latex": r"\textless{}b\textgreater{}=1 \textbar{} \$x\$",
        "html": "&lt;b&gt;=1 | $x$",
    }
    assert shown[style] in told


def test_the_differences_are_a_table_at_80_columns(
    ran: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = compare(ran)
    assert max(map(len, told.splitlines())) <= 80
    assert "Against:" not in told


def test_a_suite_that_has_not_run_has_nothing_to_compare(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(SUITE)
    with pytest.raises(
        SchemaError,
        match="fewer than two models can be compared; run the suite first\n  persistence",
    ):
        bench("compare", suite, "--results", tmp_path / "results")
    assert not (tmp_path / "results").exists()
