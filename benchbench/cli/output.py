"""All that commands print: lines, tables and sections, in which no name is obeyed as markup."""

from __future__ import annotations

import codecs
import errno
import inspect
import io
import json
import os
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchError
from benchbench.report.terminal import console, grid, visible

if TYPE_CHECKING:
    from benchbench.registry import Entry, Registry

__all__ = ["Streams", "console", "listing", "options_of", "say", "section", "table", "written"]

PLAIN = str.maketrans({"–": "-", "—": "-", "±": "+/-", "×": "x", "…": "...", "→": "->"})
PLAIN |= str.maketrans({"↑": "^", "↓": "v", "≤": "<=", "≥": ">=", "µ": "u", "•": "*"})
"""What stands for our own signs where an encoding lacks them; others are spelt out."""
BROKEN_PIPE = 141


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


class _Patient(io.RawIOBase):
    """A file descriptor that takes everything, and remembers why it could not pass it on."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    def write(self, data: Any, /) -> int:
        if self.error is None:
            try:
                return os.write(self.descriptor, data)
            except OSError as error:
                self.error = error
        return len(data)


class Streams:
    """Both outputs of a command, which goes on to its end whatever becomes of what it prints."""

    def __init__(self) -> None:
        _occupy()
        codecs.register_error("benchbench", _spell)
        self.out, self.err = _Patient(1), _Patient(2)
        sys.stdout, sys.stderr = _text(self.out, sys.stdout), _text(self.err, sys.stderr)

    def status(self, status: int) -> int:
        """The exit status after a command's own, once everything is printed or lost."""
        sys.stdout.flush()
        error = self.out.error
        if error is not None and error.errno == errno.EPIPE:
            status = status or BROKEN_PIPE
        elif error is not None:
            reason = (error.strerror or str(error)).lower()
            print(f"error: standard output: {reason}; what was printed is lost", file=sys.stderr)
            status = status or 2
        sys.stderr.flush()
        return status


def _occupy() -> None:
    """Lets a closed descriptor lead nowhere; else the next file would get what is printed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one


def _text(raw: _Patient, stream: Any) -> io.TextIOWrapper:
    """A text stream in the encoding of the one in whose place it stands."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="benchbench",
        line_buffering=raw.isatty() or raw.descriptor == 2,
    )


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Signs that an encoding lacks, in those that every one has, and as JSON spells them."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end].translate(PLAIN)
    return json.dumps(signs)[1:-1], error.end
