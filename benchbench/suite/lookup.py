"""What a suite names, looked up: its datasets, models, protocols and executor.

These look-ups go over the document and not the suite, so that they speak even where the schema is
not met, and a person reads all faults at once.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from benchbench import registry
from benchbench.clip import Clip
from benchbench.data.content import Inventory, beside, inventory
from benchbench.digest import file_digest
from benchbench.errors import BenchError, OptionError, Unfit, located
from benchbench.folder import from_home
from benchbench.registry import Entry, Registry
from benchbench.suite.document import Document, Where
from benchbench.suite.faults import Faults
from benchbench.suite.fits import Fits
from benchbench.suite.schema import Exclusion, Suite
from benchbench.suite.section import listed, named

if TYPE_CHECKING:
    from benchbench.dataset import Dataset

GRID = 1_000
"""Most models of one grid."""


@dataclass(frozen=True)
class Row:
    """A dataset or model of the suite, its options bound."""

    label: str
    name: str
    """The registered name."""
    version: int
    """The registered builder's."""
    options: dict[str, Any]
    index: int
    """Its place in the suite's `datasets` or `models`."""


@dataclass(frozen=True)
class SuiteDataset(Row):
    """A dataset of the suite, ready to be prepared."""

    dataset: Dataset
    folder: Path
    """The suite's, where places that its options name are looked for first."""
    files: Inventory
    """What there is of the files that it reads."""

    @property
    def clip(self) -> Clip:
        """The shape of its clips."""
        return self.dataset.clip


@dataclass(frozen=True)
class SuiteModel(Row):
    """A model of the suite, a grid's combinations apart."""

    trains: bool
    """Whether its weights are to be learnt."""
    weights: Path | None = None
    """File of imported weights."""
    weights_sha256: str | None = None
    """Digest of that file; None where there is none."""


def find_datasets(document: Document, faults: Faults) -> list[SuiteDataset]:
    """The datasets that can be built, what is wrong with the others added to `faults`."""
    datasets, folder = [], document.path.parent
    for index, item in _items(document, "datasets"):
        with faults.at(("datasets", index)):
            entry = registry.DATASETS.get(item["name"])
            options = _mapping(item, "options")
            datasets.append(_dataset(_label(item), entry, options, index, folder))
    return datasets


def _dataset(
    label: str, entry: Entry[Any], options: dict[str, Any], index: int, folder: Path
) -> SuiteDataset:
    """A dataset; a place that an option names is looked for below `folder`, the suite's, first."""
    bound = entry.bind(beside(entry, options, folder))
    with _builder(registry.DATASETS, entry.name):
        dataset = entry.build(**bound)
        files = inventory(entry, bound, dataset, folder)
    return SuiteDataset(label, entry.name, entry.version, bound, index, dataset, folder, files)


def with_training_data(dataset: SuiteDataset, changes: dict[str, Any]) -> SuiteDataset:
    """A dataset whose training clips are others; the test clips are the same.

    Raises:
        OptionError: an option changes more than training and validation clips.
    """
    if not changes:
        return dataset
    allowed = dataset.dataset.training_options
    expected = f"expected only {', '.join(allowed)}" if allowed else "expected nothing"
    text = f"{expected} for {dataset.name}: a table is of one test set"
    if others := changes.keys() - set(allowed):
        raise OptionError(dict.fromkeys(others, text))
    label = f"{dataset.label} ({told(changes)})"
    options = {**dataset.options, **changes}
    entry = registry.DATASETS.get(dataset.name)
    return _dataset(label, entry, options, dataset.index, dataset.folder)


def told(options: dict[str, Any]) -> str:
    """Options in one line, as in a label."""
    return ", ".join(f"{key}: {value}" for key, value in options.items())


def find_models(document: Document, faults: Faults, fits: Fits) -> list[SuiteModel]:
    """The models whose options bind, what is wrong with the others added to `faults`."""
    models = []
    for index, item in _items(document, "models"):
        place: Where = ("models", index)
        with faults.at(place):
            name = item["name"]
            registry.MODELS.module(name)  # raises where there is none
            with _builder(registry.MODELS, name):
                weights, digest = _weights(document, item)
            for point in _grid(item, place, faults):
                with faults.at(place):
                    bound = fits.bind(name, {**_mapping(item, "options"), **point})
                    combination = ", ".join(f"{key}={value}" for key, value in point.items())
                    label = f"{_label(item)} {combination}".rstrip()
                    row = (label, name, bound.version, bound.options, index)
                    trains = bound.trains and weights is None
                    models.append(SuiteModel(*row, trains, weights, digest))
    return models


