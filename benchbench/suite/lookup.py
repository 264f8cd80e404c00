"""What a suite names, looked up: its datasets, models and protocols, with every fault found.

These look-ups go over the document and not the suite, so that they speak even where the schema is
not met, and a person reads all faults at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench import registry
from benchbench.clip import Clip
from benchbench.errors import BenchError, OptionError
from benchbench.suite.document import Document, Where
from benchbench.suite.schema import Faults, Suite

if TYPE_CHECKING:
    from benchbench.dataset import Dataset
    from benchbench.predictor import Predictor


@dataclass(frozen=True)
class Source:
    """One dataset of the suite, ready to be prepared."""

    label: str
    name: str
    version: int
    options: dict[str, Any]
    dataset: Dataset
    index: int

    @property
    def clip(self) -> Clip:
        """The shape of its clips."""
        return self.dataset.clip


@dataclass(frozen=True)
class Contender:
    """One model of the suite, a grid's combinations apart."""

    label: str
    name: str
    version: int
    trains: bool
    options: dict[str, Any]
    index: int
    """Its entry in the suite's `models`."""
    weights: Path | None = None
    """File of imported weights."""


def _entries(document: Document, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """The named entries of a list, whatever else is wrong with the suite."""
    value = document.value.get(kind) if isinstance(document.value, dict) else None
    entries = []
    for index, item in enumerate(value if isinstance(value, list) else []):
        entry = {"name": item} if isinstance(item, str) else item
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            entries.append((index, entry))
    return entries


def _mapping(entry: dict[str, Any], key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _at(place: Where, options: dict[str, Any], error: BenchError) -> tuple[Where, str]:
    """A builder's complaint, at the line of the option it begins with if it names one."""
    name, _, message = str(error).partition(": ")
    if name in options:
        return (*place, "options", name), message
    return place, str(error)


def find_sources(document: Document, faults: Faults) -> list[Source]:
    """The datasets that can be built, what is wrong with the others added to `faults`."""
    sources = []
    for index, raw in _entries(document, "datasets"):
        place: Where = ("datasets", index)
        options = _mapping(raw, "options")
        try:
            entry = registry.DATASETS.get(raw["name"])
            bound = entry.bind(options)
            dataset = entry.build(**bound)
            dataset.check()
        except OptionError as error:
            faults.extend(((*place, "options", name), text) for name, text in error.faults.items())
        except BenchError as error:
            faults.append(_at(place, options, error))
        else:
            label = raw.get("label") or entry.name
            sources.append(Source(label, entry.name, entry.version, bound, dataset, index))
    return sources


def find_contenders(document: Document, faults: Faults) -> list[Contender]:
    """The models whose options bind, what is wrong with the others added to `faults`."""
    contenders = []
    for index, raw in _entries(document, "models"):
        place: Where = ("models", index)
        try:
            entry = registry.MODELS.get(raw["name"])
        except BenchError as error:
            faults.append((place, str(error)))
            continue
        options, grid = _mapping(raw, "options"), _mapping(raw, "grid")
        axes = {name: values for name, values in grid.items() if isinstance(values, list)}
        for name in set(axes) & set(options):
            faults.append(((*place, "grid", name), f"'{name}' is in 'options' too; keep one"))
        for values in itertools.product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            try:
                bound = entry.bind({**options, **point})
            except OptionError as error:
                for name, text in error.faults.items():
                    part = "grid" if name in axes else "options"
                    faults.append(((*place, part, name), text))
                continue
            label = raw.get("label") or entry.name
            if point:
                label += " " + ", ".join(f"{name}={value}" for name, value in point.items())
            file = raw["weights"] if isinstance(raw.get("weights"), str) else ""
            weights = document.path.parent / Path(file).expanduser() if file else None
            contenders.append(
                Contender(label, entry.name, entry.version, entry.trains, bound, index, weights)
            )
    return contenders


def check_protocols(document: Document, sources: Sequence[Source], faults: Faults) -> None:
    """Adds to `faults` the protocols that are unknown or cannot score a dataset's clips."""
    from benchbench import protocols

    value = document.value if isinstance(document.value, dict) else {}
    names = value.get("protocols", ["benchbench"])
    for index, name in enumerate(names if isinstance(names, list) else []):
        if not isinstance(name, str):
            continue
        place: Where = ("protocols", index)
        if name in names[:index]:
            faults.append((place, f"'{name}' is listed twice"))
            continue
        try:
            protocol = protocols.get(name)
        except BenchError as error:
            faults.append((place, str(error)))
            continue
        for source in sources:
            try:
                protocol.check(source.clip)
            except BenchError as error:
                faults.append((place, f"{name} on {source.label}: {error}"))


def check_executor(document: Document, faults: Faults) -> None:
    """Adds to `faults` an executor that is unknown, and options of it that do not bind."""
    value = document.value.get("executor") if isinstance(document.value, dict) else None
    raw = {"name": value} if isinstance(value, str) else value
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
        return
    try:
        registry.EXECUTORS.get(raw["name"]).bind(_mapping(raw, "options"))
    except OptionError as error:
        place: Where = ("executor", "options")
        faults.extend(((*place, name), text) for name, text in error.faults.items())
    except BenchError as error:
        faults.append((("executor",), str(error)))


def excluded(suite: Suite, model: Contender, source: Source, seed: int | None) -> bool:
    """Whether the suite leaves the run out; with seed None, whether it does for every seed."""
    return any(
        exclusion.model in (None, model.name, model.label)
        and exclusion.dataset in (None, source.name, source.label)
        and (exclusion.seed is None or exclusion.seed == seed)
        for exclusion in suite.exclude
    )


def check_fit(
    contenders: Sequence[Contender],
    sources: Sequence[Source],
    suite: Suite | None,
    faults: Faults,
) -> None:
    """Builds every model on torch's meta device, where weights take no memory."""
    for model in contenders:
        for source in sources:
            if suite is not None and excluded(suite, model, source, None):
                continue
            try:
                predictor = _on_meta(model, source.clip)
                if model.weights is not None:
                    from benchbench.weights import files

                    files.load(model.weights).check(predictor)
            except BenchError as error:
                place = ("models", model.index)
                where, text = _at(place, model.options, error)
                faults.append((where, f"{text} ({model.label} on {source.label})"))


def _on_meta(model: Contender, clip: Clip) -> Predictor:
    import torch

    try:
        with torch.device("meta"):
            return registry.build_model(model.name, clip, **model.options)
    except NotImplementedError:  # an initialisation that needs real memory
        return registry.build_model(model.name, clip, **model.options)
