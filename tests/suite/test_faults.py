"""Faults: gathered, placed, told once and in the order of lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import OptionError, SchemaError, Unfit
from benchbench.suite.document import read
from benchbench.suite.faults import Faults

TEXT = """\
models:
  - name: a
    options: {x: 1}
    grid: {y: [1, 2]}
train: {lr: 1}
"""


@pytest.fixture
def faults(write_suite: Callable[..., Path]) -> Faults:
    return Faults(read(write_suite(TEXT), ["train.steps=3"]))


def rows(faults: Faults) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        faults.raise_if_any()
    return str(caught.value).splitlines()


def test_no_fault_raises_nothing(faults: Faults) -> None:
    assert not faults
    faults.raise_if_any()


def test_faults_are_told_once_in_the_order_of_lines(faults: Faults) -> None:
    faults.add(("train", "lr"), "is wrong")
    faults.add(("models", 0), "is odd")
    faults.add(("models", 0), "is odd")
    faults.add(("train", "steps"), "is few")
    assert faults
    head, *told = rows(faults)
    assert head.endswith("tiny.yaml: 3 faults")
    assert told == [
        "  command line, train.steps: is few",
        "  line 2, models.0: is odd",
        "  line 5, train.lr: is wrong",
    ]


def test_one_fault_is_no_plural(faults: Faults) -> None:
    faults.add((), "is odd")
    head, row = rows(faults)
    assert head.endswith("tiny.yaml: 1 fault")
    assert row == "  line 1: is odd"


def test_an_error_is_placed_at_each_option_that_it_names(faults: Faults) -> None:
    with faults.at(("models", 0), "a on b"):
        raise OptionError(x="is low", y="is high", z="is missing")
    assert rows(faults)[1:] == [
        "  line 3, models.0.options.x: is low (a on b)",
        "  line 3, models.0.options.z: is missing (a on b)",
        "  line 4, models.0.grid.y: is high (a on b)",
    ]


def test_any_other_error_of_ours_is_placed_where_it_arose(faults: Faults) -> None:
    with faults.at(("models", 0)):
        raise Unfit("declined: too small")
    assert rows(faults)[1:] == ["  line 2, models.0: declined: too small"]


def test_a_bug_of_ours_is_not_taken_for_a_fault(faults: Faults) -> None:
    with pytest.raises(ZeroDivisionError), faults.at(("models", 0)):
        _ = 1 / 0
    assert not faults
