"""Names to factories: the files of `models/` and `datasets/`, the executors, and entry points.

A model is a function `(clip, *, options) -> Predictor` under `@register_model("name")`; a dataset
is a function `(*, options) -> Dataset` under `@register_dataset("name")`, an executor a function
`(plan, terms, *, options) -> Executor` under `@register_executor("name")`. The signature is the
schema of the options, the first docstring line of the module is the citation.

A third-party package adds its own through the entry-point groups `benchbench.models`,
`benchbench.datasets` and `benchbench.executors`; the entry's name is the registered name, its value
the module that registers.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchbench.clip import Clip
from benchbench.errors import SchemaError, UnknownName, nearest

if TYPE_CHECKING:
    from benchbench.dataset import Dataset
    from benchbench.executor import Executor
    from benchbench.predictor import Predictor

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[F]):
    """One registered name."""

    name: str
    build: F
    version: int
    """Raised whenever the same options give other numbers; part of a run's key."""
    trains: bool = True
    """False for models without weights: one seed, no training."""

    @property
    def citation(self) -> str:
        """The first docstring line of the module that registered it."""
        doc = sys.modules[self.build.__module__].__doc__ or ""
        return doc.strip().partition("\n")[0]

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The keyword-only parameters of the builder."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def bind(self, options: dict[str, Any]) -> dict[str, Any]:
        """All the options, checked against the builder's annotations, defaults filled in.

        Raises:
            OptionError: with every fault, keyed by option name.
        """
        from pydantic import ConfigDict, TypeAdapter, ValidationError

        hints = typing.get_type_hints(self.build)
        known = self.options
        faults: dict[str, str] = {}
        bound: dict[str, Any] = {}
        for name in options:
            if name not in known:
                faults[name] = f"'{self.name}' has no option '{name}'{nearest(name, known)}"
        for name, parameter in known.items():
            if name not in options:
                if parameter.default is inspect.Parameter.empty:
                    faults[name] = f"'{self.name}' needs the option '{name}'"
                else:
                    bound[name] = plain(parameter.default)
                continue
            adapter: TypeAdapter[Any] = TypeAdapter(
                hints[name], config=ConfigDict(strict=True, arbitrary_types_allowed=True)
            )
            try:
                bound[name] = plain(adapter.validate_python(options[name]))
            except ValidationError as error:
                faults[name] = complaint(error.errors())
        if faults:
            raise OptionError(faults)
        return bound


class OptionError(SchemaError):
    """Options that do not fit a builder's signature: `faults` maps option to message."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults
        super().__init__("\n".join(f"{name}: {fault}" for name, fault in faults.items()))


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "is_instance_of": "a list",
    "dict_type": "a mapping",
    "none_required": "nothing",
    "literal_error": "one of {expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "finite_number": "a finite number",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "string_pattern_mismatch": "text that matches {pattern}",
    "value_error": "{error}",
}


def complaint(items: Sequence[Any]) -> str:
    """What pydantic's errors on one value expected, and what it was, in a few words of ours."""
    expected = []
    for item in items:
        form = _EXPECTED.get(item["type"])
        text = form.format(**item.get("ctx", {})) if form else item["msg"]
        if text not in expected:
            expected.append(text)
    # a value inside a list is named by its place, from 1; a union's branches have names too
    places = {tuple(part + 1 for part in item["loc"] if isinstance(part, int)) for item in items}
    place = places.pop() if len(places) == 1 else ()
    at = f"item {'.'.join(map(str, place))}: " if place else ""
    return f"{at}expected {' or '.join(expected)}, not {items[0]['input']!r}"


