"""What pyproject.toml installs is what is there."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchbench
from benchbench.cli import app

tomllib = pytest.importorskip("tomllib")
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_of_the_engine_is_installed() -> None:
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "benchbench").rglob("__init__.py")
    }
    mapped = {"benchbench.models", "benchbench.datasets", "benchbench.suites"}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == there | mapped


def test_every_data_file_of_a_package_is_installed() -> None:
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        folder = ROOT / folders.get(package, package.replace(".", "/"))
        installed = {p for pattern in data.get(package, []) for p in folder.glob(pattern)}
        others = {p for p in folder.iterdir() if p.is_file() and p.suffix not in (".py", ".pyc")}
        assert others == installed, package


MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage"}
MODULES |= {"typing-extensions": "typing_extensions"}
"""Distributions whose module has another name."""
NOT_IMPORTED = {
    "scikit-image": "the tests compare our SSIM and PSNR with its",
    "torchvision": "lpips imports it, and accepts versions that do not fit our torch",
}


def imported(*folders: str) -> set[str]:
    """Modules that the files of folders import and that are neither Python's nor ours."""
    names: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"benchbench"}


def declared(texts: list[str]) -> set[str]:
    """Distributions of requirements, without their bounds."""
    return {re.split(r"[>=<\[ ]", text)[0].lower() for text in texts}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    needed = declared(PROJECT["project"]["dependencies"]) - set(NOT_IMPORTED)
    modules = {MODULES.get(name, name) for name in needed}
    assert imported("benchbench", "models", "datasets") == modules


def test_what_only_the_tests_import_is_declared_too() -> None:
    dev = PROJECT["project"]["optional-dependencies"]["dev"]
    names = declared([*PROJECT["project"]["dependencies"], *dev])
    assert imported("tests") <= {MODULES.get(name, name) for name in names}
    assert {MODULES.get(name, name) for name in NOT_IMPORTED} <= imported("tests")


def test_the_installed_command_prints_the_version_of_the_project() -> None:
    (command,) = PROJECT["project"]["scripts"].items()
    name, _, target = command[1].partition(":")
    assert command[0] == "bench"
    assert callable(getattr(importlib.import_module(name), target))
    answer = CliRunner().invoke(app, ["--version"])
    installed = importlib.metadata.version("benchbench")
    assert answer.output == f"benchbench {installed}\n"
    assert installed == PROJECT["project"]["version"]


def test_the_version_is_told_of_a_checkout_that_was_never_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert benchbench.__version__ == "0+unknown"
    with pytest.raises(AttributeError, match="no attribute 'verison'"):
        benchbench.verison  # type: ignore[attr-defined]  # noqa: B018
