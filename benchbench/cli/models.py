"""bench models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from benchbench.cli.options import Model
from benchbench.cli.output import listing, options_of, say, section, table, written
from benchbench.registry import MODELS

if TYPE_CHECKING:
    from benchbench.weights.certificate import Certificate, Recipe

app = typer.Typer(no_args_is_help=True)
models = typer.Typer(no_args_is_help=False)
app.add_typer(models, name="models")


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models, or read one's certificate with `show`."""
    from benchbench.weights.certificate import certificate

    def row(name: str) -> tuple[str, ...]:
        trained = "yes" if MODELS.get(name).trains else "no"
        proved = ", ".join(dict.fromkeys(proof.source for proof in certificate(name).proofs))
        return name, MODELS.citation(name), trained, proved or "–"

    if context.invoked_subcommand is None:
        listing(MODELS, ("Name", "What it is", "Trained", "Proved equal to"), row)


@models.command()
def show(name: Model) -> None:
    """Print a model's certificate: options, sizes, what it was proved equal to, what differs."""
    from benchbench.weights.certificate import Certificate
    from benchbench.weights.certificate import certificate as certificate_of

    entry, certificate = MODELS.get(name), certificate_of(name)
    say(f"{name}: {MODELS.citation(name)}")
    say(f"version {entry.version}, {'trained' if entry.trains else 'not trained'}")
    options_of(entry)
    if certificate == Certificate():
        say("\nNo certificate: it was compared with nothing.")
        return
    _proofs(certificate)
    _counts(certificate)
    sources = certificate.sources.items()
    for title, lines in (
        ("Parameters that no gradient changes", _dead_parameters(name, certificate)),
        ("Known bugs of the original", certificate.bugs),
        ("Departures", certificate.departures),
        ("Deliberately not followed", certificate.not_followed),
        ("Proved by nothing", certificate.unproved),
        ("How the sources train it", certificate.training),
        ("Published training, as a suite's train", map(_recipe, certificate.recipes)),
        (
            "Weights that can be imported (bench weights import)",
            [f"{source}: {what.cite}" for source, what in sources if what.refused is None],
        ),
    ):
        section(f"\n{title}", lines)


def _proofs(certificate: Certificate) -> None:
    numbers = ("Largest difference", "Loss, rel.", "Gradient, rel.")
    rows = []
    for proof in certificate.proofs:
        differences = (proof.predictions, proof.losses, proof.gradients)
        texts = ("–" if number is None else f"{number:.2g}" for number in differences)
        arrays = f"{proof.what} ({', '.join(proof.arrays)})"
        rows.append((proof.source, arrays, *texts, proof.tolerance))
    if rows:
        say()
        table(("Proved equal to", "On", *numbers, "Allowed"), rows, numbers)


def _counts(certificate: Certificate) -> None:
    numbers = ("Parameters", "Without gradient", "Left out")
    rows = []
    for count in certificate.counts:
        options = ", ".join(f"{key}={written(value)}" for key, value in count.options.items())
        frames = "x".join(map(str, count.frames))
        parts = (count.without_gradient, count.left_out)
        texts = (f"{count.parameters:,}", *(f"{n:,}" if n else "–" for n in parts))
        rows.append((count.what, options or "defaults", frames, *texts, count.published or "–"))
    if rows:
        say()
        table(("Size of", "Options", "Frames", *numbers, "Published"), rows, numbers)


def _recipe(recipe: Recipe) -> str:
    unsaid = f"; unsaid: {recipe.unsaid}" if recipe.unsaid else ""
    return f"{recipe.what}: {written(recipe.train)}{unsaid}"


def _dead_parameters(name: str, certificate: Certificate) -> list[str]:
    """Names of those of the first size counted, layers taken together, with the reason."""
    import torch

    from benchbench.clip import Clip
    from benchbench.registry import build_model
    from benchbench.weights.certificate import Count

    size = certificate.counts[0] if certificate.counts else Count(what="default", parameters=0)
    with torch.device("meta"):
        predictor = build_model(name, Clip(*size.frames, size.context, 10), **size.options)
    dead: Mapping[str, str] = predictor.dead_parameters()
    reasons = {re.sub(r"\d+", "*", parameter): why for parameter, why in dead.items()}
    return [f"{parameter}: {why}" for parameter, why in reasons.items()]
