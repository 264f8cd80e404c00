"""bench run, plan and table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchbench.plan import Plan, Planned
    from benchbench.record import Store

app = typer.Typer()

SuiteFile = Annotated[
    Path, typer.Argument(help="Suite file, or the name of a suite that comes with benchbench.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the suite, as train.steps=100."),
]
Results = Annotated[Path, typer.Option(help="Folder of runs and tables.")]
Chosen = Annotated[
    str | None, typer.Option("--executor", help="Where to run: inline, local or slurm.")
]


@app.command()
def run(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    executor: Chosen = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be run, and stop.")] = False,
) -> None:
    """Bring every run of a suite to its record, then print the leaderboard.

    Finished runs are never run again, interrupted ones go on from their checkpoint. Exit status 1
    if a run failed, 130 if interrupted.
    """
    planned, store = _planned(suite, overrides, results)
    todo = _todo(planned, store)
    console = _console()
    done = len(planned.runs) - len(todo)
    console.print(f"{planned.suite.name}: {len(todo)} to run, {done} done", highlight=False)
    if dry_run:
        _show(console, planned, store)
        return
    statuses = _execute(planned, todo, store, console, executor) if todo else []
    _table(console, planned, store)
    if "interrupted" in statuses or len(statuses) < len(todo):
        console.print("interrupted; the same command goes on from here", highlight=False)
        raise typer.Exit(130)
    if "failed" in statuses:
        raise typer.Exit(1)


@app.command()
def plan(suite: SuiteFile, overrides: Overrides = None, results: Results = Path("results")) -> None:
    """Say what `bench run` would do, and do nothing."""
    run(suite, overrides, results, dry_run=True)


@app.command()
def table(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    style: Annotated[
        str, typer.Option("--format", help="rich, markdown, csv, latex or html.")
    ] = "rich",
) -> None:
    """Print a suite's leaderboard from the runs that are done."""
    from benchbench.errors import SchemaError, nearest
    from benchbench.table import boards, render

    planned, store = _planned(suite, overrides, results)
    if style == "rich":
        _table(_console(), planned, store)
        return
    styles = ("markdown", "csv", "latex", "html")
    if style not in styles:
        raise SchemaError(f"--format {style}: no such format{nearest(style, ['rich', *styles])}")
    typer.echo(render(boards(planned, store), style, title=planned.suite.name), nl=False)


def _planned(suite: Path, overrides: Sequence[str] | None, results: Path) -> tuple[Plan, Store]:
    from benchbench.plan import plan as make_plan
    from benchbench.record import Store

    return make_plan(_suite_file(suite), overrides or ()), Store(results)


def _suite_file(suite: Path) -> Path:
    """The file itself, or the shipped suite of that name."""
    if suite.exists() or suite.suffix:
        return suite
    from importlib import import_module

    for folder in import_module("benchbench.suites").__path__:
        if (shipped := Path(folder) / f"{suite}.yaml").exists():
            return shipped
    return suite


def _todo(planned: Plan, store: Store) -> list[Planned]:
    names = planned.suite.protocols
    return [run for run in planned.runs if not store.done(run.spec, names)]


def _execute(
    planned: Plan, todo: Sequence[Planned], store: Store, console: Console, executor: str | None
) -> list[str]:
    from benchbench.executor.inline import Inline
    from benchbench.progress import Display
    from benchbench.run import Settings

    for source in planned.sources:
        source.dataset.prepare()
    statuses: list[str] = []
    with Display(console, len(todo)) as display:
        settings = Settings.of(planned.suite)
        for outcome in Inline().run(todo, store, settings, display.event):
            display.outcome(outcome)
            statuses.append(outcome.status)
    return statuses


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


def _table(console: Console, planned: Plan, store: Store) -> None:
    from benchbench.table import boards, write

    made = boards(planned, store)
    folder = store.root / planned.suite.name
    write(made, folder, title=planned.suite.name)
    for board in made:
        console.print(board.rich())
        for note in board.notes:
            console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"also in {folder}/leaderboard.md, .csv, .tex, .html", highlight=False)


def _console() -> Console:
    """Standard output; wide where it is not a terminal, so that nothing wraps in a file."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)
