"""Standard streams that may be closed, full, or unable to show a sign: no run is lost to them."""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys
from typing import Any

PLAIN = str.maketrans({"–": "-", "—": "-", "±": "+/-", "×": "x", "…": "...", "→": "->"})
PLAIN |= str.maketrans({"↑": "^", "↓": "v", "≤": "<=", "≥": ">=", "µ": "u", "•": "*"})
"""What stands for our own signs where an encoding lacks them; others are spelt out."""
BROKEN_PIPE = 141


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
