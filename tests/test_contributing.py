"""The ways that CONTRIBUTING tells are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WAYS = re.findall(r"^## (The way of .*?)\n(.*?)(?=^## )", TEXT, re.M | re.S)


def names_in(path: Path) -> set[str]:
    """`f`, `Class`, `Class.method` and `Class.field` of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef):
                names.add(f"{node.name}.{inner.name}")
            elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                names.add(f"{node.name}.{inner.target.id}")
    return names


@pytest.mark.parametrize(("title", "way"), WAYS, ids=[title for title, _ in WAYS])
def test_a_way_has_at_most_six_steps_and_each_is_where_it_says(title: str, way: str) -> None:
    steps = re.findall(r"^\d\. (.*?)(?=^\d\. |^$)", way, re.M | re.S)
    assert 2 <= len(steps) <= 6, title
    for step in steps:
        place = re.match(r"`([\w/]+\.py)`(?:, `([\w.]+)`)?:", step)
        assert place, f"{step!r} begins with no file"
        path = ROOT / "benchbench" / place[1]
        assert path.is_file(), path
        assert place[2] is None or place[2] in names_in(path), f"{place[2]} is not in {place[1]}"


def test_both_ways_are_told() -> None:
    assert [title for title, _ in WAYS] == [
        "The way of a parameter, from the suite to the optimiser",
        "The way of a score, from a tensor to a cell of the table",
    ]


def test_every_package_of_the_engine_is_introduced() -> None:
    packages = {path.parent.name for path in (ROOT / "benchbench").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^\| `benchbench/(\w+)/` \|", TEXT, re.M))
