"""plan: a suite file to the runs it asks for, every name, option, clip and file checked first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchbench.errors import nearest
from benchbench.suite.document import Document, Where, read
from benchbench.suite.faults import Faults
from benchbench.suite.fits import Fits
from benchbench.suite.lookup import (
    SuiteDataset,
    SuiteModel,
    check_executor,
    check_fit,
    check_protocols,
    check_rank,
    excluded,
    find_datasets,
    find_models,
    model_names,
    told,
    with_training_data,
)
from benchbench.suite.resources import Request
from benchbench.suite.schema import Exclusion, Suite, Train
from benchbench.suite.section import parse
from benchbench.suite.spec import RunSpec

RUNS = 100_000
"""Most runs of a suite."""


@dataclass(frozen=True)
class Run:
    """A run of the suite: its spec, and what does not change its numbers."""

    spec: RunSpec
    model: str
    """Label of the model in tables."""
    dataset: str
    """Label of the dataset in tables."""
    weights: Path | None = None
    slurm: Request = field(default_factory=Request)
    """What it asks of a cluster, the model's overrides applied."""
    train_data: str = ""
    """How its training data differ from the dataset's, as tables tell it."""
    missing: bool = False
    """Whether files that its data are read from are to be got by a person."""

    @property
    def title(self) -> str:
        """`ConvLSTM on moving_digits, seed 0`."""
        return f"{self.model} on {self.dataset}, seed {self.spec.seed}"


@dataclass(frozen=True)
class Plan:
    """What a suite asks for, in the suite's order."""

    suite: Suite
    path: Path
    runs: tuple[Run, ...]
    datasets: tuple[SuiteDataset, ...]
    sources: tuple[SuiteDataset, ...]
    """All that is to be prepared: the datasets, and those with training data of a model's own."""
    costs: tuple[str, ...] = ()
    """Models that predict slowly, each with the reason."""


def plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """The runs of a suite file.

    Args:
        path: the YAML file.
        overrides: `key=value` texts, as in `train.steps=100`.

    Raises:
        SchemaError: every fault of the file at once, each with its line.
    """
    document = read(path, overrides)
    faults = Faults(document)
    suite = _suite(document, faults)
    datasets = find_datasets(document, faults)
    fits = Fits(model_names(document))
    models = find_models(document, faults, fits)
    check_protocols(document, datasets, faults)
    if suite is not None:
        check_rank(suite, faults)
    check_executor(document, faults)
    costs = check_fit(models, datasets, suite.exclude if suite else (), faults, fits)
    fits.store()
    _check_labels(models, datasets, faults)
    runs, sources = _expand(suite, models, datasets, faults) if suite else ([], datasets)
    faults.raise_if_any()
    assert suite is not None
    return Plan(suite, path, tuple(runs), tuple(datasets), tuple(sources), tuple(costs))


def _suite(document: Document, faults: Faults) -> Suite | None:
    if not isinstance(document.value, dict):
        faults.add((), "expected a mapping with datasets, models and train")
        return None
    return parse(Suite, {"name": document.path.stem, **document.value}, faults)


def _check_labels(
    models: Sequence[SuiteModel], datasets: Sequence[SuiteDataset], faults: Faults
) -> None:
    for key, items in (("models", models), ("datasets", datasets)):
        seen: set[str] = set()
        for item in items:
            if item.label in seen:
                text = f"'{item.label}' is in the table already; give it a 'label'"
                faults.add((key, item.index), text)
            seen.add(item.label)


def _check_exclusions(
    suite: Suite, models: Sequence[SuiteModel], datasets: Sequence[SuiteDataset], faults: Faults
) -> None:
    for index, exclusion in enumerate(suite.exclude):
        place: Where = ("exclude", index)
        for key, items in (("model", models), ("dataset", datasets)):
            name = getattr(exclusion, key)
            names = {text for item in items for text in (item.name, item.label)}
            if name is not None and name not in names:
                faults.add((*place, key), f"the suite has no {key} '{name}'{nearest(name, names)}")
        if exclusion.seed is not None and exclusion.seed not in suite.seeds:
            faults.add((*place, "seed"), f"the suite has no seed {exclusion.seed}")
        if exclusion == Exclusion():
            faults.add(place, "excludes everything; name a model, dataset or seed")


