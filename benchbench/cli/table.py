"""bench table and bench references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchbench.cli.options import Overrides, Results, Selection, SuiteFile, completing, select
from benchbench.errors import UnknownName
from benchbench.report.formats import FORMATS

app = typer.Typer()

LINES = ("csv", "json")
"""Formats of one table only, a line for each number."""


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
    references: Annotated[
        bool,
        typer.Option(
            "--references",
            help="Set published numbers beside ours, each with a verdict; csv and json then have "
            "these only.",
        ),
    ] = False,
) -> None:
    """Print a suite's leaderboard from the runs that are done, and write nothing."""
    from benchbench.report.board import boards
    from benchbench.report.leaderboard import render

    selection = select(suite, overrides, results)
    title = selection.plan.suite.name
    try:
        beside = _beside(selection, style) if references else ""
        only = references and style in LINES
        tables = [] if only else boards(selection.plan, selection.store)
        text = "" if only else render(tables, style, title=title)
    except UnknownName as error:
        raise UnknownName(f"--format: {error}") from None
    typer.echo(text + beside, nl=False)


def _beside(selection: Selection, style: str) -> str:
    """Published numbers beside those of a suite, in one format."""
    from benchbench.report import published
    from benchbench.report.facts import facts_of
    from benchbench.report.sheet import render, write_lines

    facts, title = facts_of(selection.plan, selection.store), selection.plan.suite.name
    if style in LINES:
        return write_lines(published.tidy(facts), style, title=title)
    return "\n" + render(published.sheets(facts), style)


def _tables() -> list[str]:
    from benchbench.references.read import names

    return names()


@app.command("references")
def list_references(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE", help="Only this table.", autocompletion=completing(_tables)
        ),
    ] = None,
    style: Annotated[
        str, typer.Option("--format", help="terminal, markdown, html, latex, csv or json.")
    ] = "terminal",
) -> None:
    """List published numbers with their sources, and what is known to make them comparable."""
    from benchbench.references.read import names, table
    from benchbench.report import catalogue
    from benchbench.report.sheet import render, write_lines

    tables = [table(one) for one in ([name] if name else names())]
    try:
        if style in ("csv", "json"):
            text = write_lines(catalogue.tidy(tables), style, title="published numbers")
        else:
            text = render([catalogue.sheet(one) for one in tables], style)
    except UnknownName as error:
        raise UnknownName(f"--format: {error}") from None
    typer.echo(text, nl=False)
