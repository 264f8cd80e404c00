"""Everything that benchbench tells a person went wrong.

BenchError
├─ SchemaError    a suite, record or option does not say what it should
├─ UnknownName    no such model, dataset or protocol
├─ Unfit          a model declines a clip, a protocol declines data, with the reason
├─ DataMissing    a file is absent, truncated or not the one expected
└─ RunFailed      a run ended without a record

The command line prints a BenchError as one message with exit status 2, and a traceback only
for anything else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Base of all the errors that are shown to a person as a plain message."""


class SchemaError(BenchError, ValueError):
    """A suite, record or option does not say what it should."""


class UnknownName(BenchError, KeyError):
    """No such model, dataset, protocol or key; the message names the nearest one."""

    def __str__(self) -> str:  # KeyError would print the message's repr
        return str(self.args[0])


class Unfit(BenchError, ValueError):
    """A model declines a clip, or a protocol declines data; the message says why."""


class DataMissing(BenchError, FileNotFoundError):
    """A file is absent, truncated or not the one expected; the message says what to put where."""

    def __str__(self) -> str:
        return str(self.args[0])


class RunFailed(BenchError, RuntimeError):
    """A run ended without a record."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the known names where none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""
