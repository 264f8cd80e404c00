"""Sheet: a table of text in the formats that a terminal, a page or a paper shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchbench.errors import UnknownName, nearest
from benchbench.report.formats import (
    FORMATS,
    csv_lines,
    json_lines,
    latex_notes,
    latex_table,
    pipe_table,
)
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
    def at_right(self) -> list[bool]:
        """Whether the cells of each column stand at the right."""
        return [heading in self.right for heading in self.headings]

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
        return json_lines(title, name, lines)
    if not lines:
        return ""
    escape = FORMATS[style].escape
    escaped = (
        {k: escape(visible(v)) if isinstance(v, str) else v for k, v in line.items()}
        for line in lines
    )
    return csv_lines(list(lines[0]), escaped)


def _terminal(sheet: Sheet) -> str:
    narrow = console().width < NARROW
    rows = sheet.lines if narrow else [["\n".join(cell) for cell in row] for row in sheet.rows]
    columns = zip(sheet.headings, zip(*sheet.rows, strict=True), strict=True) if sheet.rows else ()
    lined = {heading for heading, cells in columns if any(len(cell) > 1 for cell in cells)}
    whole = lined | sheet.right  # folded, lines would part from their neighbours, and numbers break
    return titled(sheet.title, sheet.headings, rows, sheet.notes, right=sheet.right, whole=whole)


def _markdown(sheet: Sheet) -> str:
    parts = [f"## {sheet.title}"]
    if sheet.rows:
        parts.append(pipe_table(sheet.headings, sheet.lines, sheet.at_right))
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
    if not sheet.rows:
        return latex_notes(sheet.notes) or "\n"
    return latex_table(sheet.title, sheet.headings, sheet.lines, sheet.at_right, sheet.notes)


LINES = ("csv", "json")
"""Formats of one table only, a line for each number: see `write_lines`."""
LAYOUTS: dict[str, Callable[[Sheet], str]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "html": _html,
    "latex": _latex,
}
