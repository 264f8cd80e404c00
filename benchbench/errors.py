"""Everything that benchbench tells a person went wrong.

BenchError
├─ SchemaError    a suite or record does not say what it should
│  ├─ OptionError an option of a model or dataset does not
│  └─ Damaged     a file is not what was written, and what to do about it
├─ UnknownName    no such model, dataset or protocol
├─ Unfit          a model declines a clip, a protocol declines data, with the reason
├─ DataMissing    a file is absent, truncated or not the one expected
├─ Refusal        the file system does not give or take a file
└─ RunFailed      a run ended without a record

The command line prints a BenchError as one message with exit status 2, and a traceback only
for anything else.
"""

from __future__ import annotations

import difflib
import errno
import os
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path


class BenchError(Exception):
    """Base of all the errors that are shown to a person as a plain message."""


class SchemaError(BenchError, ValueError):
    """A suite, record or option does not say what it should."""


class OptionError(SchemaError):
    """Options that a builder cannot take, as in `OptionError(size="expected 64, not 3")`."""

    def __init__(self, faults: Mapping[str, str] | None = None, /, **named: str) -> None:
        super().__init__({**(faults or {}), **named})

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong with each option, by its name."""
        return dict(self.args[0])

    def __str__(self) -> str:
        return "\n".join(f"{option}: {fault}" for option, fault in self.faults.items())


class Damaged(SchemaError):
    """A file is not what was written: cut, changed, or another's."""

    def __init__(self, path: Path, what: str, mend: str) -> None:
        super().__init__(f"{path}: {what}; {mend}")

    @classmethod
    def unreadable(cls, path: Path, error: OSError) -> Damaged:
        """A file that may be whole, and is not given; nothing of it is to be deleted."""
        mend = "get the right to it" if error.errno in RIGHTS else "look whether its disk is well"
        return cls(path, f"cannot be read ({error.strerror})", mend)


class UnknownName(BenchError, KeyError):
    """No such model, dataset, protocol or key; the message names the nearest one."""

    def __str__(self) -> str:  # KeyError would print the message's repr
        return str(self.args[0])


class Unfit(BenchError, ValueError):
    """A model declines a clip, or a protocol declines data; the message says why."""


class DataMissing(BenchError, FileNotFoundError):
    """A file is absent, truncated or not the one expected; the message says what to put where."""


RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
HELP = {
    "free some, then run again": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "get the right to it, or name another folder": RIGHTS,
    "move what is there away, or name another folder": (
        *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP),
    ),
}
"""What to do about errors of the file system, by their numbers."""
REFUSALS = frozenset(number for numbers in HELP.values() for number in numbers)


class Refusal(BenchError, OSError):
    """The file system does not give or take a file; the message says which and what helps."""

    @classmethod
    def of(cls, error: OSError) -> Refusal:
        """What an error of the file system says, in a sentence that a person can act on."""
        path = error.filename if isinstance(error.filename, str | bytes | Path) else ""
        where = f"{os.fsdecode(path)}: " if path else ""
        advice = "".join(f"; {text}" for text, numbers in HELP.items() if error.errno in numbers)
        return cls(f"{where}{error.strerror}{advice}")


class RunFailed(BenchError, RuntimeError):
    """A run ended without a record."""


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or all the names where none is near."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def located(error: Exception, *files: str | None) -> str:
    """`models/net.py, line 3: NameError: name 'x' is not defined`: what an error is, and where.

    The place is the last one in a file or in one beside it; none where the error passed by.
    """
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: SyntaxError: {error.msg}"
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    folders = {Path(file).parent for file in files if file}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent in folders:
            return f"{frame.filename}, line {frame.lineno}: {text}"
    return text
