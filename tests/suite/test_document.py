"""Documents: YAML 1.2's scalars, lines, overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import SchemaError
from benchbench.suite.document import BYTES, read

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


@pytest.mark.parametrize(
    "override",
    ["a.b", "=3", "c.7.d=1", "a.b.c=1", f"c.{'9' * 5000}.d=1", f"c.{'0' * 20}7.d=1", "c.².d=1"],
    ids=range(7),
)
def test_an_override_that_fits_nowhere_is_refused(write_suite: Write, override: str) -> None:
    with pytest.raises(SchemaError, match=override.partition("=")[0] or "="):
        read(write_suite("a: {b: 1}\nc: [{d: 1}]\n"), [override])


def bomb(first: str, step: str) -> str:
    """Nine lines, each of which holds the one before nine times."""
    return "\n".join([f"a0: &a0 {first}", *(step.format(i, i + 1) for i in range(9))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb("[x]", "a{1}: &a{1} [" + "*a{0}, " * 9 + "]"), "more than 20,000 values"),
        (bomb("{}", "a{1}: &a{1} {{<<: [" + "*a{0}, " * 9 + "]}}"), "more than 20,000 values"),
        ("a: " + "[" * 3000 + "]" * 3000, "line 1: nested deeper than 40 levels"),
        ("\n".join(f"{' ' * i}a:" for i in range(900)), "nested deeper than 40 levels"),
        ("a: &a [*a]", "or an alias that holds itself"),
        ("a: &a {b: *a}", "or an alias that holds itself"),
        ("a: &a {<<: *a}", "or an alias that holds itself"),
        ("a: {<<: 3}", "line 1: expected a mapping after '<<'"),
        ("? [a, b]\n: c", "line 1: a list or mapping as a key"),
        ("? {a: b}\n: c", "line 1: a list or mapping as a key"),
        ("a: b\0c", "line 1: an unprintable character, '\\x00'"),
        ('a: "b\\0c"', r"line 1: an unprintable character, '\x00'"),
        ('"a\\e": b', r"line 1: an unprintable character, '\x1b'"),
        ("a:\n- " + "9" * 5000, "line 2: a whole number of more than 18 digits"),
        (f"a: {2**70}", "a whole number of more than 18 digits"),
        ("a: !!int b", "line 1: 'b' is no int"),
        ("a: !!bool b", "line 1: 'b' is no bool"),
        ("a: !!timestamp 2026-01-01", "line 1: not YAML of plain values"),
        ("a: *b", "line 1: not YAML, found undefined alias"),
        ("#" * BYTES + "\n", "more than 1,000,000 bytes"),
        ("a: " + "b" * 5000, "line 1: a value of more than 4,096 characters"),
        ("? " + "b" * 5000 + "\n: a", "line 1: a value of more than 4,096 characters"),
        ("a: " + "9" * 5000 + ".0", "line 1: a value of more than 4,096 characters"),
        ('a: "\\ud800"', "line 1: an unprintable character"),
    ],
    ids=range(24),
)
def test_a_file_made_to_do_harm_is_refused_in_one_sentence(
    write_suite: Write, text: str, message: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        read(write_suite(text))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_merge_takes_the_first_of_several_and_keeps_the_lines(write_suite: Write) -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc:\n  <<: [*a, *b]\n  z: 4\n"
    document = read(write_suite(text))
    assert document.value["c"] == {"x": 1, "y": 3, "z": 4}
    assert [document.line(("c", key)) for key in "xyz"] == [1, 2, 5]


def test_an_empty_file_has_a_first_line(write_suite: Write) -> None:
    document = read(write_suite("# nothing\n"))
    assert document.value is None
    assert document.locate(("models",)) == "line 1, models"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="is a directory"):
        read(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff")
    with pytest.raises(SchemaError, match="not a text file"):
        read(tmp_path / "x.yaml")
