"""What commands print: text that stays text, and tables that fit."""

from __future__ import annotations

import pytest

from benchbench.cli.output import say, section, table, written

SENTENCE = "the quick brown fox jumps over the lazy dog and goes on for quite a while after that"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")


def test_names_are_neither_markup_nor_commands_to_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "[bold]x[/] [ce] :smile: \x1b[31m\x07"
    shown = r"[bold]x[/] [ce] :smile: \x1b[31m\x07"
    say(hostile)
    table(["Name"], [[hostile]])
    section(hostile, [hostile])
    told = capsys.readouterr().out
    assert told.count(shown) == 4
    assert "\x1b" not in told


def test_a_file_gets_every_line_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    say(f"{SENTENCE} {SENTENCE}")
    table(["a", "b", "c"], [[SENTENCE, SENTENCE, SENTENCE]])
    section("title", [f"{SENTENCE} {SENTENCE}"])
    told = capsys.readouterr().out
    assert f"{SENTENCE} {SENTENCE}\n" in told
    assert f"│ {SENTENCE} │ {SENTENCE} │ {SENTENCE} │\n" in told
    assert f"  - {SENTENCE} {SENTENCE}\n" in told


def test_a_narrow_table_folds_prose_and_never_a_word(
    narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    table(["Name", "Count", "What it is"], [["convlstm_one", "1,234,567", SENTENCE]], ["Count"])
    told = capsys.readouterr().out
    assert {len(line) for line in told.splitlines()} == {50}
    cells = [line.split("│") for line in told.splitlines() if line.startswith("│")]
    assert [cell[1:3] for cell in cells[:1]] == [[" convlstm_one ", " 1,234,567 "]]
    assert " ".join(cell[3].strip() for cell in cells) == SENTENCE


def test_a_table_that_cannot_fit_is_a_block_for_each_row(
    narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    headings = ("Model", "Params", "Signature", "Note", "Empty")
    table(headings, [("predrnn", "8,015,872", "ssim|range:1|win:7u|clip:01", SENTENCE, "–")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "predrnn"
    assert "Params: 8,015,872" in lines[1]
    assert all(line.startswith("  ") and len(line) <= 50 for line in lines[1:])
    assert "ssim|range:1|win:7u|clip:01" in "".join(lines)
    assert "Empty" not in "".join(lines)


def test_a_list_hangs_below_its_first_word(
    narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    section("Departures", [SENTENCE])
    section("Nothing", [])
    title, first, *others = capsys.readouterr().out.splitlines()
    assert title == "Departures"
    assert first.startswith("  - the quick")
    assert others
    assert all(line.startswith("    ") and len(line) <= 50 for line in others)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "–"),
        ([4, "a", False], "[4, a, false]"),
        ({"mse": 0.5, "of": (1, 2)}, "{mse: 0.5, of: [1, 2]}"),
        (1e-3, "0.001"),
    ],
)
def test_values_are_written_as_a_suite_would(value: object, text: str) -> None:
    assert written(value) == text
