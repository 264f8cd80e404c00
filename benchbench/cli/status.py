"""bench status, cancel, retry, logs and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.execution import (
    AnyCode,
    Chosen,
    How,
    Overrides,
    Results,
    SuiteFile,
    Wait,
    execute,
    finish,
    plain_console,
    planned_suite,
    show_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchbench.executor.standing import Standing
    from benchbench.run.record import Store
    from benchbench.suite.plan import Plan

app = typer.Typer(no_args_is_help=True)

COLOURS = {
    "done": "green",
    "running": "cyan",
    "starting": "cyan",
    "requeued": "yellow",
    "failed": "red",
    "cancelled": "magenta",
    "stopped": "yellow",
}


@app.command()
def status(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    only: Annotated[
        str | None, typer.Option(help="Show only one state, as `failed` or `running`.")
    ] = None,
    lines: Annotated[int, typer.Option(help="Last lines of a failed run's log to show.")] = 3,
) -> None:
    """Say where every run of a suite is, one line each."""
    plan, store = planned_suite(suite, overrides, results)
    console = plain_console()
    standings, problem = _standings(plan, store)
    _show(console, standings, only, lines)
    if problem:
        console.print(f"from the files alone: {problem}", highlight=False, soft_wrap=True)


@app.command()
def cancel(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    run: Annotated[
        list[str] | None, typer.Option(help="Only this run, by its key or the start of it.")
    ] = None,
) -> None:
    """Take a suite's runs from the queue; running ones write a checkpoint first."""
    from benchbench.executor.standing import cancel as cancel_runs

    plan, store = planned_suite(suite, overrides, results)
    cancelled = cancel_runs(_chosen(_standings(plan, store)[0], run), store)
    plain_console().print(f"{len(cancelled)} cancelled", highlight=False)


@app.command()
def retry(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    run: Annotated[
        list[str] | None, typer.Option(help="Only this run, by its key or the start of it.")
    ] = None,
    executor: Chosen = None,
    wait: Wait = False,
    allow_code_change: AnyCode = False,
) -> None:
    """Run again what failed or was cancelled, from its last checkpoint."""
    plan, store = planned_suite(suite, overrides, results)
    standings = _chosen(_standings(plan, store)[0], run)
    todo = [each.run for each in standings if each.state in ("failed", "cancelled")]
    console = plain_console()
    console.print(f"{plan.suite.name}: {len(todo)} to retry", highlight=False)
    how = How(executor, wait, allow_code_change)
    statuses = execute(plan, todo, store, console, how) if todo else []
    if todo and "submitted" not in statuses:
        show_table(plan, store, write=not overrides)
    finish(console, statuses, len(todo))


@app.command()
def logs(
    run: Annotated[str, typer.Argument(help="A run's folder, its key, or the start of its key.")],
    results: Results = Path("results"),
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines of each log.")] = 40,
) -> None:
    """Print the end of a run's log, and of its SLURM job's if there is one."""
    from benchbench.executor.standing import tail
    from benchbench.executor.submission import newest_submissions
    from benchbench.run.record import Store

    store = Store(results)
    folder = store.find(run)
    submitted = newest_submissions(store.root, None).get(folder.name.rpartition("-")[2])
    for path in (folder / "log.txt", *(submitted.logs(store.root) if submitted else ())):
        if path.exists():
            typer.echo(f"==> {path} <==")
            for line in tail(path, lines):
                typer.echo(line)


@app.command()
def doctor(
    suite: Annotated[
        Path | None, typer.Argument(help="A suite whose data and resources to check too.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Check what runs depend on, and say what to do about each fault. Exit status 1 if any."""
    from benchbench.cli.execution import suite_file
    from benchbench.executor.doctor import examine

    console = plain_console()
    styles = {"ok": "green", "warn": "yellow", "FAIL": "red"}
    failed = False
    for check in examine(results, suite_file(suite) if suite else None):
        failed |= check.verdict == "FAIL"
        line = f"{check.verdict:4}  {check.name}: {check.text}"
        console.print(line, style=styles[check.verdict], highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _standings(plan: Plan, store: Store) -> tuple[list[Standing], str]:
    """All standings, and why the scheduler was not asked."""
    from benchbench.executor import squeue
    from benchbench.executor.standing import standings
    from benchbench.executor.submission import FOLDER
    from benchbench.run.job import Job, Settings

    settings = Settings.of(plan.suite)
    jobs = [Job(each, store, settings) for each in plan.runs]
    if not (store.root / FOLDER).is_dir():
        return standings(jobs, store, None), ""
    try:
        queue = squeue.queue()
    except squeue.Unreachable as error:
        return standings(jobs, store, None), str(error)
    return standings(jobs, store, queue), ""


def _show(console: Console, standings: Sequence[Standing], only: str | None, lines: int) -> None:
    from collections import Counter

    from rich.text import Text

    rows = [("Run", "Model", "Dataset", "Seed", "State", "Detail")]
    shown = [each for each in standings if only in (None, each.state)]
    for each in shown:
        spec, run = each.run.spec, each.run
        labels = (spec.key, run.model, run.dataset, str(spec.seed))
        rows.append((*labels, each.state, each.detail))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]

    def line(row: Sequence[str], style: str) -> Text:
        *cells, detail = row
        padded = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return Text(f"{padded}  {detail}".rstrip(), style)

    console.print(line(rows[0], "bold"), soft_wrap=True)
    for each, row in zip(shown, rows[1:], strict=True):
        console.print(line(row, COLOURS.get(each.state, "")), soft_wrap=True)
        if each.state == "failed":
            for text in each.last_lines(lines):
                console.print(Text(f"    | {text}", "dim"), soft_wrap=True)
    counts = Counter(each.state for each in standings)
    told = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    console.print(f"{len(standings)} runs: {told}", highlight=False)


def _chosen(standings: Sequence[Standing], keys: Sequence[str] | None) -> list[Standing]:
    """Those whose key starts with one of the texts.

    Raises:
        UnknownName: a text fits no run.
    """
    from benchbench.errors import UnknownName

    for key in keys or ():
        if not any(each.run.spec.key.startswith(key) for each in standings):
            raise UnknownName(f"the suite has no run '{key}'; see bench status")
    return [
        each
        for each in standings
        if not keys or any(each.run.spec.key.startswith(key) for key in keys)
    ]
