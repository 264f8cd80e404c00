"""bench table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchbench.cli.options import Overrides, Results, SuiteFile, completing, select
from benchbench.errors import UnknownName
from benchbench.report.formats import FORMATS

app = typer.Typer()


@app.command("table")
def print_table(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    style: Annotated[
        str,
        typer.Option(
            "--format",
            help=f"{', '.join(FORMATS.ours)}, or one of a plug-in.",
            autocompletion=completing(FORMATS.__iter__),
        ),
    ] = "terminal",
) -> None:
    """Print a suite's leaderboard from the runs that are done, and write nothing."""
    from benchbench.report.board import boards
    from benchbench.report.leaderboard import render

    selection = select(suite, overrides, results)
    tables = boards(selection.plan, selection.store)
    try:
        text = render(tables, style, title=selection.plan.suite.name)
    except UnknownName as error:
        raise UnknownName(f"--format: {error}") from None
    typer.echo(text, nl=False)
