"""bench plan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.execution import How, show_executor
from benchbench.cli.options import Chosen, Overrides, Results, SuiteFile, Verbose, Verify, select
from benchbench.cli.output import console, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.cli.options import Selection
    from benchbench.run.job import Inspection
    from benchbench.suite.plan import Plan

app = typer.Typer()

ROWS = 1_000
"""Most runs that are listed: a terminal takes a millisecond for each."""


@app.command("plan")
def plan_suite(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = Path("results"),
    executor: Chosen = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Run a few steps of each and estimate hours and memory."),
    ] = False,
    verify: Verify = False,
    verbose: Verbose = False,
) -> None:
    """Say what `bench run` would do, and do nothing."""
    selection = select(suite, overrides, results, verify=verify)
    show_plan(selection, How(executor), verbose=verbose)
    if measure:
        _measure(selection.plan)


def say_states(selection: Selection) -> list[Inspection]:
    """All jobs, inspected; says how many are in which state, and names every damaged run.

    A damaged run is neither used nor replaced: a person decides what becomes of it.
    """
    states = [job.inspect() for job in selection.jobs]
    count = Counter(each.state if isinstance(each.state, str) else "damaged" for each in states)
    damaged = f", {count['damaged']} damaged" if count["damaged"] else ""
    name = selection.plan.suite.name
    say(f"{name}: {count['to do']} to run, {count['done']} done{damaged}")
    for job, state, _ in states:
        if not isinstance(state, str):
            say(f"damaged: {job.run.title}: {state}", "red")
    _say_other_data(selection, states)
    _say_stale(selection, [each for each in states if each.stale])
    return states


def _say_other_data(selection: Selection, states: Sequence[Inspection]) -> None:
    """Says how many finished runs are of other data than those that are here."""
    todo = [job.run.spec for job, state, _ in states if state == "to do" and job.run.spec.data]
    alike = selection.store.alike(todo, (each.job.run.spec for each in states))
    others = {spec.key for specs in alike.values() for spec in specs}
    if others:
        number = "1 finished run is" if len(others) == 1 else f"{len(others)} finished runs are"
        say(f"{number} of other data than these", "yellow")
    absent = dict.fromkeys(
        job.run.dataset for job, state, _ in states if job.run.missing and state == "done"
    )
    if absent:
        text = "what is done is of the data that it was made with"
        say(f"the data of {', '.join(absent)} are not here: {text}", "yellow")


def _say_stale(selection: Selection, stale: Sequence[Inspection]) -> None:
    """Says how many runs were made or begun under other code than today's, and what to type."""
    for kind, some in (
        ("done", [each for each in stale if each.state == "done"]),
        ("interrupted", [each for each in stale if each.state == "to do"]),
    ):
        if some:
            parts = ", ".join(dict.fromkeys(part for each in some for part in each.stale))
            say(f"{len(some)} {kind} under other code than today's ({parts})", "yellow")
    if stale:
        say(f"to run them again from the start: {selection.command('retry', '--stale')}", "yellow")


def show_plan(selection: Selection, how: How, *, verbose: bool) -> None:
    """Prints every run and its state, and what the executor would make of those to do."""
    states = say_states(selection)
    rows = []
    for each in states:
        job, run = each.job, each.job.run
        steps = str(run.spec.train.iterations) if run.spec.train else "–"
        folder = [str(job.folder)] if verbose else []
        text = _state(each)
        text += ", other code" if each.stale not in ((), ("unknown",)) else ""
        rows.append((run.model, run.dataset, str(run.spec.seed), steps, text, *folder))
    headings = ("Model", "Dataset", "Seed", "Steps", "State", *(["Folder"] if verbose else []))
    table(headings, rows[:ROWS], right=("Seed", "Steps"))
    if len(rows) > ROWS:
        say(f"and {len(rows) - ROWS:,} runs more")
    plan = selection.plan
    absent = dict.fromkeys(line for source in plan.sources for line in source.files.absent)
    for line in (*plan.costs, *absent):
        say(line)
    show_executor(plan, [job for job, state, _ in states if state == "to do"], how)


def _state(inspection: Inspection) -> str:
    from benchbench.run.provenance import checkpoints

    job, state, _ = inspection
    if state != "to do":
        return state if isinstance(state, str) else "damaged"
    if job.run.missing:
        return "no data"
    return "to resume" if checkpoints(job.folder) else "to run"


def _measure(plan: Plan) -> None:
    from benchbench.cli.progress import prepare
    from benchbench.run.job import Settings
    from benchbench.run.measure import configurations, measure

    prepare((row.dataset for row in plan.sources), console())
    numbers = ("s a step", "Validation s", "Test s", "Hours", "GB")
    rows, warnings, hours = [], [], 0.0
    for run in configurations(plan.runs):
        cost = measure(run, Settings.of(plan.suite))
        times = (cost.step_seconds, cost.validation_seconds, cost.test_seconds, cost.hours)
        texts = (f"{value:.3g}" for value in (*times, cost.peak_bytes / 2**30))
        rows.append((run.model, run.dataset, cost.device, *texts))
        warnings += [f"{run.model} on {run.dataset}: {text}" for text in cost.warnings()]
        same = [r for r in plan.runs if (r.model, r.dataset) == (run.model, run.dataset)]
        hours += cost.hours * len(same)
    table(("Model", "Dataset", "Device", *numbers), rows, right=numbers)
    say(f"all {len(plan.runs)} runs: {hours:.3g} hours of one device")
    for warning in warnings:
        say(warning)
