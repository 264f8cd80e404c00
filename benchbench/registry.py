"""Names to builders: the files of `models/` and `datasets/`, the executors, and entry points.

A model is a function `(clip, *, options) -> Predictor` under `@register_model("name")`; a dataset
is a function `(*, options) -> Dataset`, or a keyword-only dataclass whose fields are the options,
under `@register_dataset("name")`, an executor a function
`(plan, terms, *, options) -> Executor` under `@register_executor("name")`. The signature is the
schema of the options, the first docstring line of the module is the citation.

A third-party package adds its own through the entry-point groups `benchbench.models`,
`benchbench.datasets` and `benchbench.executors`; the entry's name is the registered name, its value
the module that registers.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchbench.clip import Clip
from benchbench.errors import BenchError, SchemaError, Unfit, UnknownName, located, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from benchbench.dataset import Dataset
    from benchbench.predictor import Predictor

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[F]):
    """A registered builder; `build` takes bound options as they are."""

    name: str
    build: F
    version: int
    """Raised whenever the same options give other numbers; part of a run's key."""
    trains: bool = True
    """False for models without weights: one seed, no training."""

    @property
    def file(self) -> str:
        """The file that holds the builder."""
        return inspect.getfile(self.build)

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The keyword-only parameters of the builder."""
        from benchbench.options import parameters

        return parameters(self.build)

    def bind(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All the options, checked against the builder's annotations, defaults filled in.

        Raises:
            OptionError: with every fault, by option.
        """
        from benchbench.options import bind

        return bind(self.name, self.build, options)


