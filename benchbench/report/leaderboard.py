"""The leaderboard: a suite's boards in the files of every format."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from benchbench.atomic import write_text
from benchbench.digest import values_digest
from benchbench.errors import BenchError, Damaged, Refusal
from benchbench.jsonfile import read, read_content
from benchbench.report.board import Board
from benchbench.report.formats import FORMATS

if TYPE_CHECKING:
    from benchbench.suite.plan import Plan

log = logging.getLogger(__name__)

OWNER = "suite.json"
"""Beside the files: the suite that they are of."""


class Owner(TypedDict):
    """The suite of a leaderboard's files, and what their tables show."""

    suite: str
    question: str


class Unwritten(BenchError):
    """Files of a leaderboard that could not be written, each with the reason."""


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
    """Writes every file of the leaderboard that is not there as it would be written.

    Raises:
        Unwritten: some could not be written; the others are.
    """
    paths = {name: folder / file for name, file in files().items()}
    refusals = []
    for name, path in paths.items():
        try:
            _write_if_other(path, render(boards, name, title=title))
        except OSError as error:
            refusals.append(str(Refusal.of(error)))
    if refusals:
        raise Unwritten("\n".join(dict.fromkeys(refusals)))
    return list(paths.values())


def _write_if_other(path: Path, text: str) -> None:
    """Writes a file unless it holds just this text, so that an unchanged one keeps its date."""
    content = None
    with contextlib.suppress(Damaged):  # a pipe, or what cannot be read: to write tells why
        content = read_content(path, "")
    if content is None or content.data != text.encode():
        write_text(path, text)


def enter(folder: Path, plan: Plan) -> None:
    """Notes in a folder whose leaderboard it holds; a suite that was moved takes its own along.

    Raises:
        Unwritten: it is that of another suite of the same name, or cannot be written.
    """
    path, question = plan.path.resolve(), _question(plan)
    if (other := _owner(folder, question)) not in (None, path):
        raise Unwritten(
            f"{folder}: holds the leaderboard of another suite of this name, {other}; "
            "give one of them a 'name' of its own, or another folder of --results"
        )
    facts = json.dumps(Owner(suite=str(path), question=question), indent=1)
    try:
        _write_if_other(folder / OWNER, facts + "\n")
    except OSError as error:
        raise Unwritten(str(Refusal.of(error))) from error


def _owner(folder: Path, question: str) -> Path | None:
    """The suite of a folder's files; None if it is gone, cannot be told or asks the same."""
    facts = None
    with contextlib.suppress(Damaged):
        facts = read(folder / OWNER, Owner, "")
    if facts is None or facts["question"] == question:
        return None
    try:
        there = Path(facts["suite"]).exists()
    except OSError:  # it is there, and somebody else's
        there = True
    return Path(facts["suite"]) if there else None


def _question(plan: Plan) -> str:
    """12 hex digits of what a suite's tables show: runs, labels and protocols."""
    runs = [(run.model, run.dataset, run.spec.key) for run in plan.runs]
    return values_digest([runs, plan.suite.protocols])[:12]
