"""Sections: unknown keys, values for lists, bare names; told where the document has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator

from benchbench.errors import SchemaError
from benchbench.suite.document import read
from benchbench.suite.faults import Faults
from benchbench.suite.section import Many, Section, listed, named, parse


class Inner(Section):
    name: str
    size: int = 1


class Outer(Section):
    many: Many[Annotated[Inner, BeforeValidator(named)]]
    numbers: Many[int] | None = None


@pytest.mark.parametrize(
    ("value", "expected"), [(3, [3]), ([3], [3]), ({"a": 1}, [{"a": 1}]), (None, None), ([], [])]
)
def test_a_value_is_a_list_of_one_and_null_is_none(value: Any, expected: Any) -> None:
    assert listed(value) == expected


def test_bare_names_and_single_values_are_short_for_sections_and_lists() -> None:
    outer = Outer.model_validate({"many": "a", "numbers": 3})
    assert outer == Outer(many=[Inner(name="a")], numbers=[3])
    assert Outer.model_validate({"many": ["a", {"name": "b", "size": 2}]}).numbers is None


def told(write_suite: Callable[..., Path], text: str) -> list[str]:
    document = read(write_suite(text))
    faults = Faults(document)
    assert parse(Outer, document.value, faults) is None
    with pytest.raises(SchemaError) as caught:
        faults.raise_if_any()
    return [row.partition(", ")[2] for row in str(caught.value).splitlines()[1:]]


def test_the_nearest_key_is_that_of_the_section_at_the_place(
    write_suite: Callable[..., Path],
) -> None:
    assert told(write_suite, "many: [{name: a, sise: 2}]") == [
        "many.0.sise: unknown key 'sise'; did you mean 'size'?"
    ]
    assert told(write_suite, "many: [a]\nnumber: 2") == [
        "number: unknown key 'number'; did you mean 'numbers'?"
    ]


def test_a_key_of_other_tools_is_answered_with_ours(write_suite: Callable[..., Path]) -> None:
    assert told(write_suite, "many: [{name: a, epochs: 2}]") == [
        "many.0.epochs: unknown key 'epochs'; "
        "benchbench counts steps: steps = epochs x clips / batch"
    ]


def test_missing_keys_and_wrong_kinds_are_told(write_suite: Callable[..., Path]) -> None:
    assert told(write_suite, "many: [{size: '2'}, 7]") == [
        "many.0.name: missing key 'name'",
        "many.0.size: expected a whole number, not '2'",
        "many.1: expected a mapping, not 7",
    ]


def test_what_is_wrong_is_told_at_the_place_that_is_said(write_suite: Callable[..., Path]) -> None:
    document = read(write_suite("over:\n  many: [{name: 1}]"))
    faults = Faults(document)
    parse(Outer, document.value["over"], faults, lambda key: ("over", *key))
    with pytest.raises(SchemaError, match=r"line 2, over\.many\.0\.name: expected text, not 1"):
        faults.raise_if_any()
