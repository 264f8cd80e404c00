"""plan: a suite file to the runs it asks for, every name, option, clip and file checked first."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchbench.errors import nearest
from benchbench.options import plain
from benchbench.suite.document import Where, read
from benchbench.suite.lookup import (
    Contender,
    Source,
    check_executor,
    check_fit,
    check_protocols,
    excluded,
    find_contenders,
    find_sources,
)
from benchbench.suite.resources import Request
from benchbench.suite.schema import (
    Faults,
    ModelEntry,
    Suite,
    Train,
    faulty,
    validate,
    validate_slurm,
    validate_train,
)
from benchbench.suite.spec import RunSpec


@dataclass(frozen=True)
class Run:
    """A run of the suite, with all that the run itself need not know."""

    spec: RunSpec
    model: str
    """Label of the model in tables."""
    dataset: str
    """Label of the dataset in tables."""
    weights: Path | None = None
    slurm: Request = field(default_factory=Request)
    """What it asks of a cluster, the model's overrides applied."""


@dataclass(frozen=True)
class Plan:
    """What a suite asks for, in the suite's order."""

    suite: Suite
    path: Path
    runs: tuple[Run, ...]
    sources: tuple[Source, ...]


def plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """The runs of a suite file.

    Args:
        path: the YAML file.
        overrides: `key=value` texts, as in `train.steps=100`.

    Raises:
        SchemaError: every fault of the file at once, each with its line.
    """
    document = read(path, overrides)
    faults: Faults = []
    suite = validate(document, faults)
    sources = find_sources(document, faults)
    contenders = find_contenders(document, faults)
    check_protocols(document, sources, faults)
    check_executor(document, faults)
    if suite is None:
        check_fit(contenders, sources, None, faults)
        raise faulty(document, faults)
    _check_labels(contenders, sources, faults)
    _check_exclusions(suite, contenders, sources, faults)
    check_fit(contenders, sources, suite, faults)
    runs = _expand(suite, contenders, sources, faults)
    if faults:
        raise faulty(document, faults)
    return Plan(suite, path, tuple(runs), tuple(sources))


def _check_labels(
    contenders: Sequence[Contender], sources: Sequence[Source], faults: Faults
) -> None:
    for kind, rows in (("models", contenders), ("datasets", sources)):
        seen: set[str] = set()
        for row in rows:
            if row.label in seen:
                faults.append(
                    ((kind, row.index), f"'{row.label}' is in the table already; give it a 'label'")
                )
            seen.add(row.label)


def _check_exclusions(
    suite: Suite, contenders: Sequence[Contender], sources: Sequence[Source], faults: Faults
) -> None:
    for index, exclusion in enumerate(suite.exclude):
        place: Where = ("exclude", index)
        for key, rows in (("model", contenders), ("dataset", sources)):
            name = getattr(exclusion, key)
            known = {text for row in rows for text in (row.name, row.label)}
            if name is not None and name not in known:
                hint = nearest(name, known)
                faults.append(((*place, key), f"the suite has no {key} '{name}'{hint}"))
        if exclusion.seed is not None and exclusion.seed not in suite.seeds:
            faults.append(((*place, "seed"), f"the suite has no seed {exclusion.seed}"))
        if exclusion == type(exclusion)():
            faults.append((place, "excludes everything; name a model, dataset or seed"))


def _train(
    suite: Suite, entry: ModelEntry, model: Contender, source: Source, faults: Faults
) -> Train | None:
    place: Where = ("models", model.index, "train")
    overrides = {**suite.datasets[source.index].train, **entry.train}
    if suite.train is None:
        faults.append(((), f"missing key 'train', and {model.label} is trained"))
        return None
    return validate_train({**suite.train.model_dump(), **overrides}, place, faults)


def _expand(
    suite: Suite, contenders: Sequence[Contender], sources: Sequence[Source], faults: Faults
) -> list[Run]:
    runs: list[Run] = []
    for source, model in itertools.product(sources, contenders):
        entry = suite.models[model.index]
        trained = model.trains and model.weights is None
        train = _train(suite, entry, model, source, faults) if trained else None
        where: Where = ("models", model.index, "slurm")
        slurm = validate_slurm(suite, entry.slurm, where, faults)
        for seed in suite.seeds if trained else suite.seeds[:1]:
            if excluded(suite, model, source, seed):
                continue
            spec = RunSpec(
                model=model.name,
                model_version=model.version,
                model_options=model.options,
                dataset=source.name,
                dataset_version=source.version,
                dataset_options=source.options,
                train=plain(train.model_dump()) if train else None,
                seed=seed if trained else 0,
                weights=_digest(model.weights),
            )
            runs.append(Run(spec, model.label, source.label, model.weights, slurm or suite.slurm))
    if not runs and not faults:
        faults.append((("exclude",), "every run of the suite is excluded"))
    _check_repeats(runs, contenders, faults)
    return runs


def _check_repeats(runs: Sequence[Run], contenders: Sequence[Contender], faults: Faults) -> None:
    first: dict[str, Run] = {}
    for run in runs:
        twin = first.setdefault(run.spec.key, run)
        if twin is not run:
            index = next(c.index for c in contenders if c.label == run.model)
            faults.append(
                (("models", index), f"'{run.model}' is the same run as '{twin.model}'; drop one")
            )


def _digest(file: Path | None) -> str | None:
    """The sha256 of a file of imported weights; one that is not there was told already."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else None
