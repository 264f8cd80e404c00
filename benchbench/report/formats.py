"""Boards to text, in every format there is.

A third-party package adds a format as an entry point of the group `benchbench.formats`, whose
value is a `Format`.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.jsonfile import spelled
from benchbench.registry import Offers
from benchbench.report.terminal import console, grid, visible, whole_width

if TYPE_CHECKING:
    from benchbench.report.board import Board
    from benchbench.scoring.protocol import Column

LayOut = Callable[["Sequence[Board]", str], str]
"""Boards and a title to the text of one format."""


@dataclass(frozen=True)
class Format:
    """How boards become text."""

    lay_out: LayOut
    """Is given boards whose every name is escaped, and adds its own signs."""
    ending: str = ""
    """Ending of the file that `bench run` writes; without one the format is only printed."""
    escape: Callable[[str], str] = str
    """A name, whatever signs are in it, as the format shows just these."""
    code: Callable[[str], str] = "`{}`".format
    """A signature within a note, not escaped before."""
    mark: Callable[[str], str] = "{}*".format
    """A cell that is best of its column, or tied with the best."""

    def render(self, boards: Sequence[Board], title: str) -> str:
        """The text of all boards; no name in it means anything to who or what reads it."""
        return self.lay_out([self._escaped(board) for board in boards], self._name(title))

    def _name(self, text: str) -> str:
        return self.escape(visible(text))

    def _note(self, note: str) -> str:
        parts = enumerate(re.split("`(.*?)`", note))
        return "".join(self.code(visible(p)) if i % 2 else self._name(p) for i, p in parts)

    def _column(self, column: Column) -> Column:
        values: dict[str, Any] = {
            key: self._name(value) if isinstance(value, str) else value
            for key, value in asdict(column).items()
        }
        return replace(column, **values)

    def _escaped(self, board: Board) -> Board:
        rows = (
            replace(
                row,
                model=self._name(row.model),
                train_data=self._name(row.train_data),
                cells={self._column(column): spread for column, spread in row.cells.items()},
                ranks={self._column(column): rank for column, rank in row.ranks.items()},
            )
            for row in board.rows
        )
        return replace(
            board,
            dataset=self._name(board.dataset),
            protocol=self._name(board.protocol),
            columns=tuple(map(self._column, board.columns)),
            rows=tuple(rows),
            notes=tuple(map(self._note, board.notes)),
            ranked_by=self._column(board.ranked_by) if board.ranked_by else None,
            mark=self.mark,
        )


def _terminal(boards: Sequence[Board], _: str) -> str:
    """Tables that fit the width; where they else would not, without the time of training.

    A deviation goes below its mean first.
    """
    from rich.text import Text

    screen = console()
    with screen.capture() as capture:
        for board in boards:
            headings, rows = board.headings, board.texts
            if whole_width(headings, rows) > screen.width:
                rows = [[text.replace(" ±", "\n±") for text in row] for row in rows]
            if whole_width(headings, rows) > screen.width:  # the time, which csv and json have
                headings, rows = headings[:-1], [row[:-1] for row in rows]
            screen.print(Text(board.title, "italic"))
            right = list(itertools.compress(headings, board.right))
            screen.print(grid(headings, rows, width=screen.width, right=right))
            for note in board.notes:
                screen.print(f"  {note}", soft_wrap=True)
    return capture.get()


def pipe_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[bool]
) -> str:
    """A table of escaped cells in markdown; `right` says which columns stand at the right."""
    from tabulate import tabulate

    # tabulate is what pandas would call; without pandas an unchanged table prints at once
    align = ["right" if one else "left" for one in right]
    style = {"tablefmt": "pipe", "disable_numparse": True}
    return str(tabulate(rows, headings, colalign=align, **style))


def _markdown(boards: Sequence[Board], title: str) -> str:
    parts = []
    for board in boards:
        table = pipe_table(board.headings, board.texts, board.right)
        notes = "\n".join(f"- {note}" for note in board.notes)
        parts.append(f"## {board.title}\n\n{table}\n\n{notes}\n")
    digest = hashlib.sha256(repr(tidy(boards)).encode()).hexdigest()[:12]
    text = "\n".join(parts)
    return f"# {title}\n\n{text}\n<!-- {digest}: all numbers, unrounded -->\n"


def _escape_markdown(text: str) -> str:
    """Backslashes before all that could begin a cell, a tag, a link, code or emphasis."""
    signs = r"[\\|`<]|(?<=\])[(\[]|~(?=~)|(?<!\w)_|_(?!\w)|&(?=#?\w+;)"
    if text.count("*") > 1:
        signs += r"|\*"
    return re.sub(signs, r"\\\g<0>", text)


TIDY = (
    *("dataset", "protocol", "model", "parameters", "metric", "mean", "std", "seeds"),
    *("unit", "better", "signature", "train_seconds", "train_data", "other_code", "damaged"),
    "rank",
)


def tidy(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """One line for each dataset, protocol, model and metric, with its signature."""
    lines = []
    for board in boards:
        for row in board.rows:
            shared = (board.dataset, board.protocol, row.model, row.parameters)
            for column, spread in row.cells.items():
                number = (column.metric, spread.mean, spread.std, len(spread.values))
                meaning = (column.unit, column.better, column.signature)
                origin = (row.train_data, " ".join(row.stale), row.damaged)
                rank = row.ranks.get(column, "")
                values = (*shared, *number, *meaning, row.seconds.mean, *origin, rank)
                lines.append(dict(zip(TIDY, values, strict=True)))
    return lines


def csv_lines(names: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines of escaped values as CSV, below their names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def json_lines(title: str, name: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of plain values as JSON that has them under a name."""
    values = {"title": title, name: spelled(lines)}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def _csv(boards: Sequence[Board], _: str) -> str:
    return csv_lines(TIDY, tidy(boards))


