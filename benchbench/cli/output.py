"""All that commands print: lines, tables and sections, in which no name is obeyed as markup."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchError
from benchbench.report.terminal import console, grid, visible

if TYPE_CHECKING:
    from benchbench.registry import Entry, Registry

__all__ = ["console", "listing", "options_of", "say", "section", "table", "written"]


def say(text: str = "", style: str = "", *, stderr: bool = False) -> None:
    """Prints lines as they are; a terminal folds them, a file gets them whole."""
    from rich.text import Text

    lines = (visible(line.expandtabs()) for line in text.split("\n"))
    console(stderr=stderr).print(Text("\n".join(lines), style), soft_wrap=True)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> None:
    """Prints a table that fits the terminal; the columns `right` stand at the right."""
    shown = [[visible(cell) for cell in row] for row in rows]
    screen = console()
    screen.print(grid(headings, shown, width=screen.width, right=right))


def listing(
    registry: Registry[Any], headings: Sequence[str], row: Callable[[str], Sequence[str]]
) -> None:
    """Prints a row for each name of a registry, and a line for each that cannot be imported."""
    rows, faults = [], []
    for name in registry.names():
        try:
            rows.append(row(name))
        except BenchError as error:
            faults.append(str(error))
    table(headings, rows)
    for fault in faults:
        say(fault, "red")


def section(title: str, lines: Iterable[str]) -> None:
    """Prints a title and a list below it, nothing where the list is empty."""
    width, items = console().width, list(lines)
    if items:
        say(title)
    for item in items:
        say(textwrap.fill(item, width, initial_indent="  - ", subsequent_indent="    "))


def options_of(entry: Entry[Any], values: Mapping[str, Any] | None = None) -> None:
    """Prints a builder's options, each with its default or the value it is to have."""
    from benchbench.options import describe

    if not entry.options:
        return
    texts = describe(entry.build)
    rows = []
    for name, parameter in entry.options.items():
        value = (values or {}).get(name, parameter.default)
        needed = value is inspect.Parameter.empty
        rows.append((name, "needed" if needed else written(value), texts.get(name, "")))
    say()
    table(("Option", "Value" if values else "Default", "What it is"), rows)


def written(value: object) -> str:
    """A value as a suite would have it: `true`, `[1, 2]`, `{mse: 1.0}`; a dash for none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {written(item)}' for key, item in value.items())}}}"
    return "–" if value is None else str(value)
