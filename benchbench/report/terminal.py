"""What a terminal shows: text that stays text, and tables that fit its width."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE = 1000
"""Width of output to a file or a pipe, where nothing is to be folded."""
LEAST = 16
"""Width below which a column of prose cannot be read."""


def console(*, stderr: bool = False) -> Console:
    """Standard output: as wide as the terminal or `COLUMNS` says, else as wide as is needed."""
    from rich.console import Console

    if os.environ.get("COLUMNS", "1").strip("0") == "":
        del os.environ["COLUMNS"]  # of a terminal that does not know its size; rich would refuse 0
    plain = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not plain.is_terminal and "COLUMNS" not in os.environ:
        plain.width = WIDE
    return plain


def visible(text: str) -> str:
    r"""The text with control characters spelt out, as `\x1b`, so that no terminal obeys them."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def grid(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    right: Collection[str] = (),
    whole: Collection[str] = (),
) -> RenderableType:
    """A table of at most `width`; where its columns would be too narrow, a block for each row.

    Args:
        headings: one for each column.
        rows: the cells.
        width: of the terminal.
        right: headings of the columns whose cells stand at the right.
        whole: headings of the columns whose cells are never folded.
    """
    from rich.table import Table
    from rich.text import Text

    widths = _widths(list(zip(headings, *rows, strict=True)), width, whole)
    if widths is None:
        return _blocks(headings, rows, width)
    table = Table()
    for heading, columns in zip(headings, widths, strict=True):
        table.add_column(
            Text(heading),
            width=columns,
            justify="right" if heading in right else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def titled(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Iterable[str],
    **columns: Collection[str],
) -> str:
    """The text of a title, a table below it unless it has no rows, and folded notes.

    `columns` are those of `grid`.
    """
    from rich.text import Text

    screen = console()
    with screen.capture() as capture:
        screen.print(Text(title, "italic"))
        if rows:
            screen.print(grid(headings, rows, width=screen.width, **columns))
        for note in notes:
            lines = textwrap.wrap(note, screen.width - 4, break_on_hyphens=False)
            screen.print(textwrap.indent("\n".join(lines), "  "), soft_wrap=True)
    return capture.get()


def whole_width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Width of a table that folds nothing."""
    return _framed(max(map(_span, column)) for column in zip(headings, *rows, strict=True))


def _framed(widths: Iterable[int]) -> int:
    """Width of a table from those of its columns."""
    return 1 + sum(width + 3 for width in widths)


def _widths(
    columns: Sequence[Sequence[str]], width: int, whole: Collection[str]
) -> list[int] | None:
    """The width of each column, heading first; None if they do not fit."""
    most = [max(map(_span, column)) for column in columns]
    if _framed(most) <= width:
        return most
    least = [
        _least(heading, cells, LEAST if heading not in whole else width)
        for heading, *cells in columns
    ]
    if _framed(least) > width:
        return None
    share = (width - _framed(least)) / (sum(most) - sum(least))
    return [low + int((high - low) * share) for low, high in zip(least, most, strict=True)]


def _least(heading: str, cells: Sequence[str], short: int) -> int:
    """The width a column cannot do without: cells up to `short` are not folded, nor are words."""
    widest = max(map(_span, cells), default=0)
    words = max((_span(word) for cell in (heading, *cells) for word in cell.split()), default=0)
    return max(words, min(widest, short))


def _span(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)


def _blocks(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    """Each row as its first cell, and below it the others that say something."""
    from rich.text import Text

    text = Text()
    for first, *cells in rows:
        pairs = zip(headings[1:], cells, strict=True)
        entries = (_unbroken(f"{name}: {cell}") for name, cell in pairs if cell not in ("", "–"))
        below = textwrap.fill(
            "; ".join(entries), width, initial_indent=" " * 2, subsequent_indent=" " * 2
        )
        text.append(f"{first}\n", "bold").append(f"{below}\n".replace("\xa0", " ") if below else "")
    text.rstrip()
    return text


def _unbroken(entry: str) -> str:
    """A short entry with blanks at which no line breaks."""
    return entry.replace(" ", "\xa0") if len(entry) <= 2 * LEAST else entry