def model_names(document: Document) -> list[str]:
    """The registered names of a suite's models, whether they exist or not."""
    return [item["name"] for _, item in _items(document, "models")]


def _weights(document: Document, item: dict[str, Any]) -> tuple[Path | None, str | None]:
    """A model's file of imported weights and its digest, as far as there are any."""
    name = item.get("weights")
    if not _is_text(name):
        return None, None
    file = document.path.parent / from_home(name)
    return file, file_digest(file) if file.is_file() else None


def _grid(item: dict[str, Any], place: Where, faults: Faults) -> Iterator[dict[str, Any]]:
    """The combinations of a model's grid; one without options where it has none."""
    axes = {key: listed(values) or [] for key, values in _mapping(item, "grid").items()}
    for key in axes.keys() & _mapping(item, "options").keys():
        faults.add((*place, "grid", key), f"'{key}' is in 'options' too; keep one")
    if (models := math.prod(map(len, axes.values()))) > GRID:
        faults.add((*place, "grid"), f"a grid of {models:,} models; at most {GRID:,}")
        return
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def check_protocols(document: Document, datasets: Sequence[SuiteDataset], faults: Faults) -> None:
    """Adds to `faults` the protocols that are unknown or cannot score a dataset's clips."""
    from benchbench import protocols

    seen: set[str] = set()
    for index, name in enumerate(_list(document, "protocols")):
        place: Where = ("protocols", index)
        if not isinstance(name, str):
            continue
        if name in seen:
            faults.add(place, f"'{name}' is listed twice")
            continue
        seen.add(name)
        with faults.at(place):
            protocol = protocols.get(name)
            for dataset in datasets:
                with faults.at(place, f"{name} on {dataset.label}"):
                    protocol.check(dataset.clip)


def check_rank(suite: Suite, faults: Faults) -> None:
    """Adds to `faults` a metric to rank by that the first protocol has not."""
    from benchbench import protocols

    first = suite.protocols[0]
    if suite.rank_by is not None and first in protocols.names():
        with faults.at(("rank_by",)):
            protocols.get(first)[suite.rank_by]


def check_executor(document: Document, faults: Faults) -> None:
    """Adds to `faults` an executor that is unknown, and options of it that do not bind."""
    for _, item in _items(document, "executor"):
        with faults.at(("executor",)):
            registry.EXECUTORS.get(item["name"]).bind(_mapping(item, "options"))


def excluded(
    exclusions: Sequence[Exclusion], model: SuiteModel, dataset: SuiteDataset, seed: int | None
) -> bool:
    """Whether the suite leaves the run out; with seed None, whether it does for every seed."""
    return any(
        exclusion.model in (None, model.name, model.label)
        and exclusion.dataset in (None, dataset.name, dataset.label)
        and (exclusion.seed is None or exclusion.seed == seed)
        for exclusion in exclusions
    )


def check_fit(
    models: Sequence[SuiteModel],
    datasets: Sequence[SuiteDataset],
    exclusions: Sequence[Exclusion],
    faults: Faults,
    fits: Fits,
) -> list[str]:
    """Asks every model whether it fits the clips; what costs much."""
    costs = []
    for model, dataset in itertools.product(models, datasets):
        if excluded(exclusions, model, dataset, None):
            continue
        place: Where = ("models", model.index)
        with (
            faults.at(place, f"{model.label} on {dataset.label}"),
            _builder(registry.MODELS, model.name),
        ):
            imported = (model.weights, model.weights_sha256)
            if cost := fits.cost(model.name, model.options, dataset.clip, *imported):
                costs.append(f"{model.label} on {dataset.label}: {cost}")
    return costs


@contextlib.contextmanager
def _builder(builders: Registry[Any], name: str) -> Iterator[None]:
    """Turns what a builder did not foresee into an error that names its file and line."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        where = located(error, str(builders.path(name)))
        raise Unfit(f"'{name}' cannot be built; {where}") from error


def _list(document: Document, key: str) -> list[Any]:
    value = document.value.get(key) if isinstance(document.value, dict) else None
    return listed(value) or []


def _items(document: Document, key: str) -> list[tuple[int, dict[str, Any]]]:
    """The named entries of a list with their places, whatever else is wrong with the suite."""
    items = ((index, named(item)) for index, item in enumerate(_list(document, key)))
    return [(i, item) for i, item in items if isinstance(item, dict) and _is_text(item.get("name"))]


def _label(item: dict[str, Any]) -> str:
    label = item.get("label")
    return label if _is_text(label) else str(item["name"])


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _mapping(item: dict[str, Any], key: str) -> dict[str, Any]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}
