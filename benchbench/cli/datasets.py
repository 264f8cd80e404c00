"""bench datasets and bench prepare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchbench.cli.options import Dataset, KeyValues, completing, key_values, suite_file
from benchbench.cli.output import console, listing, options_of, say, section, written
from benchbench.errors import DataMissing, SchemaError
from benchbench.registry import DATASETS, build_dataset

if TYPE_CHECKING:
    from benchbench.dataset import Dataset as Data
    from benchbench.dataset import SplitName

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

app = typer.Typer(no_args_is_help=True)
datasets = typer.Typer(no_args_is_help=False)
app.add_typer(datasets, name="datasets")


@datasets.callback(invoke_without_command=True)
def list_datasets(context: typer.Context) -> None:
    """List the datasets, or look at one with `show` and `verify`."""
    if context.invoked_subcommand is None:
        headings = ("Name", "What it is")
        listing(DATASETS, headings, lambda name: (DATASETS.get(name).name, DATASETS.citation(name)))


@datasets.command()
def show(
    name: Dataset,
    option: KeyValues = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Where the picture goes; by default into the data folder."),
    ] = None,
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Whose clips are pictured.")
    ] = "test",
) -> None:
    """Print a dataset's options and passport, and picture a few of its clips."""
    from benchbench.cli.progress import prepare
    from benchbench.data.passport import passport
    from benchbench.data.sheet import contact_sheet, write_png
    from benchbench.folder import data_folder

    entry, options = DATASETS.get(name), key_values(option)
    say(f"{name}: {DATASETS.citation(name)}")
    options_of(entry, options)
    dataset = build_dataset(name, **options)  # here, because its faults are read beside the options
    prepare([dataset], console())
    facts = passport(dataset, name=name, version=entry.version)
    facts["splits"] = {k: "endless" if v is None else v for k, v in facts["splits"].items()}
    section("\npassport", (f"{key}: {_fact(value)}" for key, value in facts.items()))
    path = sheet or data_folder() / "sheets" / f"{name}.png"
    write_png(contact_sheet(dataset.split(split), dataset.clip), path)
    say(f"picture of {split} clips: {path}")


def _fact(value: object) -> str:
    """`train 100, test 10` of a mapping."""
    if isinstance(value, dict) and value:
        return ", ".join(f"{key} {written(item)}" for key, item in value.items())
    return written(value)


@datasets.command()
def verify(name: Dataset, option: KeyValues = None) -> None:
    """Read every file of a dataset anew and compare its checksum. Exit status 1 if one is wrong."""
    from benchbench.data.passport import reread

    files = build_dataset(name, **key_values(option)).files()
    wrong = 0
    for file in files:
        try:
            say(f"ok     {file.path}: {reread(file)}")
        except DataMissing as error:
            wrong += 1
            say(f"WRONG  {error}", "red")
    say(f"{name}: {len(files) - wrong} of {len(files)} files right")
    if wrong:
        raise typer.Exit(1)


@app.command("prepare")
def prepare_datasets(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|SUITE",
            help="Datasets, or suite files.",
            autocompletion=completing(DATASETS.names),
        ),
    ],
    option: KeyValues = None,
) -> None:
    """Download and check what datasets need, once; safe to repeat."""
    from benchbench.cli.progress import prepare
    from benchbench.folder import data_folder

    labelled = [pair for target in targets for pair in _datasets(target, option)]
    prepare([dataset for _, dataset in labelled], console())
    for label, dataset in labelled:
        lengths = [(part, dataset.split(part).length) for part in SPLITS]
        counts = (f"{part} {'endless' if n is None else n}" for part, n in lengths)
        say(f"{label}: ready ({dataset.clip}; {', '.join(counts)})")
    say(f"data folder: {data_folder()}")


def _datasets(target: str, option: list[str] | None) -> list[tuple[str, Data]]:
    """The dataset of a name, or those of a suite, each with its label."""
    if not target.endswith((".yaml", ".yml")):
        return [(target, build_dataset(target, **key_values(option)))]
    from benchbench.suite.plan import plan

    if option:
        raise SchemaError(f"--option: a suite has its own options; leave it out with {target}")
    return [(row.label, row.dataset) for row in plan(suite_file(Path(target))).sources]