def plain(value: Any) -> Any:
    """The same value as YAML and JSON would give it back: lists for tuples, all the way down."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


@dataclass
class Registry(Generic[F]):
    """Factories by name; the built-in files are imported when their name is first asked for."""

    package: str
    """The entry-point group, and where the built-in files lie: `benchbench.models`."""
    noun: str
    modules: Mapping[str, str] = field(default_factory=dict)
    """Modules of the built-in names, where they have no package to themselves."""
    entries: dict[str, Entry[F]] = field(default_factory=dict)

    def register(self, name: str, *, version: int = 1, trains: bool = True) -> Callable[[F], F]:
        """Decorator that makes the function the factory of `name`.

        Raises:
            SchemaError: the name is taken by another function.
        """

        def decorate(build: F) -> F:
            taken = self.entries.get(name)
            if taken is not None and (taken.build.__module__, taken.build.__qualname__) != (
                build.__module__,
                build.__qualname__,
            ):
                raise SchemaError(
                    f"{self.noun} '{name}' is registered by both {taken.build.__module__} "
                    f"and {build.__module__}; rename one"
                )
            self.entries[name] = Entry(name, build, version, trains)
            return build

        return decorate

    def files(self) -> list[str]:
        """Names of the built-in files, those with a leading underscore left out."""
        if self.modules:
            return sorted(self.modules)
        package = importlib.import_module(self.package)
        return sorted(
            path.stem
            for folder in package.__path__
            for path in Path(folder).glob("*.py")
            if not path.stem.startswith("_")
        )

    def plugins(self) -> dict[str, importlib.metadata.EntryPoint]:
        """Entry points of third-party packages, by name."""
        found: dict[str, importlib.metadata.EntryPoint] = {}
        for point in importlib.metadata.entry_points(group=self.package):
            if point.name in self.files():
                raise SchemaError(
                    f"{self.noun} '{point.name}' of entry point {point.value} is built in; "
                    "rename the entry point"
                )
            other = found.get(point.name)
            if other is not None and other.value != point.value:
                raise SchemaError(
                    f"{self.noun} '{point.name}' is offered by two packages, {other.value} and "
                    f"{point.value}; uninstall or rename one"
                )
            found[point.name] = point
        return found

    def names(self) -> list[str]:
        """Every name that can be asked for; imports no factory."""
        return sorted({*self.files(), *self.plugins(), *self.entries})

    def get(self, name: str) -> Entry[F]:
        """The entry of `name`.

        Raises:
            UnknownName: there is none; the message names the nearest.
        """
        if name not in self.entries:
            if name in self.files():
                importlib.import_module(self.modules.get(name, f"{self.package}.{name}"))
            elif name in (plugins := self.plugins()):
                plugins[name].load()
            else:
                raise UnknownName(f"no {self.noun} '{name}'{nearest(name, self.names())}")
            if name not in self.entries:
                raise SchemaError(
                    f"the module of {self.noun} '{name}' was imported and registered no '{name}'"
                )
        return self.entries[name]


MODELS: Registry[Callable[..., Predictor]] = Registry("benchbench.models", "model")
DATASETS: Registry[Callable[..., Dataset]] = Registry("benchbench.datasets", "dataset")
EXECUTORS: Registry[Callable[..., Executor]] = Registry(
    "benchbench.executors",
    "executor",
    {name: f"benchbench.executor.{name}" for name in ("inline", "local", "slurm")},
)

register_model = MODELS.register
register_dataset = DATASETS.register
register_executor = EXECUTORS.register


def build_model(name: str, clip: Clip, **options: Any) -> Predictor:
    """The predictor of a registered name, options as in its signature.

    Raises:
        UnknownName: no such model.
        OptionError: an option is unknown or of the wrong type.
        Unfit: the model declines the clip.
    """
    entry = MODELS.get(name)
    bound = entry.bind(plain(options))
    predictor = entry.build(clip, **bound)
    predictor.built_as = (name, bound)
    return predictor


def build_dataset(name: str, **options: Any) -> Dataset:
    """The dataset of a registered name, options as in its signature.

    Raises:
        UnknownName: no such dataset.
        OptionError: an option is unknown or of the wrong type.
    """
    entry = DATASETS.get(name)
    return entry.build(**entry.bind(plain(options)))