@dataclass
class Registry(Generic[F]):
    """Builders by name; a module is imported when its name is first asked for."""

    package: str
    """The entry-point group, and where the built-in files lie: `benchbench.models`."""
    noun: str
    modules: Mapping[str, str] = field(default_factory=dict)
    """Modules of the built-in names, where they have no package to themselves."""
    entries: dict[str, Entry[F]] = field(default_factory=dict)

    def register(self, name: str, *, version: int = 1, trains: bool = True) -> Callable[[F], F]:
        """Decorator that makes a function the builder of `name`.

        Raises:
            SchemaError: the name is taken by another function.
        """

        def decorate(build: F) -> F:
            taken = self.entries[name].build if name in self.entries else build
            if (taken.__module__, taken.__qualname__) != (build.__module__, build.__qualname__):
                raise SchemaError(
                    f"{self.noun} '{name}' is registered by both {taken.__module__} "
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

    def names(self) -> list[str]:
        """Every name that can be asked for; imports no builder."""
        points = entry_points(self.package)
        return sorted({*self.files(), *(point.name for point in points), *self.entries})

    def get(self, name: str) -> Entry[F]:
        """The entry of `name`, its module imported.

        Raises:
            UnknownName: there is none; the message names the nearest.
            SchemaError: two modules offer it, or its module cannot be imported or lacks it.
        """
        if name not in self.entries:
            module = self.module(name)
            try:
                importlib.import_module(module)
            except BenchError:
                raise
            except Exception as error:
                self.entries.pop(name, None)  # what a module registers before it fails
                where = located(error, _origin(module))
                raise SchemaError(f"{self.noun} '{name}' cannot be imported; {where}") from error
            if name not in self.entries:
                raise SchemaError(
                    f"the module of {self.noun} '{name}' was imported and registered no '{name}'"
                )
        return self.entries[name]

    def path(self, name: str) -> Path | None:
        """The file that registers `name`, not imported; None where it is none.

        Raises:
            UnknownName: there is no such name.
            SchemaError: two modules offer it.
        """
        origin = self.entries[name].file if name in self.entries else _origin(self.module(name))
        return Path(origin) if origin and Path(origin).is_file() else None

    def citation(self, name: str) -> str:
        """The first docstring line of the file that registers `name`, which is not imported.

        Raises:
            UnknownName: there is no such name.
            SchemaError: two modules offer it, or its file is not Python.
        """
        path = self.path(name)
        try:
            text = ast.get_docstring(ast.parse(path.read_bytes(), str(path))) if path else ""
        except SyntaxError as error:
            raise SchemaError(f"{self.noun} '{name}' cannot be read; {located(error)}") from error
        return (text or "").partition("\n")[0]

    def module(self, name: str) -> str:
        """The one module that offers `name`; raises as `path`."""
        points = entry_points(self.package)
        modules = sorted({point.module for point in points if point.name == name})
        if name in self.files():
            modules.insert(0, self.modules.get(name, f"{self.package}.{name}"))
        if not modules and name in self.entries:
            return self.entries[name].build.__module__
        if not modules:
            raise UnknownName(f"no {self.noun} '{name}'{nearest(name, self.names())}")
        if len(modules) > 1:
            raise SchemaError(
                f"{self.noun} '{name}' is offered by {' and '.join(modules)}; "
                "rename or uninstall one"
            )
        return modules[0]


class Offers(Mapping[str, T]):
    """Values by name: ours, and under other names those of entry points, loaded when asked for.

    Args:
        group: the entry-point group, as `benchbench.formats`.
        kind: what every value is.
        ours: those that come along.
    """

    def __init__(self, group: str, kind: type[T], ours: Mapping[str, T]) -> None:
        self.group, self.kind, self.ours = group, kind, ours
        self.loaded = dict(ours)

    def __iter__(self) -> Iterator[str]:
        theirs = {point.name for point in entry_points(self.group)}
        return iter([*self.ours, *sorted(theirs - self.ours.keys())])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> T:
        """The value of a name.

        Raises:
            UnknownName: there is none; the message names the nearest.
            SchemaError: what a package offers cannot be imported or is of another kind.
        """
        if name not in self.loaded:
            noun, points = self.kind.__name__.lower(), entry_points(self.group)
            if name not in points.names:
                raise UnknownName(f"no {noun} '{name}'{nearest(name, self)}")
            value = load(points[name], noun)
            if not isinstance(value, self.kind):
                where = points[name].value
                raise SchemaError(f"{noun} '{name}': {where} is not a `{self.kind.__name__}`")
            self.loaded[name] = value
        return self.loaded[name]


def entry_points(group: str) -> EntryPoints:
    """What installed packages offer to a group."""
    from importlib import metadata  # here, because it takes longer than the rest of `bench --help`

    return metadata.entry_points(group=group)


def load(point: EntryPoint, noun: str) -> Any:
    """What an entry point offers.

    Raises:
        SchemaError: it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:
        where = located(error, _origin(point.module))
        raise SchemaError(f"{noun} '{point.name}' cannot be imported; {where}") from error


def _origin(module: str) -> str | None:
    """The file of a module that need not be imported; None where it cannot be told."""
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # of a package above it
        return None
    return spec.origin if spec else None


MODELS: Registry[Callable[..., Predictor]] = Registry("benchbench.models", "model")
DATASETS: Registry[Callable[..., Dataset]] = Registry("benchbench.datasets", "dataset")
EXECUTORS: Registry[Callable[..., Any]] = Registry(
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
    return build_bound(name, clip, MODELS.get(name).bind(options))


def build_bound(name: str, clip: Clip, options: dict[str, Any]) -> Predictor:
    """The predictor of a registered name, its options bound already; raises as `build_model`."""
    from benchbench.predictor import Built

    predictor = MODELS.get(name).build(clip, **options)
    if clip.aside and not predictor.looks_back:
        raise Unfit(
            f"{name} reads frames that follow each other, not those of other days, weeks or "
            "factors; leave the dataset's options for them out"
        )
    predictor.built_as = Built(name, options)
    return predictor


def build_dataset(name: str, **options: Any) -> Dataset:
    """The dataset of a registered name, options as in its signature.

    Raises:
        UnknownName: no such dataset.
        OptionError: an option is unknown or of the wrong type.
    """
    entry = DATASETS.get(name)
    return entry.build(**entry.bind(options))
