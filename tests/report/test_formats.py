"""Every format holds the numbers, and shows a hostile name as the text it is."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchbench.errors import SchemaError, UnknownName
from benchbench.report.board import Board, Column, Row, Spread, boards
from benchbench.report.formats import FORMATS
from benchbench.report.leaderboard import files, render, write
from benchbench.run.record import Store
from benchbench.suite.plan import Plan

from ..stand_ins import install

Finish = Callable[..., None]
HOSTILE = (
    "=1+1",
    "@SUM(A1)",
    "A | B",
    r"A \| B \\ C",
    "[bold red]x[/]",
    "[click](http://example.org)",
    "*a* _b_ ~~c~~ `d`",
    "<script>alert(1)</script>",
    "</td></table>&amp;",
    "\x1b[2J\x1b]0;title\x07",
    "two\nlines\r\tand a tab",
    "\u202egnp.exe",
    r"50 % of \input{x} $y_1^2$ # ~ {",
    r"\end{tabular}\write18{ls}",
    "[2pt]",
    "*",
    ":warning:",
)


@pytest.fixture
def board(plan: Plan, finish: Finish, tmp_path: Path) -> Board:
    """Three seeds of one model, none of the other."""
    store = Store(tmp_path)
    for seed in range(3):
        finish(store, plan, "ConvLSTM", seed, 31.0 + seed)
    (board,) = boards(plan, store)
    return board


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> tuple[str, Board]:
    """A name, and a board where all is called that, its scores infinite."""
    name = request.param
    column = Column(name, name, name, "lower", 2, name)
    infinite = Spread((math.inf,))
    rows = (
        Row("ours", None, {}, Spread(()), 0, 1),
        Row(name, 7, {column: infinite}, infinite, 1, 1),
    )
    return name, Board(name, name, (column,), rows, (f"{name} ({name}): `{name}`",))


def spelt(name: str) -> str:
    """The name with its control characters as a reader sees them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_passes_on_a_control_character(name: str, hostile: tuple[str, Board]) -> None:
    text = render([hostile[1]], name, title=hostile[0])
    assert all(sign.isprintable() or sign == "\n" for sign in text)


def test_hostile_names_are_cells_of_a_markdown_table(hostile: tuple[str, Board]) -> None:
    text = render([hostile[1]], "markdown", title="tiny")
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", line) for line in text.splitlines() if line[:1] == "|"]
    assert {len(line) for line in cells} == {len(hostile[1].headings) + 2}
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cells[-1][1]).strip()
    assert shown == spelt(hostile[0])
    assert not re.search(r"(?<!\\)(?:\\\\)*[<`]|\]\(", cells[-1][1])


