"""bench protocols, score and rescore."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.options import Results, RunKeys, completing
from benchbench.cli.output import console, say, section, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from benchbench.cli.progress import Display
    from benchbench.run.job import Job
    from benchbench.run.rescore import Rescoring
    from benchbench.scoring.protocol import Protocol
    from benchbench.scoring.summary import Summary
    from benchbench.suite.plan import Run

app = typer.Typer(no_args_is_help=True)
protocols_app = typer.Typer(no_args_is_help=False)
app.add_typer(protocols_app, name="protocols")


def _names() -> list[str]:
    from benchbench import protocols

    return protocols.names()


Named = Annotated[
    list[str],
    typer.Option(
        "--protocol",
        "-p",
        help="Name of a protocol; may be given again.",
        autocompletion=completing(_names),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@protocols_app.callback(invoke_without_command=True)
def listing(context: typer.Context) -> None:
    """List the evaluation protocols, or read one with `show`."""
    if context.invoked_subcommand is not None:
        return
    from benchbench import protocols

    every = [protocols.get(name) for name in protocols.names()]
    table(
        ("Name", "Version", "What it computes", "Metrics"),
        (
            (p.name, str(p.version), p.title, " ".join(metric.name for metric in p.metrics))
            for p in every
        ),
    )
    say("\nOne of them in full: bench protocols show NAME")


@protocols_app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of a protocol.", autocompletion=completing(_names)
        ),
    ],
) -> None:
    """Print a protocol: its metrics and signatures, its source, how it differs from the others."""
    from benchbench import protocols

    protocol = protocols.get(name)
    say(f"{protocol.name}, version {protocol.version}: {protocol.title}")
    say(f"source: {protocol.source}\n")
    table(
        ("Metric", "Better", "Unit", "Signature", "Same score as"),
        (
            (
                metric.name,
                metric.better,
                metric.unit,
                protocol.signature(metric.name),
                ", ".join(_same(protocol, metric.name)) or "–",
            )
            for metric in protocol.metrics
        ),
    )
    section("notes", protocol.notes)


def _same(protocol: Protocol, metric: str) -> list[str]:
    """Other protocols with a metric of the same signature."""
    from benchbench import protocols

    signature = protocol.signature(metric)
    others = (protocols.get(name) for name in protocols.names() if name != protocol.name)
    return [
        other.name
        for other in others
        if signature in (other.signature(each.name) for each in other.metrics)
    ]


@app.command()
def score(
    prediction: Annotated[
        str, typer.Argument(metavar="PRED", help="PRED.npy, PRED.npz or PRED.npz:NAME.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="TRUE", help="The true frames, of the same shape.")
    ],
    protocol: Named = ["benchbench"],  # noqa: B006 (typer reads it, nothing changes it)
    data_range: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", help="Lowest and highest value the data can have."),
    ] = None,
    range_unknown: Annotated[
        bool, typer.Option("--range-unknown", help="Leave out what needs the range of the data.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the scores of every frame.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score and sign arrays made elsewhere, (N, T, C, H, W) or (N, T, H, W).

    Values are taken to be in [0, 1] unless --range says otherwise; whole numbers must have one.
    """
    from benchbench import protocols
    from benchbench.errors import SchemaError
    from benchbench.scoring.arrays import given, read
    from benchbench.scoring.evaluate import evaluate

    if data_range is not None and range_unknown:
        raise SchemaError("--range and --range-unknown contradict each other; give one")
    span = None if range_unknown else (data_range or (0.0, 1.0))
    chosen = _protocols(protocol)
    if span is None:
        chosen = [protocols.without_range(one) for one in chosen]
    with _folder(out) as folder:
        stream = given(read(prediction), read(target), span=span)
        summaries = evaluate(stream, chosen, folder)
    _print_scores([("", summary) for summary in summaries.values()], as_json)
    if out is not None and not as_json:
        say(f"every frame's scores are in {out}")


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder of `--out`, or one that is gone at the end."""
    import tempfile

    from benchbench.errors import SchemaError

    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise SchemaError(f"--out {out}: is a file; name a folder") from None
    except OSError as error:
        raise SchemaError(f"--out {out}: cannot be made ({error.strerror})") from None
    yield out


@app.command()
def rescore(
    runs: RunKeys,
    protocol: Named,
    results: Results = Path("results"),
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Sequences at a time; as the run did, if not given."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Scoring threads.")] = 0,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, cuda:1; a GPU if there is one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score finished runs under other protocols, from their checkpoints, without training.

    Adds files to each run's scores and changes none.
    """
    from benchbench.cli.progress import Display, watching
    from benchbench.dataset import prepare
    from benchbench.executor import Outcome

    rescorings = _rescorings(runs, _protocols(protocol), results)
    place = _device(device)
    # standard error is often sent where JSON goes
    screen = console(stderr=True)
    screen.quiet = as_json and not screen.is_terminal
    with watching(screen) as watch:
        prepare((one.dataset for one in rescorings if one.missing), watch)
    rows = []
    with Display(screen, len(rescorings)) as display:
        for one in rescorings:
            job = _job(one, results)
            testing = functools.partial(_show, display, job.run)
            summaries = one.score(batch=batch, device=place, workers=workers, watch=testing)
            display.outcome(Outcome(job, "done"))
            rows += [(str(one.folder), summary) for summary in summaries]
    _print_scores(rows, as_json)


