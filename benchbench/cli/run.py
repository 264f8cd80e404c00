"""bench run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchbench.cli.execution import How, carry_out, with_downloads
from benchbench.cli.options import (
    AnyCode,
    Chosen,
    Overrides,
    Results,
    SuiteFile,
    Verbose,
    Verify,
    Wait,
    select,
)
from benchbench.cli.output import say
from benchbench.cli.plan import say_states, show_plan

app = typer.Typer()


@app.command("run")
def run_suite(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    executor: Chosen = None,
    wait: Wait = False,
    allow_code_change: AnyCode = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")
    ] = False,
    verify: Verify = False,
    verbose: Verbose = False,
) -> None:
    """Bring every run of a suite to its record, then print the leaderboard and write its files.

    Finished runs are never run again, interrupted ones go on from their checkpoint. On a cluster
    the runs are submitted and the command returns. With KEY=VALUE the leaderboard is printed only:
    the files are those of the suite as it stands.

    Exit status: 1 if a run failed or is damaged, 2 if the suite is wrong, 130 if interrupted.
    """
    selection = select(suite, overrides, results, verify=verify)
    how = How(executor, wait, allow_code_change)
    if dry_run:
        show_plan(selection, how, verbose=verbose)
    else:
        selection = with_downloads(selection)
        states = say_states(selection)
        for job in (job for job, state, _ in states if state == "done"):
            job.drop_checkpoints()
        carry_out(selection, [job for job, state, _ in states if state == "to do"], how)
        if damaged := sum(not isinstance(each.state, str) for each in states):
            what = selection.command("status", "--only", "damaged")
            say(f"damaged runs, neither used nor replaced: {damaged}; what to do: {what}", "red")
            raise typer.Exit(1)
