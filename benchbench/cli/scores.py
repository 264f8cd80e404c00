"""bench protocols, score and rescore."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench import protocols
from benchbench.cli.options import Results, RunKeys, completing, results_store
from benchbench.cli.output import console, say, section, table
from benchbench.errors import BenchError, Damaged, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from benchbench.cli.progress import Display
    from benchbench.run.record import Store
    from benchbench.run.rescore import Rescoring
    from benchbench.scoring.protocol import Protocol
    from benchbench.scoring.summary import Summary
    from benchbench.suite.plan import Run

app = typer.Typer(no_args_is_help=True)
protocols_app = typer.Typer(no_args_is_help=False)
app.add_typer(protocols_app, name="protocols")


Named = Annotated[
    list[str],
    typer.Option(
        "--protocol",
        "-p",
        help="Name of a protocol; may be given again.",
        autocompletion=completing(protocols.names),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@protocols_app.callback(invoke_without_command=True)
def list_protocols(context: typer.Context) -> None:
    """List the evaluation protocols, or read one with `show`."""
    if context.invoked_subcommand is not None:
        return
    rows = []
    for protocol in _protocols(protocols.names()):
        metrics = " ".join(metric.name for metric in protocol.metrics)
        rows.append((protocol.name, str(protocol.version), protocol.title, metrics))
    table(("Name", "Version", "What it computes", "Metrics"), rows)
    say("\nOne of them in full: bench protocols show NAME")


@protocols_app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of a protocol.", autocompletion=completing(protocols.names)
        ),
    ],
) -> None:
    """Print a protocol: its metrics and signatures, its source, how it differs from the others."""
    protocol = protocols.get(name)
    say(f"{protocol.name}, version {protocol.version}: {protocol.title}")
    say(f"source: {protocol.source}\n")
    rows = []
    for metric in protocol.metrics:
        signature = protocol.signature(metric.name)
        same = ", ".join(other for other in _protocols_with(signature) if other != name)
        rows.append((metric.name, metric.better, metric.unit, signature, same or "–"))
    table(("Metric", "Better", "Unit", "Signature", "Same score as"), rows)
    section("notes", protocol.notes)


def _protocols_with(signature: str) -> list[str]:
    """Names of the protocols one of whose metrics has the signature."""
    return [
        protocol.name
        for protocol in _protocols(protocols.names())
        if signature in (protocol.signature(metric.name) for metric in protocol.metrics)
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
    axes: Annotated[
        str | None,
        typer.Option("--axes", help="Order of both arrays' axes, such as TCHW for one clip."),
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

    Values are taken to be in [0, 1] unless --range says otherwise; whole numbers must have one. Any
    other order of axes, and a shape that may mean several, needs --axes.
    """
    from benchbench.scoring.arrays import from_arrays, read
    from benchbench.scoring.evaluate import evaluate

    if data_range is not None and range_unknown:
        raise SchemaError("--range and --range-unknown contradict each other; give one")
    span = None if range_unknown else (data_range or (0.0, 1.0))
    chosen = _protocols(protocol)
    if span is None:
        chosen = [protocols.without_range(one) for one in chosen]
    with _folder(out) as folder:
        stream = from_arrays(read(prediction), read(target), span=span, axes=axes)
        summaries = evaluate(stream, chosen, folder)
    _print_scores([("", summary) for summary in summaries.values()], as_json)
    if out is not None and not as_json:
        say(f"every frame's scores are in {out}")


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder of `--out`, or one that is gone at the end."""
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
    """Score finished runs under other protocols, from their weights or stored predictions.

    Adds files to each run's scores, replaces damaged ones and changes no other. Exit status 1 if a
    run is damaged beyond that; the others are scored.
    """
    from benchbench.cli.progress import Display, prepare
    from benchbench.executor import Outcome
    from benchbench.run.claim import Held
    from benchbench.run.job import Job, Settings
    from benchbench.suite.plan import Run

    store = results_store(results)
    rescorings, errors = _rescorings(runs, _protocols(protocol), store)
    place = _device(device) if device else None
    # standard error is often sent where JSON goes
    screen = console(stderr=True)
    screen.quiet = as_json and not screen.is_terminal
    prepare((one.dataset for one in rescorings if one.missing), screen)
    rows = []
    with Display(screen, len(rescorings)) as display:
        for one in rescorings:
            run = Run(one.spec, one.spec.model, one.spec.dataset)
            testing = _testing(display, run)
            try:
                summaries = one.score(batch=batch, device=place, workers=workers, watch=testing)
            except (Damaged, Held) as error:
                errors.append(error)
                continue
            display.outcome(Outcome(Job(run, store, Settings()), "done"))
            rows += [(str(one.folder), summary) for summary in summaries]
    _end(rows, errors, as_json)


def _end(rows: list[tuple[str, Summary]], errors: list[BenchError], as_json: bool) -> None:
    """Prints scores, then the runs that have none and why."""
    if rows:
        _print_scores(rows, as_json)
    for error in errors:
        say(f"not scored: {error}", "red", stderr=True)
    if errors:
        raise typer.Exit(1)


def _testing(display: Display, run: Run) -> Callable[[int, int], None]:
    from benchbench.training.events import Testing

    return lambda done, total: display.event(run, Testing(done, total))


def _rescorings(
    runs: list[str], chosen: list[Protocol], store: Store
) -> tuple[list[Rescoring], list[BenchError]]:
    """The rescorings of the runs that have a whole record, and what is wrong with the others."""
    from benchbench.run.rescore import Rescoring, records

    whole, errors = records(list(dict.fromkeys(map(store.find, runs))))
    return [Rescoring.of(folder, record, chosen) for folder, record in whole.items()], errors


def _device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        SchemaError: there is none here.
    """
    import torch

    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise SchemaError(f"--device {name}: cannot be used here ({reason})") from None


def _protocols(names: Sequence[str]) -> list[Protocol]:
    return [protocols.get(name) for name in dict.fromkeys(names)]


def _print_scores(rows: list[tuple[str, Summary]], as_json: bool) -> None:
    """A line a score; `rows` are where each summary is of, and the summary."""
    from benchbench.scoring.summary import decimals

    if as_json:
        plain = [({"run": run} if run else {}) | summary.plain() for run, summary in rows]
        print(json.dumps(plain, indent=1, ensure_ascii=False), flush=True)
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