def _expand(
    suite: Suite, models: Sequence[SuiteModel], datasets: Sequence[SuiteDataset], faults: Faults
) -> tuple[list[Run], list[SuiteDataset]]:
    """The runs of every model on every dataset with every seed, less those that are excluded.

    And the datasets, followed by those with training data of a model's own.
    """
    _check_exclusions(suite, models, datasets, faults)
    if (count := len(models) * len(datasets) * len(suite.seeds)) > RUNS:
        faults.add(("models",), f"the suite plans {count:,} runs; at most {RUNS:,}")
        return [], []
    runs: list[Run] = []
    sources = {dataset.label: dataset for dataset in datasets}
    for dataset, model in itertools.product(datasets, models):
        train = _train(suite, model, dataset, faults) if model.trains else None
        slurm = _slurm(suite, model, faults)
        source, data = dataset, suite.models[model.index].train_data
        with faults.at(("models", model.index), key="train_data"):
            source = with_training_data(dataset, data)
        sources[source.label] = source
        for seed in suite.seeds if model.trains else suite.seeds[:1]:
            if not excluded(suite.exclude, model, dataset, seed):
                spec = _spec(suite, model, source, train, seed)
                labels, missing = (model.label, dataset.label), bool(source.files.missing)
                runs.append(Run(spec, *labels, model.weights, slurm, told(data), missing))
    if not runs and not faults:
        faults.add(("exclude",), "every run of the suite is excluded")
    _check_repeats(runs, models, datasets, faults)
    return runs, list(sources.values())


def _spec(
    suite: Suite, model: SuiteModel, dataset: SuiteDataset, train: Train | None, seed: int
) -> RunSpec:
    return RunSpec(
        model=model.name,
        model_version=model.version,
        model_options=model.options,
        dataset=dataset.name,
        dataset_version=dataset.version,
        dataset_options=dataset.options,
        train=train,
        seed=seed if model.trains else 0,
        test_batch=suite.test_batch,
        weights=model.weights_sha256,
        data=dataset.files.content.digest if dataset.files.content else "",
        places=dataset.files.places,
    )


def _train(suite: Suite, model: SuiteModel, dataset: SuiteDataset, faults: Faults) -> Train | None:
    """The suite's settings, overridden by the dataset's and then by the model's."""
    if suite.train is None:
        faults.add((), f"missing key 'train', and {model.label} is trained")
        return None
    of_dataset, of_model = suite.datasets[dataset.index].train, suite.models[model.index].train
    value = {**suite.train.model_dump(), **of_dataset, **of_model}

    def place(key: Where) -> Where:
        if key and key[0] in of_dataset.keys() - of_model.keys():
            return ("datasets", dataset.index, "train", *key)
        return ("models", model.index, "train", *key)

    return parse(Train, value, faults, place)


def _slurm(suite: Suite, model: SuiteModel, faults: Faults) -> Request:
    """The suite's resources, overridden by the model's."""
    overrides = suite.models[model.index].slurm
    value = {**suite.slurm.model_dump(exclude_unset=True), **overrides}
    request = parse(Request, value, faults, lambda key: ("models", model.index, "slurm", *key))
    return request or suite.slurm


def _check_repeats(
    runs: Sequence[Run],
    models: Sequence[SuiteModel],
    datasets: Sequence[SuiteDataset],
    faults: Faults,
) -> None:
    first: dict[str, Run] = {}
    for run in runs:
        twin = first.setdefault(run.spec.key, run)
        if twin.dataset != run.dataset:
            index = next(dataset.index for dataset in datasets if dataset.label == run.dataset)
            text = f"'{run.dataset}' has the same data as '{twin.dataset}', cut alike; drop one"
            faults.add(("datasets", index), text)
        elif twin is not run:
            index = next(model.index for model in models if model.label == run.model)
            text = f"'{run.model}' is the same run as '{twin.model}'; drop one"
            faults.add(("models", index), text)
