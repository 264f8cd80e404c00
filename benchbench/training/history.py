"""History: a line for every so many iterations in `history.jsonl`, and what is in it by now."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from benchbench.atomic import replacing
from benchbench.errors import Damaged
from benchbench.jsonfile import open_file, parse

log = logging.getLogger(__name__)

NAME = "history.jsonl"
LONGEST = 1 << 16
"""Bytes of the longest line that is read; ours have a hundred."""
MOST = 1 << 30
"""Bytes of a file that are read."""
MEND = "move it away and run again"


class Line(TypedDict):
    """A line of the file; the terms of the loss and more stand beside it."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    step: Annotated[int, Field(gt=0)]


class History:
    """The file in a run's folder, to which whole lines are appended.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._sha256 = hashlib.sha256()

    @property
    def mark(self) -> str:
        """The SHA-256 of all the lines by now, which checkpoints keep."""
        return self._sha256.hexdigest()

    def resume(self, step: int, mark: str) -> None:
        """Cuts the file, in one step, to its lines up to an iteration.

        What is no line is left out. The log tells where the rest is not what it was at the mark.

        Raises:
            Damaged: the file is none.
        """
        with (
            open_file(self.path, MEND) as source,
            replacing(self.path) as temporary,
            temporary.open("wb") as file,
        ):
            for line in _lines(source, self.path, step) if source else ():
                self._sha256.update(line)
                file.write(line)
        if self.mark != mark:
            log.warning(
                "%s: not what it was at the checkpoint of step %d; its whole lines are kept",
                self.path,
                step,
            )

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a line."""
        line = json.dumps(row).encode() + b"\n"
        with self.path.open("ab", buffering=0) as file:
            file.write(line)
        self._sha256.update(line)


EMPTY = hashlib.sha256().hexdigest()
"""The mark of a history without lines."""


def _lines(source: BinaryIO, path: Path, step: int) -> Iterator[bytes]:
    """The whole lines of a file, of rising iterations up to one."""
    last = read = 0
    while read < MOST and (line := source.readline(LONGEST)):
        read += len(line)
        try:
            at = parse(line, Line, path, MEND)["step"] if line.endswith(b"\n") else 0
        except Damaged:
            continue
        if last < at <= step:
            last = at
            yield line
