"""What pyproject.toml installs is what is there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

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


def test_what_is_imported_is_declared() -> None:
    declared = {
        re.split(r"[>=<\[ ]", text)[0].lower() for text in PROJECT["project"]["dependencies"]
    }
    names = {"yaml": "pyyaml", "skimage": "scikit-image", "PIL": "pillow"}
    used = set()
    for folder in ("benchbench", "models", "datasets"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            used |= set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.M))
    outside = used - set(sys.stdlib_module_names) - {"benchbench", "__future__"}
    # words at the head of a docstring's line look like imports too: only real modules count
    real = {name for name in outside if importlib.util.find_spec(name) is not None}
    assert {names.get(name, name) for name in real} <= declared


def test_the_command_and_the_version_are_declared() -> None:
    assert PROJECT["project"]["scripts"] == {"bench": "benchbench.cli:main"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["project"]["version"])
