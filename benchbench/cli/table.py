"""bench table, compare and references."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.options import Overrides, Results, SuiteFile, completing, select
from benchbench.errors import SchemaError, UnknownName
from benchbench.report.formats import FORMATS
from benchbench.report.sheet import LINES

if TYPE_CHECKING:
    from benchbench.comparison.contest import Contest
    from benchbench.report.contests import Outcome
    from benchbench.report.facts import Facts
    from benchbench.suite.plan import Plan

app = typer.Typer()

Style = Annotated[
    str,
    typer.Option(
        "--format",
        help=f"One of {', '.join(FORMATS.ours)}.",
        autocompletion=completing(FORMATS.ours.__iter__),
    ),
]


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
    """Print a suite's leaderboard from the runs that are done, and write none."""
    from benchbench.report.board import boards
    from benchbench.report.facts import facts_of
    from benchbench.report.leaderboard import render

    selection = select(suite, overrides, results)
    plan, store, title = selection.plan, selection.store, selection.plan.suite.name
    finished = store.read_all(run.spec for run in plan.runs)
    facts = facts_of(plan, store, finished) if references else []
    only = references and style in LINES
    tables = [] if only else boards(plan, store, finished)
    with _format_named():
        text = "" if only else render(tables, style, title=title)
        text += _beside(facts, style, title) if references else ""
    print(text, end="", flush=True)


def _beside(facts: Sequence[Facts], style: str, title: str) -> str:
    """Published numbers beside those of a suite, in one format."""
    from benchbench.report import published
    from benchbench.report.sheet import render, write_lines

    if style in LINES:
        return write_lines(published.tidy(facts), style, title=title)
    return "\n" + render(published.sheets(facts), style)


@app.command("compare")
def print_comparison(
    suite: SuiteFile,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B KEY=VALUE",
            help="Labels of two models, or none for all pairs; and changes to the suite.",
        ),
    ] = None,
    results: Results = Path("results"),
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="Metric; the one that ranks the suite if not given."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", "-p", help="Protocol of the suite; its first if not given."),
    ] = None,
    style: Style = "terminal",
) -> None:
    """Tell which models differ by more than seeds and test sequences explain.

    With two labels, one difference with its interval; with none, all pairs of the table taken
    together. Reads only, but for a file in `.comparisons` of the results that makes the next time
    fast.
    """
    from benchbench.comparison.contest import contests
    from benchbench.report.contests import outcome

    labels, overrides = _sorted(words or [])
    selection = select(suite, overrides, results)
    whole = contests(selection.plan, selection.store, protocol=protocol, metric=metric)
    comparable = _comparable(whole, labels)
    outcomes = [outcome(contest, selection.store, labels) for contest in comparable]
    with _format_named():
        text = _compared(outcomes, selection.plan, style)
    print(text, end="", flush=True)


@contextlib.contextmanager
def _format_named() -> Iterator[None]:
    """Says of a format that there is none which option named it."""
    try:
        yield
    except UnknownName as error:
        raise UnknownName(f"--format: {error}") from None


def _compared(outcomes: list[Outcome], plan: Plan, style: str) -> str:
    """The comparisons of a suite, in one format."""
    from benchbench.report.contests import sheets, tidy
    from benchbench.report.sheet import render, write_lines
    from benchbench.suite.code import codes_of

    if style in LINES:
        lines = [line for one in outcomes for line in tidy(one)]
        return write_lines(lines, style, title=plan.suite.name, name="comparisons")
    now = codes_of(run.spec for run in plan.runs)
    return render([sheet for one in outcomes for sheet in sheets(one, now)], style)


def _sorted(words: list[str]) -> tuple[list[str], list[str]]:
    """Labels and KEY=VALUE changes; a label may hold a sign of equality too.

    Raises:
        SchemaError: there is one label, or more than two, or one twice.
    """
    from benchbench.suite.schema import Suite

    def changes(word: str) -> bool:
        key, sign, _ = word.partition("=")
        return bool(sign) and key.partition(".")[0] in Suite.model_fields

    labels = [word for word in words if not changes(word)]
    if len(labels) not in (0, 2) or len(set(labels)) < len(labels):
        names = ", ".join(map(repr, labels))
        raise SchemaError(f"{names}: name two models to compare, or none to compare all")
    return labels, [word for word in words if changes(word)]


def _comparable(contests: list[Contest], labels: list[str]) -> list[Contest]:
    """The datasets on which there is something to compare.

    Raises:
        SchemaError: there is none.
        UnknownName: no dataset has the models.
    """
    if labels:
        names = [{*(entry.label for entry in one.entries), *one.absent} for one in contests]
        both = [one for one, on in zip(contests, names, strict=True) if set(labels) <= on]
        if not both:
            contests[0].places(*labels)  # says which of them is not there
        return both
    whole = [contest for contest in contests if len(contest.entries) > 1]
    if not whole:
        reasons = [
            f"\n  {label} on {one.dataset}: {why}"
            for one in contests
            for label, why in one.absent.items()
        ]
        raise SchemaError(
            f"fewer than two models can be compared; run the suite first{''.join(reasons)}"
        )
    return whole


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
    style: Style = "terminal",
) -> None:
    """List published numbers with their sources, and what is known to make them comparable."""
    from benchbench.references.read import names, table
    from benchbench.report import catalogue
    from benchbench.report.sheet import render, write_lines

    tables = [table(one) for one in ([name] if name else names())]
    with _format_named():
        if style in LINES:
            text = write_lines(catalogue.tidy(tables), style, title="published numbers")
        else:
            text = render([catalogue.sheet(one) for one in tables], style)
    print(text, end="", flush=True)
