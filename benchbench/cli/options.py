"""Arguments and options that commands share, and what the shell completes of them."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.errors import SchemaError
from benchbench.registry import DATASETS, EXECUTORS, MODELS

if TYPE_CHECKING:
    from benchbench.run.job import Job
    from benchbench.run.record import Store
    from benchbench.suite.plan import Plan


def completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What the shell asks for the names that begin as an argument does."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _shipped() -> dict[str, Path]:
    """The suites that come with benchbench, by name."""
    from importlib import import_module

    folders = import_module("benchbench.suites").__path__
    return {path.stem: path for folder in folders for path in sorted(Path(folder).glob("*.yaml"))}


def _suites(incomplete: str) -> list[str]:
    """The suites that come along, and YAML files and folders here."""
    here = [
        f"{path}/" if path.is_dir() else str(path)
        for path in sorted(Path().glob(f"{incomplete}*"))
        if path.is_dir() or path.suffix in (".yaml", ".yml")
    ]
    return [*completing(_shipped)(incomplete), *here]


def _keys(incomplete: str) -> list[str]:
    """Keys of the runs in the folder `results`."""
    from benchbench.run.record import Store

    keys = (folder.name.rpartition("-")[2] for folder in Store(Path("results")).folders())
    return completing(lambda: sorted(keys))(incomplete)


SuiteFile = Annotated[
    Path,
    typer.Argument(
        metavar="SUITE",
        help="Suite file, or the name of a suite that comes with benchbench.",
        autocompletion=_suites,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes to the suite, as train.steps=100."),
]
Results = Annotated[Path, typer.Option(help="Folder of runs and tables.")]
Chosen = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help=f"Where to run: {', '.join(EXECUTORS.files())}; the suite's choice if absent.",
        autocompletion=completing(EXECUTORS.names),
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="On a cluster: stay until all runs have ended.")]
AnyCode = Annotated[
    bool, typer.Option("--allow-code-change", help="Run even if the code changes meanwhile.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Name the folder of every run.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read every data file again, whatever is noted of it.")
]
RunKey = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's folder, its key, or the start of its key.",
        autocompletion=_keys,
    ),
]
RunKeys = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN", help="Folders of runs, or the starts of their keys.", autocompletion=_keys
    ),
]
OnlyRuns = Annotated[
    list[str] | None,
    typer.Option(
        "--run", help="Only this run, by its key or the start of it.", autocompletion=_keys
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of a model.", autocompletion=completing(MODELS.names)
    ),
]
Dataset = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of a dataset.", autocompletion=completing(DATASETS.names)
    ),
]
KeyValues = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option; may be given again."),
]


def key_values(texts: Sequence[str] | None) -> dict[str, Any]:
    """The options that `--option KEY=VALUE` gives, their values read as in a suite.

    Raises:
        SchemaError: one is not of that form.
    """
    from benchbench.suite.document import value_of

    options: dict[str, Any] = {}
    for text in texts or ():
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise SchemaError(f"--option {text}: expected KEY=VALUE, as in --option kernel=3")
        options[key] = value_of(value)
    return options


@dataclass(frozen=True)
class Selection:
    """A suite as the command line names it, and where its runs lie."""

    plan: Plan
    store: Store
    file: Path
    overrides: tuple[str, ...]

    @property
    def jobs(self) -> list[Job]:
        """What there is to do, or done, for the suite."""
        from benchbench.run.job import jobs

        return jobs(self.plan, self.store)

    def command(self, name: str, *options: str) -> str:
        """What to type for another command on the same runs."""
        root = self.store.root
        elsewhere = ("--results", str(root)) if root != Path("results") else ()
        words = ("bench", name, str(self.file), *self.overrides, *elsewhere, *options)
        return shlex.join(words)


def select(
    file: Path, overrides: Sequence[str] | None, results: Path, *, verify: bool = False
) -> Selection:
    """The runs of a suite with KEY=VALUE changes; `verify` reads every data file again.

    Raises:
        SchemaError: every fault of the suite at once, each with its line.
    """
    from benchbench.data.digests import read_anew
    from benchbench.run.job import recall
    from benchbench.suite.plan import plan

    changes, store = tuple(overrides or ()), results_store(results)
    with read_anew() if verify else contextlib.nullcontext():
        planned = plan(suite_file(file), changes)
    return Selection(recall(planned, store), store, file, changes)


def results_store(results: Path) -> Store:
    """The results folder, there or not.

    Raises:
        SchemaError: something else is in its place.
    """
    from benchbench.run.record import Store

    for place in (results, *results.parents):
        if place.is_dir():
            break
        if place.is_symlink() and not place.exists():
            raise SchemaError(f"--results {results}: {place} is a link to nothing; name a folder")
        if place.exists():
            raise SchemaError(f"--results {results}: {place} is a file; name a folder")
    return Store(results)


def suite_file(suite: Path) -> Path:
    """The file itself, or the shipped suite of that name."""
    return suite if suite.exists() or suite.suffix else _shipped().get(str(suite), suite)
