"""bench weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from benchbench.clip import Clip

app = typer.Typer(no_args_is_help=True)
weights = typer.Typer(
    no_args_is_help=True, help="Read the checkpoints of reference implementations."
)
app.add_typer(weights, name="weights")


def _names(incomplete: str) -> list[str]:
    from benchbench.registry import MODELS

    return [name for name in MODELS.names() if name.startswith(incomplete)]


@weights.command()
def sources(
    model: Annotated[
        str | None, typer.Argument(help="Only this model's.", autocompletion=_names)
    ] = None,
) -> None:
    """List the reference implementations whose checkpoints can be read."""
    from rich.console import Console
    from rich.table import Table

    from benchbench.registry import MODELS
    from benchbench.weights.certificate import sources as sources_of

    shown = Table()
    for column in ("Model", "Source", "What it is", "Options set, or why it is refused"):
        shown.add_column(column, overflow="fold", no_wrap=column in ("Model", "Source"))
    for name in [MODELS.get(model).name] if model else MODELS.names():
        for source, what in sources_of(name).items():
            options = ", ".join(f"{k}={_written(v)}" for k, v in what.options.items())
            refused = f"refused: {what.refused}" if what.refused else ""
            shown.add_row(name, source, what.cite, refused or options or "none")
    console = Console()
    console = console if console.is_terminal else Console(width=400)
    if shown.row_count:
        console.print(shown)
    else:
        console.print(f"{model}: no source is known for it", highlight=False)


@weights.command("import")
def import_(
    model: Annotated[str, typer.Argument(help="Name of our model.", autocompletion=_names)],
    file: Annotated[Path, typer.Argument(help="The checkpoint: .npz, or of torch.save.")],
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="See `bench weights sources`.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write, for a suite.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the model."),
    ] = None,
    clip: Annotated[
        str,
        typer.Option(metavar="C,H,W,CONTEXT,HORIZON", help="The clips it was trained on."),
    ] = "1,64,64,10,10",
) -> None:
    """Turn a reference's checkpoint into a file that a suite can name as `weights`.

    Widths, kernel, norm and patch are read from its tensors, and what else the source needs is
    set; an option given here wins.
    """
    from benchbench.registry import MODELS
    from benchbench.weights.files import import_reference, save

    imported, loaded = import_reference(model, source, file, _clip(clip), _options(option))
    save(out, imported)
    typer.echo(f"{file}: {len(loaded.used)} tensors of {source} are now {model}'s")
    reasons: dict[str, list[str]] = {}
    for name, why in loaded.dead.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        typer.echo(f"  {len(names)} left out, {why}: {', '.join(names)}")
    default = MODELS.get(model).bind({})
    changed = {k: v for k, v in imported.options.items() if v != default[k]}
    told = ", ".join(f"{name}: {_written(value)}" for name, value in changed.items())
    typer.echo(f"wrote {out} ({imported.clip})")
    typer.echo(f"in a suite: {{name: {model}, options: {{{told}}}, weights: {out}}}")


def _clip(text: str) -> Clip:
    from benchbench.clip import Clip
    from benchbench.errors import SchemaError

    try:
        numbers = [int(part) for part in text.split(",")]
        channels, height, width, context, horizon = numbers
    except ValueError as error:
        raise SchemaError(
            f"--clip {text}: expected channels, height, width, context and horizon, "
            "as in --clip 1,64,64,10,10"
        ) from error
    return Clip(channels, height, width, context, horizon)


def _options(given: list[str] | None) -> dict[str, Any]:
    from benchbench.errors import SchemaError
    from benchbench.suite.document import value_of

    options: dict[str, Any] = {}
    for each in given or ():
        key, sign, text = each.partition("=")
        if not sign or not key:
            raise SchemaError(f"--option {each}: expected KEY=VALUE, as in --option kernel=3")
        options[key] = value_of(text)
    return options


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
