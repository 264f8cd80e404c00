"""The `bench` command: parse, call, print.

Each module adds its commands; they import what they need when they run, so that `bench --help`
answers at once.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from benchbench.cli.output import Streams, say
from benchbench.errors import BenchError, Refusal

app = typer.Typer(
    name="bench",
    help="Compare spatiotemporal predictors, and prove every number.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(say: bool) -> None:
    if say:
        from benchbench import __version__

        typer.echo(f"benchbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


class _Command(TyperCommand):
    """A command whose help is folded where the terminal ends, not where the docstring's lines do.

    Its usage names a needed argument as `SUITE`, where typer writes `{SUITE}`. What the file system
    refuses it tells in a sentence, whichever file it is.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        paragraphs = (self.help or "").split("\n\n")
        self.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if isinstance(error, BenchError | BrokenPipeError) or error.errno is None:
                raise
            raise Refusal.of(error) from error

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [re.sub("[{}]", "", piece) for piece in super().collect_usage_pieces(ctx)]


def _use_command(group: typer.Typer) -> None:
    """Makes every command of a group and of the groups in it a `_Command`."""
    for command in group.registered_commands:
        command.cls = _Command
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _use_command(inner.typer_instance)


# in the order in which `bench --help` lists their commands
for _name in ("run", "plan", "table", "status", "scores", "models", "datasets", "weights"):
    app.add_typer(importlib.import_module(f"{__name__}.{_name}").app)
_use_command(app)


class _Shown(logging.Formatter):
    """Lines of a warning in which no control character is obeyed."""

    def format(self, record: logging.LogRecord) -> str:
        from benchbench.report.terminal import visible

        return "\n".join(map(visible, super().format(record).split("\n")))


def main() -> None:
    """Runs `bench`; an error a person can mend is one message and exit status 2."""
    streams = Streams()
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)  # a run's own log has the rest
    handler.setFormatter(_Shown("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    status = 0
    try:
        app()
    except BenchError as error:
        say(f"error: {error}", stderr=True)
        status = 2
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    sys.exit(streams.status(status))
