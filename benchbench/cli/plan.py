"""bench plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.execution import How, show_executor
from benchbench.cli.options import Chosen, Overrides, Results, SuiteFile, Verbose, select
from benchbench.cli.output import console, say, table

if TYPE_CHECKING:
    from benchbench.cli.options import Selection
    from benchbench.run.job import Job
    from benchbench.suite.plan import Plan

app = typer.Typer()


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
    verbose: Verbose = False,
) -> None:
    """Say what `bench run` would do, and do nothing."""
    selection = select(suite, overrides, results)
    show_plan(selection, How(executor), verbose=verbose)
    if measure:
        _measure(selection.plan)


def say_todo(selection: Selection) -> list[Job]:
    """The jobs that are not done; says how many are and how many are not."""
    jobs = selection.jobs
    todo = [job for job in jobs if not job.done]
    say(f"{selection.plan.suite.name}: {len(todo)} to run, {len(jobs) - len(todo)} done")
    return todo


def show_plan(selection: Selection, how: How, *, verbose: bool) -> None:
    """Prints every run and its state, and what the executor would make of those to do."""
    todo = say_todo(selection)
    keys = {job.key for job in todo}
    rows = []
    for job in selection.jobs:
        run = job.run
        steps = str(run.spec.train.iterations) if run.spec.train else "–"
        state = _state(job) if job.key in keys else "done"
        folder = [str(job.folder)] if verbose else []
        rows.append((run.model, run.dataset, str(run.spec.seed), steps, state, *folder))
    headings = ("Model", "Dataset", "Seed", "Steps", "State", *(["Folder"] if verbose else []))
    table(headings, rows, right=("Seed", "Steps"))
    plan = selection.plan
    absent = dict.fromkeys(line for source in plan.sources for line in source.absent)
    for line in (*plan.costs, *absent):
        say(line)
    show_executor(plan, todo, how)


def _state(job: Job) -> str:
    if job.run.missing:
        return "no data"
    return "to resume" if (job.folder / "checkpoint.pt").exists() else "to run"


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
