"""Code: digests of what decides a run's numbers, in three parts.

The model's file and what it imports, the dataset's likewise, and the engine's files that compute.
Protocols are in none: what they say stands in the signature of each score, which tables compare.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import benchbench
from benchbench.registry import DATASETS, MODELS, Registry, entry_points
from benchbench.suite.sources import Sources
from benchbench.suite.spec import RunSpec

ENGINE = (
    *("clip", "dataset", "predictor", "recurrent", "sampling"),
    *("run.execute", "run.load", "run.subject", "scoring", "training"),
)
"""Modules and packages of the engine that every run computes with."""
READERS = "weights"
"""What reads imported weights."""
FAMILIES = ("benchbench.models", "benchbench.datasets", "benchbench.data")
"""Packages of ours whose files are part of the model or dataset that imports them."""


@dataclass(frozen=True)
class Code:
    """The code of one run, 12 hex digits a part."""

    model: str
    dataset: str
    engine: str

    @classmethod
    def from_dict(cls, value: Any) -> Code | None:
        """The code in plain values; None where they tell of none."""
        names = [field.name for field in fields(cls)]
        if not isinstance(value, dict) or not all(isinstance(value.get(n), str) for n in names):
            return None
        return cls(**{name: value[name] for name in names})

    def to_dict(self) -> dict[str, str]:
        """Plain values, as in a record."""
        return asdict(self)

    def differences(self, other: Code) -> tuple[str, ...]:
        """Names of the parts in which another code differs."""
        theirs = asdict(other)
        return tuple(part for part, digest in asdict(self).items() if theirs[part] != digest)


def code_of(spec: RunSpec) -> Code:
    """The code of a run as it lies on the disk now; raises as `codes_of`."""
    return codes_of([spec])[spec.key]


def codes_of(specs: Iterable[RunSpec]) -> dict[str, Code]:
    """The code of runs as it lies on the disk now, by key.

    Raises:
        UnknownName: there is no such model or dataset.
    """
    sources = Sources()

    @functools.cache
    def part(registry_name: str, name: str) -> str:
        registry: Registry[Any] = MODELS if registry_name == "model" else DATASETS
        return digest(closure(registry, name, sources), sources)

    @functools.cache
    def engine(imported: bool) -> str:
        return digest(_engine(imported), sources)

    codes = {
        spec.key: Code(
            part("model", spec.model),
            part("dataset", spec.dataset),
            engine(spec.weights is not None),
        )
        for spec in specs
    }
    sources.store()
    return codes


def digest(files: Mapping[str, Path], sources: Sources) -> str:
    """12 hex digits of what counts of files by name, wherever they lie."""
    text = "".join(f"{name} {sources[path].digest}\n" for name, path in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _engine(imported: bool) -> dict[str, Path]:
    """Files of the engine that compute, by their place in the package."""
    root, files = Path(benchbench.__file__).parent, {}
    for name in (*ENGINE, READERS) if imported else ENGINE:
        path = root.joinpath(*name.split("."))
        parts = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        files.update({part.relative_to(root).as_posix(): part for part in parts})
    return files


def closure(registry: Registry[Any], name: str, sources: Sources) -> dict[str, Path]:
    """Modules to files: the one that registers a name, and all that it imports.

    Followed are imports of its own package and of our models, datasets and data.

    Raises:
        UnknownName: there is no such name.
        SchemaError: two modules offer it.
    """
    files: dict[str, Path] = {}
    waiting = [registry.module(name)]
    inside = {*FAMILIES, *_companions(registry.package, name, waiting[0].partition(".")[0])}
    while waiting:
        module = waiting.pop()
        path = _file(module) if _within(module, inside) and module not in files else None
        if path is None:
            continue
        files[module] = path
        parent = module.rpartition(".")[0]
        package = module if path.name == "__init__.py" else parent
        # to import a module is to import the packages that it lies in
        waiting += [parent, *(_absolute(each, package) for each in sources[path].imports)]
    return files


def _within(module: str, packages: Iterable[str]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in packages)


def _companions(group: str, name: str, top: str) -> set[str]:
    """First names of the modules that are installed along with one of another package."""
    if top == "benchbench" or (path := _file(top)) is None:
        return set()
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    if folder.name not in ("site-packages", "dist-packages"):
        return {each.stem for each in folder.iterdir()}
    lists = (p.dist.files for p in entry_points(group) if p.name == name and p.dist)
    return {top, *(file.parts[0].removesuffix(".py") for files in lists for file in files or ())}


def _absolute(name: str, package: str) -> str:
    """The whole name of a module that is named as from inside a package, `..blocks`."""
    below = name.lstrip(".")
    if below == name:
        return name
    above = package.split(".")
    above = above[: len(above) + 1 - (len(name) - len(below))]
    return ".".join([*above, *filter(None, [below])])


def _file(module: str) -> Path | None:
    """The Python file of a module, found without importing any; None where there is none."""
    top, *rest = module.split(".")
    for root in benchbench.__path__ if top == "benchbench" else _roots(top):
        path = Path(root, *rest)
        for file in (path, path.parent / f"{path.name}.py", path / "__init__.py"):
            if file.suffix == ".py" and file.is_file():
                return file
    return None


def _roots(top: str) -> Iterable[str]:
    """The folders of a package, or the file of a module."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    return spec.submodule_search_locations or filter(None, [spec.origin])
