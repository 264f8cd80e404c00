"""Who may import whom (DESIGN section 4), and what the start of `bench` may not load."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "benchbench"
ENGINE = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*ENGINE, *(ROOT / "models").glob("*.py"), *(ROOT / "datasets").glob("*.py")]
HEAVY = {"torch", "pandas", "pyarrow", "skimage", "lpips", "torchvision", "scipy"}

# The root of the package: what authors of models and datasets import, and four small helpers.
AUTHORS_FACE = {"clip", "predictor", "recurrent", "sampling", "dataset", "registry", "errors",
    "options",
}  # fmt: skip
HELPERS = {"atomic", "digest", "folder", "jsonfile"}
# What the files of models/ and datasets/ may use of the engine.
FACE = {"clip", "errors", "options", "predictor", "recurrent", "registry", "sampling"}
MAY = {
    "models": FACE,
    "datasets": {"clip", "errors", "dataset", "options", "registry", "atomic", "folder", "data"},
}
# Each package may import those before it, wherever in the file; the root's files are one.
ORDER = (
    "", "data", "scoring", "protocols", "references", "weights", "suite", "training", "run",
    "comparison", "executor", "report", "cli",
)  # fmt: skip
# Where `bench --help`, a plan, a status or a table goes through: nothing heavy when imported.
LIGHT = (
    "errors", "clip", "dataset", "registry", "sampling", "data", "scoring.protocol",
    "scoring.summary", "references", "suite", "training.events", "run.claim", "run.job",
    "run.provenance", "run.record", "comparison", "executor", "report", "cli",
)  # fmt: skip
# ... but for what only a process that does a run imports.
AT_WORK = {"executor.worker"}


@functools.cache
def imports(path: Path, *, types: bool = False) -> tuple[str, ...]:
    """Names of the modules that a file imports when run, inside functions too; or for `types`."""
    return tuple(_imports(path, types))


def _imports(path: Path, types: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not types
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_engine(path: Path) -> set[str]:
    """First parts below `benchbench` of what a file imports of it."""
    names = (name.split(".") for name in imports(path))
    parts = {parts[1] for parts in names if parts[0] == "benchbench" and len(parts) > 1}
    return {part for part in parts if "_" not in part[:1]}


def name_of(path: Path) -> str:
    """`scoring.rows`; a package's `__init__` has the package's name."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in ENGINE if path.parent != PACKAGE or path.stem[0] != "_"}


def arrows(path: Path, *, types: bool = False) -> set[str]:
    """Modules of the engine that a file imports; a package's `__init__` only if it is named."""
    below = (name.removeprefix("benchbench.") for name in imports(path, types=types))
    return {name for name in below if name in MODULES and name != name_of(path)}


def package(module: str) -> str:
    return module.partition(".")[0] if (PACKAGE / module.partition(".")[0]).is_dir() else ""


@pytest.mark.parametrize("folder", MAY)
def test_models_and_datasets_use_only_what_is_theirs_to_use(folder: str) -> None:
    for path in (ROOT / folder).glob("*.py"):
        assert of_engine(path) <= MAY[folder], path.name


def test_the_engine_knows_no_model_and_no_dataset_by_name() -> None:
    for path in ENGINE:
        assert not of_engine(path) & {"models", "datasets"}, path


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package(module) for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_to_packages_before_ones_own(module: str) -> None:
    place = ORDER.index(package(module))
    above = {to for to in arrows(MODULES[module]) if ORDER.index(package(to)) > place}
    assert not above, f"{module} imports {sorted(above)}"


def test_there_is_no_circle_anywhere_not_even_of_types() -> None:
    graph = {module: arrows(path, types=True) for module, path in MODULES.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises a CycleError that names it


def test_rich_is_in_the_command_line_and_the_terminal_format_only() -> None:
    may = {"terminal.py", "formats.py"}
    for path in ENGINE:
        if path.parent.name != "cli" and path.name not in may:
            assert not any(name.split(".")[0] == "rich" for name in imports(path)), path


def test_help_plans_and_tables_load_nothing_heavy() -> None:
    modules = [name for name in MODULES if any(f"{name}.".startswith(f"{one}.") for one in LIGHT)]
    faces = [name for name in MODULES if (PACKAGE / name / "__init__.py").is_file()]
    light = sorted({*faces, *modules} - AT_WORK)
    datasets = [f"datasets.{path.stem}" for path in (ROOT / "datasets").glob("*.py")]
    lines = "\n".join(f"import benchbench.{name}" for name in [*light, *datasets] if name)
    code = f"import sys\n{lines}\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_the_root_holds_what_authors_import_and_few_helpers() -> None:
    assert {path.stem for path in PACKAGE.glob("[a-z]*.py")} <= AUTHORS_FACE | HELPERS


def test_no_package_has_more_than_a_dozen_files() -> None:
    for name in ORDER[1:]:
        files = [path for path in (PACKAGE / name).glob("*.py") if path.stem != "__init__"]
        assert len(files) <= 12 or name == "protocols", f"{name}: {len(files)} files"


def test_no_file_holds_two_nouns() -> None:
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 300, f"{path}: {len(lines)} lines hold two nouns"


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of code of each function, its docstring apart; not those that say why."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min(part.lineno for part in [node, *node.decorator_list])
        if lines[first - 2].strip().startswith("# Long because "):
            continue
        opening = node.body[0]
        prose = isinstance(opening, ast.Expr) and isinstance(opening.value, ast.Constant)
        docstring = (opening.end_lineno or 0) - opening.lineno + 1 if prose else 0
        yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_no_function_has_more_than_forty_lines() -> None:
    long = {
        f"{path.name}: {name}": count
        for path in SOURCES
        for name, count in functions(path)
        if count > 40
    }
    assert not long


def test_the_folders_of_models_datasets_and_suites_are_no_packages_of_their_own() -> None:
    for folder in ("models", "datasets", "suites"):
        assert not (ROOT / folder / "__init__.py").exists()