def _rescorings(runs: list[str], chosen: list[Protocol], results: Path) -> list[Rescoring]:
    from benchbench.run.record import Store
    from benchbench.run.rescore import Rescoring, finished

    folders = list(dict.fromkeys(Store(results).find(run) for run in runs))
    return [Rescoring.of(folder, record, chosen) for folder, record in finished(folders).items()]


def _job(rescoring: Rescoring, results: Path) -> Job:
    """What the progress display calls a rescoring."""
    from benchbench.run.job import Job, Settings
    from benchbench.run.record import Store
    from benchbench.suite.plan import Run

    spec = rescoring.spec
    return Job(Run(spec, spec.model, spec.dataset), Store(results), Settings())


def _show(display: Display, run: Run, done: int, total: int) -> None:
    from benchbench.training.events import Testing

    display.event(run, Testing(done, total))


def _device(name: str | None) -> torch.device | None:
    """The device of a name, None for the best there is.

    Raises:
        SchemaError: no such device here.
    """
    import torch

    from benchbench.errors import SchemaError

    if name is None:
        return None
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise SchemaError(f"--device {name}: cannot be used here ({reason})") from None


def _protocols(names: Iterable[str]) -> list[Protocol]:
    from benchbench import protocols

    return [protocols.get(name) for name in dict.fromkeys(names)]


def _print_scores(rows: list[tuple[str, Summary]], as_json: bool) -> None:
    """A line a score; `rows` are where each summary is of, and the summary."""
    from benchbench.scoring.summary import decimals

    if as_json:
        plain = [({"run": run} if run else {}) | summary.plain() for run, summary in rows]
        typer.echo(json.dumps(plain, indent=1, ensure_ascii=False))
        return
    lines = []
    for run, summary in rows:
        for score in summary.scores.values():
            column = score.column
            digits = decimals(column.decimals, column.better, [score.value])
            value = f"{score.value:.{digits}f}"
            if score.infinite:
                value += f" ({score.infinite} infinite)"
            line = (summary.protocol, column.metric, value, column.unit, column.signature)
            lines.append((*([run] if run else []), *line))
    headings = ("Protocol", "Metric", "Value", "Unit", "Signature")
    table((*(["Run"] if rows[0][0] else []), *headings), lines, right=["Value"])
    for run, summary in dict(rows).items():  # all protocols score the same sequences of a run
        where = f"{run}: " if run else ""
        counted = f"{summary.sequences} sequences of {summary.frames} frames"
        mapped = ""
        if summary.span is None:
            mapped = "; their range is unknown, they were taken as they are"
        elif summary.span != (0.0, 1.0):
            mapped = f"; values from {summary.span[0]:g} to {summary.span[1]:g} mapped to [0, 1]"
        say(f"{where}{counted}, ids {summary.ids_sha256[:12]}{mapped}")
