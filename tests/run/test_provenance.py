"""Provenance: what a record says of the code and the packages that made its numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import benchbench
from benchbench.run import provenance
from benchbench.run.provenance import digest

ROOT = Path(benchbench.__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources, which the digest is made of."""
    for folder in ("benchbench", "models", "datasets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(benchbench, "__file__", str(tmp_path / "benchbench" / "__init__.py"))
    monkeypatch.setattr(benchbench, "__path__", [str(tmp_path / "benchbench"), str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize(
    "file",
    [
        "benchbench/recurrent.py",
        "benchbench/scoring/planes.py",
        "benchbench/training/trainer.py",
        "models/convlstm.py",
        "datasets/moving_digits.py",
    ],
)
def test_the_digest_changes_with_any_file_that_decides_numbers(checkout: Path, file: str) -> None:
    before = digest()
    with (checkout / file).open("a") as source:
        source.write("\n")
    assert digest() != before


def test_the_digest_does_not_change_with_what_else_lies_in_a_checkout(checkout: Path) -> None:
    before = digest()
    (checkout / "notes.py").write_text("1")
    (checkout / "models" / "notes.md").write_text("1")
    assert digest() == before


def test_a_wheel_and_a_checkout_have_the_same_digest(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest()
    for folder in ("models", "datasets"):
        (checkout / folder).rename(checkout / "benchbench" / folder)
    monkeypatch.setattr(benchbench, "__path__", [str(checkout / "benchbench")])
    assert digest() == before


def test_versions_are_of_the_packages_that_compute_scores(tmp_path: Path) -> None:
    versions = provenance.provenance("cpu", tmp_path)["versions"]
    assert versions.keys() >= {"python", "torch", "numpy", "numba", "lpips"}
