"""Provenance: what a record says of the code and the packages that made its numbers."""

from __future__ import annotations

from pathlib import Path

from benchbench.run import provenance
from benchbench.suite.code import Code


def test_versions_are_of_the_packages_that_compute_scores(tmp_path: Path) -> None:
    versions = provenance.provenance("cpu", tmp_path, Code("a", "b", "c"))["versions"]
    assert versions.keys() >= {"python", "torch", "numpy", "numba", "lpips"}
