"""Sheet: a table of text in the formats that a terminal, a page or a paper shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchbench.errors import UnknownName, nearest
from benchbench.jsonfile import spelled
from benchbench.report.formats import FORMATS, LATEX_MARKS
from benchbench.report.terminal import console, titled, visible

NARROW = 80
"""Width below which each line of a row is a row of its own."""
Cell = tuple[str, ...]
"""A cell's lines; where a row has several, a cell of one line belongs to all of them."""


@dataclass(frozen=True)
class Sheet:
    """A table whose rows may have several lines."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    right: frozenset[str] = frozenset()
    """Headings of the columns whose cells stand at the right."""

    @property
    def lines(self) -> list[list[str]]:
        """All lines of all rows, each whole in itself."""
        return [
            [cell[index] if len(cell) > 1 else "".join(cell) for cell in row]
            for row in self.rows
            for index in range(max(map(len, row)))
        ]


def render(sheets: Sequence[Sheet], style: str) -> str:
    """The text of sheets in one format; no cell and no note means anything to who reads it.

    Raises:
        UnknownName: sheets have no such format; the message names the nearest.
    """
    if style not in LAYOUTS:
        raise UnknownName(f"no format '{style}' of this table{nearest(style, [*LAYOUTS, *LINES])}")
    escape = FORMATS[style].escape

    def name(text: str) -> str:
        return escape(visible(text))

    def escaped(sheet: Sheet) -> Sheet:
        rows = tuple(tuple(tuple(map(name, cell)) for cell in row) for row in sheet.rows)
        headings, notes = tuple(map(name, sheet.headings)), tuple(map(name, sheet.notes))
        right = frozenset(map(name, sheet.right))
        return Sheet(name(sheet.title), headings, rows, notes, right)

    return "\n".join(LAYOUTS[style](escaped(sheet)) for sheet in sheets)


def write_lines(
    lines: Sequence[Mapping[str, Any]], style: str, *, title: str, name: str = "references"
) -> str:
    """Lines of plain values as `csv`, or as `json` that has them under a name."""
    if style == "json":
        values = {"title": title, name: spelled(lines)}
        return json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    escape = FORMATS[style].escape
    out = io.StringIO()
    if lines:
        writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow(
                {k: escape(visible(v)) if isinstance(v, str) else v for k, v in line.items()}
            )
    return out.getvalue()


def _terminal(sheet: Sheet) -> str:
    narrow = console().width < NARROW
    rows = sheet.lines if narrow else [["\n".join(cell) for cell in row] for row in sheet.rows]
    columns = zip(sheet.headings, zip(*sheet.rows, strict=True), strict=True) if sheet.rows else ()
    lined = {heading for heading, cells in columns if any(len(cell) > 1 for cell in cells)}
    whole = lined | sheet.right  # folded, lines would part from their neighbours, and numbers break
    return titled(sheet.title, sheet.headings, rows, sheet.notes, right=sheet.right, whole=whole)


def _markdown(sheet: Sheet) -> str:
    from tabulate import tabulate

    align = ["right" if heading in sheet.right else "left" for heading in sheet.headings]
    parts = [f"## {sheet.title}"]
    if sheet.rows:
        lines, how = sheet.lines, {"tablefmt": "pipe", "disable_numparse": True}
        parts.append(tabulate(lines, sheet.headings, colalign=align, **how))
    if sheet.notes:
        parts.append("\n".join(f"- {note}" for note in sheet.notes))
    return "\n\n".join(parts) + "\n"


def _html(sheet: Sheet) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in sheet.headings)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in sheet.lines
    )
    notes = "\n".join(f"<li>{note}</li>" for note in sheet.notes)
    table = f'<table border="1">\n<tr>{head}</tr>\n{body}\n</table>\n' if sheet.rows else ""
    return f"<h2>{sheet.title}</h2>\n{table}" + (f"<ul>\n{notes}\n</ul>\n" if notes else "")


def _latex(sheet: Sheet) -> str:
    notes = [rf"\par{{\footnotesize {note}}}" for note in sheet.notes]
    if not sheet.rows:
        return "\n".join(notes).translate(LATEX_MARKS) + "\n"
    columns = "".join("r" if heading in sheet.right else "l" for heading in sheet.headings)
    head, *rows = (" & ".join(line) + r" \\" for line in (sheet.headings, *sheet.lines))
    lines = (
        *(r"\begin{table}", rf"\caption{{{sheet.title}}}", rf"\begin{{tabular}}{{{columns}}}"),
        *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"),
        *notes,
        r"\end{table}",
    )
    return "\n".join(lines).translate(LATEX_MARKS) + "\n"


LINES = ("csv", "json")
"""Formats of one table only, a line for each number: see `write_lines`."""
LAYOUTS: dict[str, Callable[[Sheet], str]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "html": _html,
    "latex": _latex,
}
