"""Faults: what is wrong with a document, gathered so that a person reads all of it at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchbench.errors import BenchError, OptionError, SchemaError
from benchbench.suite.document import Document, Where


class Faults:
    """The faults of one document, each with its place."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._faults: set[tuple[Where, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, where: Where, text: str) -> None:
        """Adds what is wrong at a place; what was added before is not told twice."""
        self._faults.add((where, text))

    @contextlib.contextmanager
    def at(self, where: Where, about: str = "", key: str = "options") -> Iterator[None]:
        """Adds a BenchError raised inside: at the place, or at the wrong options below its key."""
        note = f" ({about})" if about else ""
        try:
            yield
        except OptionError as error:
            for option, text in error.faults.items():
                grid = (*where, "grid", option)
                place = grid if grid in self._document.lines else (*where, key, option)
                self.add(place, text + note)
        except BenchError as error:
            self.add(where, f"{error}{note}")

    def raise_if_any(self) -> None:
        """Raises one error that lists all faults in the order of their lines.

        Raises:
            SchemaError: there are faults.
        """
        if not self._faults:
            return
        faults = sorted(self._faults, key=lambda fault: (self._document.line(fault[0]), str(fault)))
        rows = [f"  {self._document.locate(where)}: {text}" for where, text in faults]
        count = f"{len(rows)} fault{'s' * (len(rows) > 1)}"
        raise SchemaError("\n".join([f"{self._document.path}: {count}", *rows]))
