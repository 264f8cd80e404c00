"""bench status, cancel, retry, logs and doctor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from benchbench.cli.execution import How, carry_out, with_downloads
from benchbench.cli.options import (
    AnyCode,
    Chosen,
    OnlyRuns,
    Overrides,
    Results,
    RunKey,
    Selection,
    SuiteFile,
    Wait,
    completing,
    results_store,
    select,
    suite_file,
)
from benchbench.cli.output import say
from benchbench.errors import UnknownName, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.executor.standing import Standing

RETRIED = ("failed", "cancelled")

app = typer.Typer(no_args_is_help=True)


def _states() -> Sequence[str]:
    from benchbench.executor.standing import State

    return get_args(State)


COLOURS = {
    "done": "green",
    "running": "cyan",
    "starting": "cyan",
    "requeued": "yellow",
    "failed": "red",
    "damaged": "red",
    "cancelled": "magenta",
    "stopped": "yellow",
}
"""Colour of each state that has one; `waiting` and `to run` are plain."""


@app.command()
def status(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    only: Annotated[
        str | None,
        typer.Option(
            help="Show only one state, as `failed` or `running`.",
            autocompletion=completing(_states),
        ),
    ] = None,
    lines: Annotated[int, typer.Option(help="Last lines of a failed run's log to show.")] = 3,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file of finished runs; see if it is whole.")
    ] = False,
) -> None:
    """Say where every run of a suite is, one line each. With --verify exit status 1 if damaged."""
    from benchbench.executor.standing import verified

    if only is not None and only not in _states():
        raise UnknownName(f"--only: no state '{only}'{nearest(only, _states())}")
    standings, problem = _standings(select(suite, overrides, results))
    standings = verified(standings) if verify else standings
    _show([each for each in standings if only in (None, each.state)], lines)
    counts = Counter(each.state for each in standings).most_common()
    say(f"{len(standings)} runs: {', '.join(f'{count} {state}' for state, count in counts)}")
    if problem:
        say(f"from the files alone: {problem}")
    if verify and any(each.state == "damaged" for each in standings):
        raise typer.Exit(1)


@app.command()
def cancel(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    run: OnlyRuns = None,
) -> None:
    """Take a suite's runs from the queue; running ones write a checkpoint first."""
    from benchbench.executor.standing import cancel as cancel_runs

    selection = select(suite, overrides, results)
    cancelled = cancel_runs(_chosen(selection, run))
    say(f"{len(cancelled)} cancelled")


@app.command()
def retry(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    run: OnlyRuns = None,
    executor: Chosen = None,
    wait: Wait = False,
    allow_code_change: AnyCode = False,
    stale: Annotated[
        bool,
        typer.Option(
            "--stale",
            help="Make again what was made under other code; it is moved to RESULTS/superseded.",
        ),
    ] = False,
) -> None:
    """Run again what failed or was cancelled, from its last checkpoint.

    With --stale: run again from the start what other code than today's has made.
    """
    selection = with_downloads(select(suite, overrides, results))
    standings = _chosen(selection, run)
    states = set(_states()) - {"damaged"} if stale else set(RETRIED)
    rows = [each for each in standings if each.state in states]
    todo = [each.job for each in rows if each.stale or not stale]
    todo = [replace(job, anew=stale) for job in todo]
    say(f"{selection.plan.suite.name}: {len(todo)} to retry")
    for each in standings:
        if each.state == "damaged":
            say(f"damaged: {each.job.run.title}: {each.detail}", "red")
    if todo:
        carry_out(selection, todo, How(executor, wait, allow_code_change))


@app.command()
def logs(
    run: RunKey,
    results: Results = Path("results"),
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines of each log.")] = 40,
) -> None:
    """Print the end of a run's log, and of its SLURM job's if there is one."""
    from benchbench.executor.standing import tail
    from benchbench.executor.submission import newest_submissions
    from benchbench.run.attempt import LOG

    folder = results_store(results).find(run)
    submission = newest_submissions(results, None).get(folder.name.rpartition("-")[2])
    for path in (folder / LOG, *(submission.logs(results) if submission else ())):
        if path.exists() and not path.is_file():
            say(f"{path}: not a file; move it away, the run's next log takes its place")
        elif path.exists():
            say(f"==> {path} <==")
            for line in tail(path, lines):
                say(line)


@app.command()
def doctor(
    suite: Annotated[
        Path | None,
        typer.Argument(metavar="SUITE", help="A suite whose data and resources to check too."),
    ] = None,
    overrides: Overrides = None,
    results: Results = Path("results"),
) -> None:
    """Check what runs depend on, and say what to do about each fault. Exit status 1 if any."""
    from benchbench.executor.doctor import examine

    colours = {"ok": "green", "warn": "yellow", "FAIL": "red"}
    verdicts = set()
    for check in examine(results, suite_file(suite) if suite else None, overrides or ()):
        verdicts.add(check.verdict)
        say(f"{check.verdict:4}  {check.name}: {check.text}", colours[check.verdict])
    if "FAIL" in verdicts:
        raise typer.Exit(1)


def _standings(selection: Selection) -> tuple[list[Standing], str]:
    """All standings, and why the scheduler was not asked."""
    from benchbench.executor import squeue
    from benchbench.executor.standing import standings
    from benchbench.executor.submission import FOLDER

    queue, problem = None, ""
    if (selection.store.root / FOLDER).is_dir():
        try:
            queue = squeue.queue()
        except squeue.Unreachable as error:
            problem = str(error)
    return standings(selection.jobs, queue), problem


def _show(standings: Sequence[Standing], lines: int) -> None:
    """A line for each run, its columns aligned, and the end of the log of one that failed."""
    rows = [("Run", "Model", "Dataset", "Seed", "State", "Detail")]
    for each in standings:
        run, seed = each.job.run, str(each.job.run.spec.seed)
        rows.append((each.job.key, run.model, run.dataset, seed, each.state, each.detail))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    texts = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    say(texts[0], "bold")
    for each, text in zip(standings, texts[1:], strict=True):
        say(text, COLOURS.get(each.state, ""))
        for line in each.last_lines(lines) if each.state == "failed" else ():
            say(f"    | {line}", "dim")


def _chosen(selection: Selection, keys: Sequence[str] | None) -> list[Standing]:
    """The runs whose key starts with one of the texts; all if there is none.

    Raises:
        UnknownName: a text fits no run.
    """
    standings, _ = _standings(selection)
    for key in keys or ():
        if not any(each.job.key.startswith(key) for each in standings):
            raise UnknownName(f"the suite has no run '{key}'; see {selection.command('status')}")
    starts = tuple(keys or ("",))
    return [each for each in standings if each.job.key.startswith(starts)]
