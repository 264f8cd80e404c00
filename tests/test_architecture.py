"""Who may import whom (DESIGN section 4), and what the start of `bench` may not load."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = sorted((ROOT / "benchbench").rglob("*.py"))
HEAVY = {"torch", "pandas", "pyarrow", "skimage", "sklearn", "lpips", "matplotlib", "torchvision"}

# What the files of models/ and datasets/ may use of the engine.
MODELS_MAY = {"clip", "errors", "predictor", "recurrent", "registry", "sampling"}
DATASETS_MAY = {
    "atomic", "clip", "dataset", "download", "errors", "folder", "passport", "registry",
}  # fmt: skip
# Modules that `bench --help`, a plan or a table go through: nothing heavy when imported.
LIGHT = [
    "catalogue", "claim", "clip", "document", "errors", "leaderboard", "plan", "protocol",
    "record", "registry", "resources", "spec", "suite", "summary", "table",
]  # fmt: skip
# The lower of each pair never imports the higher, wherever in the file.
BELOW = {
    "clip": {"registry", "predictor", "dataset", "plan", "run", "train"},
    "errors": {"clip", "registry", "document", "plan"},
    "document": {"suite", "plan", "registry"},
    "spec": {"plan", "record", "run", "registry"},
    "metrics": {"scoring", "evaluate", "run", "protocols", "record", "plan"},
    "predictor": {"recurrent", "train", "run", "plan", "suite"},
    "recurrent": {"train", "run", "plan", "suite"},
    "sampling": {"predictor", "train", "suite"},
    "registry": {"suite", "plan", "catalogue", "run", "train", "record"},
    "suite": {"plan", "record", "run", "train", "executor", "cli", "table"},
    "record": {"plan", "run", "train", "table", "executor", "cli"},
    "train": {"run", "plan", "record", "executor", "cli", "table"},
    "evaluate": {"run", "plan", "record", "train", "executor", "cli", "table"},
    "run": {"executor", "cli", "table"},
    "table": {"leaderboard", "run", "train", "executor", "cli"},
    "leaderboard": {"plan", "record", "run", "train", "executor", "cli"},
    "executor": {"cli", "table"},
}


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Names of the modules that a file imports when run, inside functions too."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
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
    known = {p.stem for p in (ROOT / "benchbench").iterdir()}
    names = (name.split(".") for name in imports(path))
    return {parts[1] for parts in names if parts[0] == "benchbench" and len(parts) > 1} & {
        *known, "models", "datasets", "suites",
    }  # fmt: skip


@pytest.mark.parametrize(("folder", "may"), [("models", MODELS_MAY), ("datasets", DATASETS_MAY)])
def test_models_and_datasets_use_only_what_is_theirs_to_use(folder: str, may: set[str]) -> None:
    for path in (ROOT / folder).glob("*.py"):
        assert of_engine(path) <= may, path.name


def test_the_engine_knows_no_model_and_no_dataset_by_name() -> None:
    for path in ENGINE:
        assert not of_engine(path) & {"models", "datasets"}, path


@pytest.mark.parametrize("lower", BELOW)
def test_arrows_point_downwards(lower: str) -> None:
    place = ROOT / "benchbench" / lower
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    for path in files:
        assert not of_engine(path) & BELOW[lower], path


def test_rich_is_in_the_command_line_and_the_progress_display_only() -> None:
    may = {"progress.py", "table.py"}
    for path in ENGINE:
        if path.parent.name != "cli" and path.name not in may:
            assert not any(name.split(".")[0] == "rich" for name in imports(path)), path


def test_help_and_tables_load_nothing_heavy() -> None:
    modules = ", ".join(f"benchbench.{name}" for name in [*LIGHT, "cli", "executor"])
    code = f"import sys, {modules}; print(sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_files_and_lines_stay_readable() -> None:
    for path in [*ENGINE, *(ROOT / "models").glob("*.py"), *(ROOT / "datasets").glob("*.py")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 300, f"{path}: {len(lines)} lines hold two nouns"


def test_the_folders_of_models_datasets_and_suites_are_no_packages_of_their_own() -> None:
    for folder in ("models", "datasets", "suites"):
        assert not (ROOT / folder / "__init__.py").exists()