class Page(html.parser.HTMLParser):
    """Tags of a page, and the texts of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "td":
            self.cells[-1] += data.strip("\n ")


def test_hostile_names_add_no_tag_to_a_page(hostile: tuple[str, Board]) -> None:
    page = Page(render([hostile[1]], "html", title=hostile[0]))
    harmless = {"meta", "title", "h2", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert set(page.tags) <= harmless | {"code"}
    assert page.cells[len(hostile[1].headings)] == spelt(hostile[0])


def test_hostile_names_are_text_to_latex(hostile: tuple[str, Board]) -> None:
    text = render([hostile[1]], "latex", title="tiny")
    ours = r"\\(begin|end|caption|tabular|toprule|midrule|bottomrule|par|footnotesize|texttt)\b"
    signs = r"\\(text(backslash|bar|less|greater|ascii(tilde|circum))\{\}|[&%$#_{}\\])"
    rest = re.sub(rf"{ours}|{signs}|\\(up|down)arrow", "", text)
    assert "\\" not in rest
    assert not re.search(r"[#%^~_]", rest)
    assert rest.count("{") == rest.count("}")
    rows = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0].splitlines()
    assert len(rows) == 2
    assert all(re.fullmatch(r"[^*\[].* \\\\", row) for row in rows)


def test_a_spreadsheet_takes_no_name_for_a_formula(hostile: tuple[str, Board]) -> None:
    lines = list(csv.DictReader(io.StringIO(render([hostile[1]], "csv", title="tiny"))))
    assert len(lines) == 1
    for key in ("model", "dataset"):
        text = lines[0][key]
        assert text[0] not in "=+-@\t\r"
        assert text.removeprefix("'") == spelt(hostile[0])


def test_a_terminal_and_json_show_names_as_they_are(hostile: tuple[str, Board]) -> None:
    assert f"│ {spelt(hostile[0])} " in render([hostile[1]], "terminal", title="tiny")
    found = json.loads(render([hostile[1]], "json", title=hostile[0]))
    assert found["title"] == spelt(hostile[0])
    assert found["scores"][0]["model"] == spelt(hostile[0])
    assert found["scores"][0]["mean"] == "inf"


def test_every_format_holds_the_numbers(board: Board, tmp_path: Path) -> None:
    write([board], tmp_path / "out", title="tiny")
    out = {path.suffix: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert set(out) == {".csv", ".html", ".json", ".md", ".tex"}
    assert out[".md"] == render([board], "markdown", title="tiny")
    assert "| ConvLSTM" in out[".md"]
    assert "32.00 ± 1.00" in out[".md"]
    assert "- MSE (unit): `mse|v1`" in out[".md"]
    assert r"32.00 $\pm$ 1.00" in out[".tex"]
    assert r"moving\_digits" in out[".tex"]
    assert r"\par{\footnotesize MSE (unit): \texttt{mse\textbar{}v1}}" in out[".tex"]
    assert "<td>32.00 ± 1.00</td>" in out[".html"]
    assert "<li>MSE (unit): <code>mse|v1</code></li>" in out[".html"]
    tidy = pd.read_csv(tmp_path / "out" / "leaderboard.csv").set_index(["model", "metric"])
    row = tidy.loc[("ConvLSTM", "mse")]
    assert (row["mean"], row["std"], row["seeds"], row["signature"]) == (32.0, 1.0, 3, "mse|v1")
    assert row["parameters"] == 74_321
    (score,) = [line for line in json.loads(out[".json"])["scores"] if line["metric"] == "mse"]
    assert (score["mean"], score["std"], score["seeds"]) == (32.0, 1.0, 3)


def test_an_unfinished_suite_is_written_in_every_format_too(plan: Plan, tmp_path: Path) -> None:
    paths = write(boards(plan, Store(tmp_path)), tmp_path / "out", title="tiny")
    assert "0 of 3 seeds" in (tmp_path / "out" / "leaderboard.md").read_text()
    assert sorted(path.name for path in paths) == sorted(
        p.name for p in (tmp_path / "out").iterdir()
    )


def test_an_unchanged_leaderboard_stays_untouched(board: Board, tmp_path: Path) -> None:
    paths = write([board], tmp_path / "out", title="tiny")
    before = [path.stat().st_mtime_ns for path in paths]
    write([board], tmp_path / "out", title="tiny")
    assert [path.stat().st_mtime_ns for path in paths] == before
    paths[0].unlink()
    write([board], tmp_path / "out", title="tiny")
    assert paths[0].exists()


@pytest.mark.parametrize("file", files().values())
def test_of_a_leaderboard_only_the_file_that_is_damaged_is_written_again(
    board: Board, tmp_path: Path, file: str
) -> None:
    paths = write([board], tmp_path / "out", title="tiny")
    texts = {path: path.read_bytes() for path in paths}
    damaged = tmp_path / "out" / file
    dates = {path: path.stat().st_mtime_ns for path in paths if path != damaged}
    damaged.write_bytes(texts[damaged][:-1])
    write([board], tmp_path / "out", title="tiny")
    assert {path: path.read_bytes() for path in paths} == texts
    assert {path: path.stat().st_mtime_ns for path in dates} == dates


@pytest.mark.parametrize("columns", [40, 55, 80])
def test_a_narrow_terminal_shows_every_number_whole(
    board: Board, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table, _, notes = render([board], "terminal", title="tiny").partition("  Test set")
    assert "SSIM (index)" in notes or "SSIM (unit)" in notes
    assert max(map(len, table.splitlines())) <= columns
    assert "…" not in table
    for whole in ("ConvLSTM", "persistence", "0.5000", "32.00", "± 1.00", "0.074 M"):
        assert whole in table


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that offers a format, one that is none, and one that cannot be imported."""
    points = (
        "[benchbench.formats]\nnames = theirs_format:NAMES\nnone = theirs_format:NONE\n"
        "broken = theirs_gone:X\ncsv = theirs_format:NAMES\n"
    )
    module = (
        "from benchbench.report.formats import Format\n"
        "NAMES = Format(lambda boards, title: f'{title}: {boards[0].rows[1].model}\\n', 'txt',\n"
        "               lambda text: text.replace('<', '('))\n"
        "NONE = 3\n"
    )
    monkeypatch.syspath_prepend(install(tmp_path / "site", points, theirs_format=module))


def test_a_package_adds_a_format_and_a_broken_one_spoils_no_other(
    plugins: None, board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert {"names", "none", "broken"} <= set(FORMATS)
    assert render([board], "names", title="<b>") == "(b>: ConvLSTM\n"
    assert render([board], "csv", title="tiny").startswith("dataset,")
    with pytest.raises(SchemaError, match=r"format 'none': theirs_format:NONE is not a `Format`"):
        FORMATS["none"]
    with pytest.raises(SchemaError, match=r"format 'broken' cannot be imported; .*No module named"):
        FORMATS["broken"]
    write([board], tmp_path / "out", title="tiny")
    assert (tmp_path / "out" / "leaderboard.txt").read_text() == "tiny: ConvLSTM\n"
    assert (tmp_path / "out" / "leaderboard.md").exists()
    assert "theirs_gone" in caplog.text


def test_a_format_that_fails_keeps_no_file_of_ours_from_being_written(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "from benchbench.report.formats import Format\nBAD = Format(lambda *_: 1 / 0, 'md')\n"
    points = "[benchbench.formats]\naaa = theirs_bad:BAD\n"
    monkeypatch.syspath_prepend(install(tmp_path / "site", points, theirs_bad=module))
    with pytest.raises(ZeroDivisionError):
        write([board], tmp_path / "out", title="tiny")
    ours = {".csv", ".html", ".json", ".md", ".tex"}
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == ours
    assert files()["aaa"] == "leaderboard-aaa.md"


def test_an_unknown_format_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no format 'latx'; did you mean 'latex'"):
        FORMATS["latx"]