def _escape_csv(text: str) -> str:
    """A quote before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _json(boards: Sequence[Board], title: str) -> str:
    return json_lines(title, "scores", tidy(boards))


def _html(boards: Sequence[Board], title: str) -> str:
    from jinja2 import Environment

    template = Path(__file__).with_name("leaderboard.html.jinja").read_text(encoding="utf-8")
    # no autoescape: `Format` has escaped every name
    page = Environment(trim_blocks=True, lstrip_blocks=True).from_string(template)
    return page.render(boards=boards, title=title)


def _latex(boards: Sequence[Board], _: str) -> str:
    return "\n".join(
        latex_table(board.title, board.headings, board.texts, board.right, board.notes)
        for board in boards
    )


def latex_table(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Iterable[bool],
    notes: Iterable[str],
) -> str:
    """A table of escaped cells in LaTeX, with notes below it; see `pipe_table`."""
    head, *body = (" & ".join(row) + r" \\" for row in (headings, *rows))
    lines = (
        r"\begin{table}",
        rf"\caption{{{title}}}",
        rf"\begin{{tabular}}{{{''.join('lr'[one] for one in right)}}}",
        *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}",
        latex_notes(notes) + r"\end{table}",
    )
    return "\n".join(lines).translate(_LATEX_MARKS) + "\n"


def latex_notes(notes: Iterable[str]) -> str:
    """Escaped notes in LaTeX, a paragraph and a line each."""
    lines = (rf"\par{{\footnotesize {note}}}" + "\n" for note in notes)
    return "".join(lines).translate(_LATEX_MARKS)


_LATEX_MARKS = str.maketrans(
    {"±": r"$\pm$", "≤": r"$\leq$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--"}
)
_LATEX_SIGNS = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "|": r"\textbar{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def _escape_latex(text: str) -> str:
    """Special signs by their commands; `\\\\` would take a leading star or bracket for its own."""
    return re.sub(r"^[*\[]", r"{\g<0>}", text.translate(_LATEX_SIGNS))


FORMATS = Offers(
    "benchbench.formats",
    Format,
    {
        "terminal": Format(_terminal),
        "csv": Format(_csv, "csv", _escape_csv),
        "json": Format(_json, "json"),
        "latex": Format(
            *(_latex, "tex", _escape_latex),
            code=lambda text: rf"\texttt{{{_escape_latex(text)}}}",
            mark=r"\textbf{{{}}}".format,
        ),
        "html": Format(
            *(_html, "html", html.escape),
            code=lambda text: f"<code>{html.escape(text)}</code>",
            mark="<b>{}</b>".format,
        ),
        "markdown": Format(_markdown, "md", _escape_markdown, mark="**{}**".format),
    },
)
