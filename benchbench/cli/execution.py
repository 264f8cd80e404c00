"""What the commands on a suite share: its file, the console, and where its runs are executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.registry import EXECUTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from benchbench.executor import Executor
    from benchbench.run.record import Store
    from benchbench.suite.plan import Plan, Run


def _suites(incomplete: str) -> list[str]:
    """For shell completion: the suites that come along, and YAML files and folders here."""
    from importlib import import_module

    folders = import_module("benchbench.suites").__path__
    shipped = sorted(path.stem for folder in folders for path in Path(folder).glob("*.yaml"))
    here = [
        f"{path}/" if path.is_dir() else str(path)
        for path in sorted(Path().glob(f"{incomplete}*"))
        if path.is_dir() or path.suffix in (".yaml", ".yml")
    ]
    return [*(name for name in shipped if name.startswith(incomplete)), *here]


def _executors(incomplete: str) -> list[str]:
    """For shell completion: those that come along and those of other packages."""
    return [name for name in EXECUTORS.names() if name.startswith(incomplete)]


SuiteFile = Annotated[
    Path,
    typer.Argument(
        help="Suite file, or the name of a suite that comes with benchbench.",
        autocompletion=_suites,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the suite, as train.steps=100."),
]
Results = Annotated[Path, typer.Option(help="Folder of runs and tables.")]
Chosen = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help=f"Where to run: {', '.join(EXECUTORS.files())}; the suite's choice if absent.",
        autocompletion=_executors,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="On a cluster: stay until all runs have ended.")]
AnyCode = Annotated[
    bool, typer.Option("--allow-code-change", help="Run even if the code changes meanwhile.")
]


def planned_suite(
    suite: Path, overrides: Sequence[str] | None, results: Path
) -> tuple[Plan, Store]:
    from benchbench.run.record import Store
    from benchbench.suite.plan import plan as make_plan

    return make_plan(suite_file(suite), overrides or ()), Store(results)


def suite_file(suite: Path) -> Path:
    """The file itself, or the shipped suite of that name."""
    if suite.exists() or suite.suffix:
        return suite
    from importlib import import_module

    for folder in import_module("benchbench.suites").__path__:
        if (shipped := Path(folder) / f"{suite}.yaml").exists():
            return shipped
    return suite


def plain_console(*, width: int = 200) -> Console:
    """Standard output; wide where it is not a terminal, so that nothing wraps in a file."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=width)


@dataclass(frozen=True)
class How:
    """What the command line says of the execution."""

    executor: str | None = None
    wait: bool = False
    any_code: bool = False


def execute(plan: Plan, todo: Sequence[Run], store: Store, console: Console, how: How) -> list[str]:
    """Runs or submits; how each ended."""
    from benchbench.cli.progress import Display, watching
    from benchbench.dataset import prepare
    from benchbench.run.job import Settings

    display = Display(console, len(todo))
    executor = choose_executor(plan, how, display.say)
    with watching(console) as watch:
        prepare((row.dataset for row in plan.datasets), watch)
    statuses: list[str] = []
    with display:
        for outcome in executor.run(todo, store, Settings.of(plan.suite), display.event):
            display.outcome(outcome)
            statuses.append(outcome.status)
    return statuses


def finish(console: Console, statuses: Sequence[str], asked: int) -> None:
    """Says what is left to do and sets the exit status."""
    if "interrupted" in statuses or len(statuses) < asked:
        console.print("interrupted; the same command goes on from here", highlight=False)
        raise typer.Exit(130)
    if "failed" in statuses:
        raise typer.Exit(1)


def choose_executor(plan: Plan, how: How, say: Callable[[str], None]) -> Executor:
    """The executor that the command line names, or else the suite.

    Raises:
        UnknownName: there is none of the name.
        SchemaError: it cannot do what the command line asks for.
    """
    from benchbench.errors import SchemaError, UnknownName
    from benchbench.executor import Terms, build_executor

    name = how.executor or plan.suite.executor.name
    try:
        waits = "wait" in EXECUTORS.get(name).options
    except UnknownName as error:
        raise UnknownName(f"--executor: {error}") from None
    if how.wait and not waits:
        raise SchemaError(f"--wait: '{name}' waits for its runs anyway; leave it out")
    options = {"wait": True} if how.wait else {}
    return build_executor(plan, Terms(how.any_code, say), name, **options)


def show_executor(console: Console, plan: Plan, todo: Sequence[Run], how: How) -> None:
    """What the executor would make of the runs."""
    lines = [f"  {line}" for line in choose_executor(plan, how, print).describe(todo)]
    for line in [f"executor {how.executor or plan.suite.executor.name}", *lines]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_table(plan: Plan, store: Store, *, write: bool) -> None:
    """Prints the leaderboard, and writes its files if told to."""
    from benchbench.report import leaderboard
    from benchbench.report.board import boards

    tables, title = boards(plan, store), plan.suite.name
    if write:  # before anything is printed: a reader that closes the pipe loses no file
        files = leaderboard.write(tables, store.root / title, title=title)
    typer.echo(leaderboard.render(tables, "terminal", title=title), nl=False)
    if write:
        typer.echo(f"also in {files[-1]}, {', '.join(path.suffix for path in files[:-1])}")
    else:
        typer.echo("printed only: KEY=VALUE makes it another table than the suite's")
