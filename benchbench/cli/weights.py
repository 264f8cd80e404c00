"""bench weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.options import KeyValues, Model, completing, key_values
from benchbench.cli.output import say, table, written
from benchbench.errors import SchemaError
from benchbench.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.clip import Clip

app = typer.Typer(no_args_is_help=True)
weights = typer.Typer(
    no_args_is_help=True, help="Read the checkpoints of reference implementations."
)
app.add_typer(weights, name="weights")


@weights.command()
def sources(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="Only this model's.", autocompletion=completing(MODELS.names)
        ),
    ] = None,
) -> None:
    """List the reference implementations whose checkpoints can be read."""
    from benchbench.weights.certificate import certificate, options_for

    rows = []
    for name in [MODELS.get(model).name] if model else MODELS.names():
        for source, what in certificate(name).sources.items():
            if what.refused:
                options = f"refused: {what.refused}"
            else:
                settings = options_for(name, source).items()
                texts = [f"{key}={written(value)}" for key, value in settings]
                options = ", ".join([*texts, *(f"{key} (to be given)" for key in what.ask)])
            rows.append((name, source, what.cite, options or "none"))
    if rows:
        table(("Model", "Source", "What it is", "Options"), rows)
    else:
        say(f"{model}: no source is known for it")


@weights.command("import")
def import_(
    model: Model,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The checkpoint: .npz, or of torch.save.")
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="See `bench weights sources`.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write, for a suite.")],
    option: KeyValues = None,
    clip: Annotated[
        str,
        typer.Option(metavar="C,H,W,CONTEXT,HORIZON", help="The clips it was trained on."),
    ] = "1,64,64,10,10",
) -> None:
    """Turn a reference's checkpoint into a file that a suite can name as `weights`.

    Widths, kernel, norm and patch are read from its tensors, and what else the source needs is
    set; an option given here wins.
    """
    from benchbench.weights.files import import_reference, save

    imported, loaded = import_reference(model, source, file, _clip(clip), key_values(option))
    save(out, imported)
    say(f"{file}: {len(loaded.used)} tensors of {source} are now {model}'s")
    _say_left_out(loaded.dead)
    default = MODELS.get(model).bind({})
    changed = {k: v for k, v in imported.options.items() if v != default[k]}
    say(f"wrote {out} ({imported.clip})")
    say(f"in a suite: {{name: {model}, options: {written(changed)}, weights: {out}}}")


def _say_left_out(dead: Mapping[str, str]) -> None:
    reasons: dict[str, list[str]] = {}
    for name, why in dead.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        say(f"  {len(names)} left out, {why}: {', '.join(names)}")


def _clip(text: str) -> Clip:
    from benchbench.clip import Clip

    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(numbers) != text.count(",") + 1 or len(numbers) not in (5, 8):
        raise SchemaError(
            f"--clip {text}: expected channels, height, width, context and horizon, "
            "as in --clip 1,64,64,10,10, and 3 more, factors, trend and period, of clips that have "
            "frames of other times"
        )
    return Clip(*numbers)
