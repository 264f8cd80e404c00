"""bench datasets and bench prepare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.execution import plain_console

if TYPE_CHECKING:
    from rich.console import Console

    from benchbench.dataset import Dataset, SplitName

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

app = typer.Typer(no_args_is_help=True)
datasets = typer.Typer(no_args_is_help=False)
app.add_typer(datasets, name="datasets")


def _names(incomplete: str) -> list[str]:
    from benchbench.registry import DATASETS

    return [name for name in DATASETS.names() if name.startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="Name of a dataset.", autocompletion=_names)]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the dataset."),
]


@datasets.callback(invoke_without_command=True)
def listing(context: typer.Context) -> None:
    """List the datasets, or look at one with `show` and `verify`."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from benchbench.registry import DATASETS

    shown = Table()
    shown.add_column("Name", no_wrap=True)
    shown.add_column("What it is", overflow="fold")
    for name in DATASETS.names():
        shown.add_row(name, DATASETS.citation(name))
    plain_console().print(shown)


@datasets.command()
def show(
    name: Name,
    option: Options = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Where the picture goes; by default into the data folder."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose clips are pictured.")] = "test",
) -> None:
    """Print a dataset's options and passport, and picture a few of its clips."""
    from benchbench.cli.progress import watching
    from benchbench.data.passport import passport
    from benchbench.data.sheet import contact_sheet, write_png
    from benchbench.errors import UnknownName, nearest
    from benchbench.folder import data_folder
    from benchbench.registry import DATASETS

    console = plain_console()
    chosen = _options(option)
    dataset = _build(name, chosen)
    named = next((part for part in SPLITS if part == split), None)
    if named is None:
        raise UnknownName(f"no split '{split}'{nearest(split, SPLITS)}")
    entry = DATASETS.get(name)
    console.print(f"{name}: {DATASETS.citation(name)}", highlight=False, soft_wrap=True)
    _section(console, "options", entry.bind(chosen))
    with watching(console) as watch:
        dataset.prepare(watch)
    facts = passport(dataset, name=name, version=entry.version)
    facts["splits"] = {k: "endless" if v is None else v for k, v in facts["splits"].items()}
    _section(console, "passport", facts)
    path = sheet or data_folder() / "sheets" / f"{name}.png"
    write_png(contact_sheet(dataset.split(named), dataset.clip), path)
    console.print(f"picture of {split} clips: {path}", highlight=False, soft_wrap=True)


@datasets.command()
def verify(name: Name, option: Options = None) -> None:
    """Read every file of a dataset anew and compare its checksum. Exit status 1 if one is wrong."""
    from benchbench.data.passport import reread
    from benchbench.errors import DataMissing

    console = plain_console()
    files = _build(name, _options(option)).files()
    wrong = 0
    for file in files:
        try:
            console.print(f"ok     {file.path}: {reread(file)}", highlight=False, soft_wrap=True)
        except DataMissing as error:
            wrong += 1
            console.print(f"WRONG  {error}", highlight=False, soft_wrap=True)
    console.print(f"{name}: {len(files) - wrong} of {len(files)} files right", highlight=False)
    if wrong:
        raise typer.Exit(1)


@app.command()
def prepare(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|SUITE...", help="Datasets, or suite files.", autocompletion=_names
        ),
    ],
    option: Options = None,
) -> None:
    """Download and check what datasets need, once; safe to repeat."""
    from benchbench.cli.progress import watching
    from benchbench.dataset import prepare as prepare_all
    from benchbench.folder import data_folder

    console = plain_console()
    found: list[tuple[str, Dataset]] = []
    for target in targets:
        found += _of_target(target, option)
    with watching(console) as watch:
        prepare_all([dataset for _, dataset in found], watch)
    for name, dataset in found:
        lengths = ", ".join(
            f"{part} {'endless' if (n := dataset.split(part).length) is None else n}"
            for part in SPLITS
        )
        console.print(f"{name}: ready ({dataset.clip}; {lengths})", highlight=False, soft_wrap=True)
    console.print(f"data folder: {data_folder()}", highlight=False, soft_wrap=True)


def _of_target(target: str, option: list[str] | None) -> list[tuple[str, Dataset]]:
    """The dataset of a name, or those of a suite."""
    if not target.endswith((".yaml", ".yml")):
        return [(target, _build(target, _options(option)))]
    from benchbench.errors import SchemaError
    from benchbench.suite.plan import plan

    if option:
        raise SchemaError(f"--option: a suite has its own options; leave it out with {target}")
    return [(row.label, row.dataset) for row in plan(Path(target)).datasets]


def _build(name: str, options: dict[str, Any]) -> Dataset:
    from benchbench.registry import build_dataset

    return build_dataset(name, **options)


def _options(given: list[str] | None) -> dict[str, Any]:
    from benchbench.errors import SchemaError
    from benchbench.suite.document import value_of

    options: dict[str, Any] = {}
    for each in given or ():
        key, sign, text = each.partition("=")
        if not sign or not key:
            raise SchemaError(f"--option {each}: expected KEY=VALUE, as in --option digits=3")
        options[key] = value_of(text)
    return options


def _section(console: Console, title: str, content: dict[str, Any]) -> None:
    console.print(f"{title}:", highlight=False)
    for key, value in content.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {_said(v)}" for k, v in value.items())
        console.print(f"  {key}: {_said(value)}", highlight=False, soft_wrap=True, markup=False)


def _said(value: object) -> str:
    return "–" if value is None else str(value)
