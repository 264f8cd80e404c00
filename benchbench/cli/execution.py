"""What `bench run`, `plan` and `retry` share: an executor, the runs, the leaderboard after them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from benchbench.atomic import check_writable
from benchbench.cli.output import console, say
from benchbench.errors import SchemaError, UnknownName
from benchbench.registry import EXECUTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchbench.cli.options import Selection
    from benchbench.executor import Executor
    from benchbench.run.job import Job
    from benchbench.suite.plan import Plan


@dataclass(frozen=True)
class How:
    """What the command line says of the execution."""

    executor: str | None = None
    wait: bool = False
    any_code: bool = False


def carry_out(selection: Selection, todo: Sequence[Job], how: How) -> None:
    """Does jobs, shows the leaderboard, says what is left to do and sets the exit status."""
    statuses = _execute(selection, todo, how) if todo else Counter()
    whole = True
    if statuses["submitted"]:
        say(f"follow them with: {selection.command('status')}")
    else:
        whole = _show_leaderboard(selection)
    failed = statuses["failed"] + statuses["killed"]
    if failed:
        say(
            f"{failed} of {len(todo)} runs failed; the reasons: "
            f"{selection.command('status', '--only', 'failed')}; "
            f"when they are mended: {selection.command('retry')}",
            "red",
        )
    if statuses["interrupted"] or statuses.total() < len(todo):
        say("interrupted; the same command goes on from here")
        raise typer.Exit(130)
    if failed or not whole:
        raise typer.Exit(1)


def with_downloads(selection: Selection) -> Selection:
    """The selection, planned anew once data that cannot be known before are downloaded."""
    rows = [row for row in selection.plan.sources if row.files.downloads and not row.files.content]
    if not rows or any(row.files.missing for row in rows):
        return selection
    from benchbench.cli.options import select
    from benchbench.cli.progress import prepare

    prepare((row.dataset for row in rows), console())
    return select(selection.file, selection.overrides, selection.store.root)


def _execute(selection: Selection, todo: Sequence[Job], how: How) -> Counter[str]:
    """Runs or submits; how many ended in which way."""
    from benchbench.cli.progress import Display, prepare
    from benchbench.suite.data import note

    plan = selection.plan
    display = Display(console(), len(todo))
    executor = choose_executor(plan, how, display.say)
    check_writable(selection.store.root)  # before anything is downloaded or trained
    prepare((row.dataset for row in plan.sources), console())
    for row in plan.sources:
        if row.files.content is not None:
            note(row.files.content, selection.store.root)
    statuses: Counter[str] = Counter()
    with display:
        jobs = [replace(job, any_code=how.any_code) for job in todo]
        for outcome in executor.run(jobs, display.event):
            display.outcome(outcome)
            statuses[outcome.status] += 1
    return statuses


def _show_leaderboard(selection: Selection) -> bool:
    """Prints the leaderboard, and writes its files if it is that of the suite as it stands.

    False where they could not be written.
    """
    from benchbench.report import leaderboard
    from benchbench.report.board import boards

    plan, store = selection.plan, selection.store
    tables, title = boards(plan, store), plan.suite.name
    folder, files, fault = store.root / title, [], ""
    if not selection.overrides:  # before printing: a reader that closes the pipe loses no file
        try:
            leaderboard.enter(folder, plan)
            files = leaderboard.write(tables, folder, title=title)
        except leaderboard.Unwritten as error:
            fault = str(error)
    print(leaderboard.render(tables, "terminal", title=title), end="", flush=True)
    if fault:
        say(f"printed only: {fault}", "red", stderr=True)
    elif files:
        say(f"also in {files[0]}, {', '.join(path.suffix for path in files[1:])}")
    else:
        say("printed only: with KEY=VALUE it is another leaderboard than the suite's")
    return not fault


def choose_executor(plan: Plan, how: How, say: Callable[[str], None]) -> Executor:
    """The executor that the command line names, or else the suite.

    Raises:
        UnknownName: there is none of the name.
        SchemaError: it cannot do what the command line asks for.
    """
    from benchbench.executor import Terms, build_executor

    name = how.executor or plan.suite.executor.name
    try:
        waits = "wait" in EXECUTORS.get(name).options
    except UnknownName as error:
        raise UnknownName(f"--executor: {error}") from None
    if how.wait and not waits:
        raise SchemaError(f"--wait: '{name}' waits for its runs anyway; leave it out")
    options = {"wait": True} if how.wait else {}
    return build_executor(plan, Terms(say), name, **options)


def show_executor(plan: Plan, todo: Sequence[Job], how: How) -> None:
    """Says what the executor would make of the jobs."""
    lines = choose_executor(plan, how, say).describe([job.run for job in todo])
    say(f"executor {how.executor or plan.suite.executor.name}")
    for line in lines:
        say(f"  {line}")
