"""The leaderboard: a suite's boards in the files of every format."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from benchbench.atomic import write_text
from benchbench.errors import BenchError
from benchbench.report.board import Board
from benchbench.report.formats import FORMATS

log = logging.getLogger(__name__)


def render(boards: Sequence[Board], name: str, *, title: str) -> str:
    """The boards in the format of a name.

    Raises:
        UnknownName: there is no such format; the message names the nearest.
    """
    return FORMATS[name].render(boards, title)


def files() -> dict[str, str]:
    """Format to the name of its file, ours first; a plug-in that is broken is warned of."""
    names: dict[str, str] = {}
    for name in FORMATS:
        try:
            ending = FORMATS[name].ending
        except BenchError as error:
            log.warning("%s", error)
            continue
        if ending:
            file = f"leaderboard.{ending}"
            names[name] = f"leaderboard-{name}.{ending}" if file in names.values() else file
    return names


def write(boards: Sequence[Board], folder: Path, *, title: str) -> list[Path]:
    """Writes the leaderboard in every format, unless that of the same numbers is there.

    Of our own files markdown is written last: where it is new, all are.
    """
    paths = {name: folder / file for name, file in files().items()}
    text = render(boards, "markdown", title=title)
    newest = paths["markdown"]
    whole = all(path.exists() for path in paths.values())
    if not whole or newest.read_text(encoding="utf-8") != text:
        for name, path in paths.items():
            write_text(path, render(boards, name, title=title))
    return list(paths.values())
