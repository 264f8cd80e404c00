"""bench run, plan and table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchbench.run.record import Store
    from benchbench.suite.plan import Plan

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
    show_executor,
    show_table,
)
from benchbench.report.formats import FORMATS

app = typer.Typer()


@app.command()
def run(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    executor: Chosen = None,
    wait: Wait = False,
    allow_code_change: AnyCode = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")] = False,
) -> None:
    """Bring every run of a suite to its record, then print the leaderboard.

    Finished runs are never run again, interrupted ones go on from their checkpoint. With slurm the
    runs are submitted and the command returns. Exit status 1 if a run failed, 130 if interrupted.
    """
    planned, store = planned_suite(suite, overrides, results)
    todo = [run for run in planned.runs if not store.done(run.spec, planned.suite.protocols)]
    console = plain_console()
    done = len(planned.runs) - len(todo)
    console.print(f"{planned.suite.name}: {len(todo)} to run, {done} done", highlight=False)
    how = How(executor, wait, allow_code_change)
    if dry_run:
        _show(console, planned, store)
        show_executor(console, planned, todo, how)
        return
    statuses = execute(planned, todo, store, console, how) if todo else []
    if "submitted" in statuses:
        follow = f"follow them with: bench status {suite} --results {results}"
        console.print(follow, highlight=False, soft_wrap=True)
    else:
        show_table(planned, store, write=not overrides)
    finish(console, statuses, len(todo))


@app.command()
def plan(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    executor: Chosen = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Run a few steps of each and estimate hours and memory."),
    ] = False,
) -> None:
    """Say what `bench run` would do, and do nothing."""
    run(suite, overrides, results, executor, dry_run=True)
    if measure:
        _measure(suite, overrides, results)


def _formats(incomplete: str) -> list[str]:
    from benchbench.report.formats import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


@app.command()
def table(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    style: Annotated[
        str,
        typer.Option(
            "--format", help=f"{', '.join(FORMATS.ours)}, or a plug-in's.", autocompletion=_formats
        ),
    ] = "terminal",
) -> None:
    """Print a suite's leaderboard from the runs that are done, and write nothing."""
    from benchbench.errors import UnknownName
    from benchbench.report.board import boards
    from benchbench.report.leaderboard import render

    planned, store = planned_suite(suite, overrides, results)
    try:
        text = render(boards(planned, store), style, title=planned.suite.name)
    except UnknownName as error:
        raise UnknownName(f"--format: {error}") from None
    typer.echo(text, nl=False)


def _show(console: Console, planned: Plan, store: Store) -> None:
    from rich.table import Table

    shown = Table()
    for heading in ("Model", "Dataset", "Seed", "Steps", "State", "Folder"):
        shown.add_column(heading, no_wrap=True)
    for each in planned.runs:
        spec = each.spec
        steps = str(spec.train["steps"]) if spec.train else "–"
        state = "done" if store.done(spec, planned.suite.protocols) else "to run"
        if state == "to run" and (store.folder(spec) / "checkpoint.pt").exists():
            state = "to resume"
        folder = str(store.folder(spec))
        shown.add_row(each.model, each.dataset, str(spec.seed), steps, state, folder)
    console.print(shown)


def _measure(suite: Path, overrides: Sequence[str] | None, results: Path) -> None:
    from rich.table import Table

    from benchbench.run.job import Settings
    from benchbench.run.measure import configurations, measure

    planned, _ = planned_suite(suite, overrides, results)
    console = plain_console()
    for source in planned.datasets:
        source.dataset.prepare()
    shown, warnings = Table(), []
    headings = ("Model", "Dataset", "Device", "s a step", "Validation s", "Test s", "Hours", "GB")
    for heading in headings:
        shown.add_column(heading, no_wrap=True)
    total = 0.0
    for each in configurations(planned.runs):
        found = measure(each, Settings.of(planned.suite))
        times = (found.step_seconds, found.validation_seconds, found.test_seconds, found.hours)
        told = [f"{value:.3g}" for value in (*times, found.peak_bytes / 2**30)]
        shown.add_row(each.model, each.dataset, found.device, *told)
        warnings += [f"{each.model} on {each.dataset}: {text}" for text in found.warnings()]
        same = [r for r in planned.runs if (r.model, r.dataset) == (each.model, each.dataset)]
        total += found.hours * len(same)
    console.print(shown)
    for line in [f"all {len(planned.runs)} runs: {total:.3g} hours of one device", *warnings]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
