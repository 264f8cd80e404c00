"""Documents: YAML 1.2's scalars, lines, overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import SchemaError
from benchbench.suite.document import read

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("10:30", "10:30"),
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("50_000", 50_000),
        ("010", 10),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("~", None),
        ("'1'", "1"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(write_suite: Write, text: str, value: object) -> None:
    read_back = read(write_suite(f"a: {text}\n")).value["a"]
    assert read_back == value
    assert type(read_back) is type(value)


def test_a_key_named_on_stays_text(write_suite: Write) -> None:
    assert read(write_suite("on: 1\n")).value == {"on": 1}


def test_every_value_knows_its_line(write_suite: Write) -> None:
    document = read(write_suite("a:\n  - 1\n  - b: 2\n"))
    assert document.lines[("a", 0)] == 2
    assert document.lines[("a", 1, "b")] == 3
    assert document.locate(("a", 1, "b", "missing")) == "line 3, a.1.b.missing"


def test_anchors_and_merges_work(write_suite: Write) -> None:
    text = "base: &base {x: 1, y: 2}\nmore:\n  <<: *base\n  y: 3\n"
    assert read(write_suite(text)).value["more"] == {"x": 1, "y": 3}


def test_a_key_given_twice_is_refused_with_both_lines(write_suite: Write) -> None:
    with pytest.raises(SchemaError, match=r"line 3: 'a' is already on line 1"):
        read(write_suite("a: 1\nb: 2\na: 3\n"))


def test_a_syntax_error_names_its_line(write_suite: Write) -> None:
    with pytest.raises(SchemaError, match=r"tiny\.yaml: line 2: not YAML"):
        read(write_suite("a: [1\nb: {"))


def test_no_python_object_is_ever_constructed(write_suite: Write) -> None:
    with pytest.raises(SchemaError, match="not YAML"):
        read(write_suite("a: !!python/object/apply:os.system ['true']\n"))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"nope\.yaml: no such file"):
        read(tmp_path / "nope.yaml")


def test_overrides_reach_into_mappings_and_lists(write_suite: Write) -> None:
    path = write_suite("a: {b: 1}\nc: [{d: 1}]\n")
    document = read(path, ["a.b=[1, 2]", "c.0.d=1e-3", "a.new.deep=x"])
    assert document.value == {"a": {"b": [1, 2], "new": {"deep": "x"}}, "c": [{"d": 0.001}]}


@pytest.mark.parametrize("override", ["a.b", "=3", "c.7.d=1", "a.b.c=1"])
def test_an_override_that_fits_nowhere_is_refused(write_suite: Write, override: str) -> None:
    with pytest.raises(SchemaError, match=override.partition("=")[0] or "="):
        read(write_suite("a: {b: 1}\nc: [{d: 1}]\n"), [override])
