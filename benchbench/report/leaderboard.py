"""The leaderboard: a suite's tables as markdown, CSV, LaTeX and HTML, signatures in each."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.atomic import write_text
from benchbench.report.table import Board

if TYPE_CHECKING:
    import pandas as pd


def tidy(made: Sequence[Board]) -> pd.DataFrame:
    """One line for each dataset, protocol, model and metric, with its signature."""
    import pandas as pd

    lines: list[tuple[Any, ...]] = []
    for board in made:
        for row in board.rows:
            shared = (board.dataset, board.protocol, row.model, row.parameters)
            for column, spread in row.cells.items():
                number = (column.metric, spread.mean, spread.std, len(spread.values))
                meaning = (column.unit, column.better, column.signature)
                lines.append((*shared, *number, *meaning, row.seconds.mean))
    return pd.DataFrame(lines, columns=TIDY)


TIDY = (
    *("dataset", "protocol", "model", "parameters", "metric", "mean", "std", "seeds"),
    *("unit", "better", "signature", "train_seconds"),
)


def render(made: Sequence[Board], style: str, *, title: str) -> str:
    """The tables as `markdown`, `csv`, `latex` or `html`."""
    if style == "markdown":
        digest = hashlib.sha256(repr(tuple(made)).encode()).hexdigest()[:12]
        text = "\n".join(board.markdown() for board in made)
        return f"# {title}\n\n{text}\n<!-- {digest}: all numbers, unrounded -->\n"
    if style == "csv":
        return tidy(made).to_csv(index=False)
    if style == "latex":
        return "\n".join(_latex(board) for board in made)
    pages = "\n".join(_html(board) for board in made)
    return f"<!doctype html>\n<meta charset=utf-8>\n<title>{html.escape(title)}</title>\n{pages}\n"


FILES = {
    style: f"leaderboard.{ending}"
    for style, ending in (("csv", "csv"), ("latex", "tex"), ("html", "html"), ("markdown", "md"))
}


def write(made: Sequence[Board], folder: Path, *, title: str) -> None:
    """Writes the leaderboard in every format, unless that of the same numbers is there."""
    newest = folder / FILES["markdown"]
    text = render(made, "markdown", title=title)
    there = all((folder / name).exists() for name in FILES.values())
    if there and newest.read_text(encoding="utf-8") == text:
        return
    for style, name in FILES.items():
        write_text(folder / name, render(made, style, title=title))


def _html(board: Board) -> str:
    notes = (re.sub("`(.*?)`", r"<code>\1</code>", html.escape(note)) for note in board.notes)
    items = "".join(f"<li>{note}</li>\n" for note in notes)
    table = board.frame().to_html(index=False)
    return f"<h2>{html.escape(board.title)}</h2>\n{table}\n<ul>\n{items}</ul>"


LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "|": r"\textbar{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def _latex(board: Board) -> str:
    marks = {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--"}
    text: str = board.frame().to_latex(
        index=False,
        escape=True,
        caption=board.title.translate(LATEX),
        column_format="l" + "r" * (len(board.headings) - 1),
    )
    notes = (re.sub("`(.*?)`", r"\\texttt{\1}", note.translate(LATEX)) for note in board.notes)
    lines = "".join(f"\\par{{\\footnotesize {note}}}\n" for note in notes)
    text = text.replace("\\end{table}", f"{lines}\\end{{table}}")
    for mark, command in marks.items():
        text = text.replace(mark, command)
    return text
