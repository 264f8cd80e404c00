"""bench models."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from benchbench.registry import Entry
    from benchbench.weights.certificate import Certificate, Count, Recipe

from benchbench.cli.execution import plain_console

app = typer.Typer(no_args_is_help=True)
models = typer.Typer(no_args_is_help=False)
app.add_typer(models, name="models")


def _names(incomplete: str) -> list[str]:
    from benchbench.registry import MODELS

    return [name for name in MODELS.names() if name.startswith(incomplete)]


@models.callback(invoke_without_command=True)
def listing(context: typer.Context) -> None:
    """List the models, or read one's certificate with `show`."""
    if context.invoked_subcommand is not None:
        return
    from benchbench.registry import MODELS
    from benchbench.weights.certificate import certificate

    shown = _table("Name", "What it is", "Trained", "Proved equal to")
    for name in MODELS.names():
        entry, known = MODELS.get(name), certificate(name)
        proved = dict.fromkeys(proof.source for proof in known.proofs) if known else {}
        shown.add_row(
            name, MODELS.citation(name), "yes" if entry.trains else "no", ", ".join(proved) or "–"
        )
    plain_console(width=400).print(shown)


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a model.", autocompletion=_names)],
) -> None:
    """Print a model's certificate: options, sizes, what it was proved equal to, what differs."""
    from benchbench.registry import MODELS
    from benchbench.weights.certificate import certificate

    console = plain_console(width=400)
    entry, known = MODELS.get(name), certificate(name)
    _say(console, f"{name}: {MODELS.citation(name)}")
    _say(console, f"version {entry.version}, {'trained' if entry.trains else 'not trained'}")
    _options(console, entry)
    if known is None:
        _say(console, "\nNo certificate: it was compared with nothing.")
        return
    _proofs(console, known)
    _counts(console, known)
    _section(console, "Parameters that no gradient changes, by default", _still(name))
    for title, lines in (
        ("Known bugs of the original", known.bugs),
        ("Departures", known.departures),
        ("Deliberately not followed", known.not_followed),
        ("Proved by nothing", known.unproved),
        ("How the sources train it", known.training),
        ("Published training, as a suite's train", [_recipe(recipe) for recipe in known.recipes]),
    ):
        _section(console, title, lines)
    _section(
        console,
        "Weights that can be imported (bench weights import)",
        [
            f"{source}: {what.cite}"
            for source, what in known.sources.items()
            if what.refused is None
        ],
    )


def _options(console: Console, entry: Entry[Any]) -> None:
    if not entry.options:
        return
    told = _told(entry)
    shown = _table("Option", "Default", "What it is")
    for name, parameter in entry.options.items():
        needed = parameter.default is inspect.Parameter.empty
        shown.add_row(name, "needed" if needed else _written(parameter.default), told.get(name, ""))
    console.print()
    console.print(shown)


def _told(entry: Entry[Any]) -> dict[str, str]:
    """What the `Args:` of the builder's docstring say, by option."""
    _, _, listed = (inspect.getdoc(entry.build) or "").partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in listed.splitlines():
        if not line.startswith("    "):
            break
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name, text = start.groups()
            found[name] = text
        elif name:
            found[name] += " " + line.strip()
    return found


def _proofs(console: Console, known: Certificate) -> None:
    if not known.proofs:
        return
    shown = _table(
        "Proved equal to", "On", "Largest difference", "Loss, rel.", "Gradient, rel.", "Allowed"
    )
    for proof in known.proofs:
        shown.add_row(
            proof.source,
            f"{proof.what} ({', '.join(proof.arrays)})",
            *(
                "–" if number is None else f"{number:.2g}"
                for number in (proof.predictions, proof.losses, proof.gradients)
            ),
            proof.tolerance,
        )
    console.print()
    console.print(shown)


def _counts(console: Console, known: Certificate) -> None:
    if not known.counts:
        return
    shown = _table(
        "Size of", "Options", "Frames", "Parameters", "Without gradient", "Left out", "Published"
    )
    for count in known.counts:
        shown.add_row(
            count.what,
            _given(count),
            "x".join(map(str, count.frames)),
            f"{count.parameters:,}",
            *(f"{n:,}" if n else "–" for n in (count.without_gradient, count.left_out)),
            count.published or "–",
        )
    console.print()
    console.print(shown)


def _still(name: str) -> list[str]:
    """Names of those parameters, layers taken together, with the reason."""
    import torch

    from benchbench.clip import Clip
    from benchbench.registry import build_model

    with torch.device("meta"):
        dead = build_model(name, Clip(1, 64, 64, 10, 10)).dead_parameters()
    named = {re.sub(r"\d+", "*", parameter): why for parameter, why in dead.items()}
    return [f"{parameter}: {why}" for parameter, why in named.items()]


def _recipe(recipe: Recipe) -> str:
    fields = ", ".join(f"{name}: {_written(value)}" for name, value in recipe.train.items())
    return f"{recipe.what}: {{{fields}}}" + (f"; unsaid: {recipe.unsaid}" if recipe.unsaid else "")


def _given(count: Count) -> str:
    return ", ".join(f"{k}={_written(v)}" for k, v in count.options.items()) or "defaults"


def _section(console: Console, title: str, lines: Any) -> None:
    if lines:
        _say(console, f"\n{title}")
    for line in lines:
        _say(console, f"  - {line}")


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_written(v)}' for k, v in value.items())}}}"
    return "–" if value is None else str(value)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def _table(*columns: str) -> Table:
    from rich.table import Table

    shown = Table()
    for column in columns:
        shown.add_column(column, overflow="fold", no_wrap=column in ("Name", "Option"))
    return shown
