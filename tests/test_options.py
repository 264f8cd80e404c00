"""Options: bound to a builder's signature, all faults at once, bounded, in our words."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from benchbench.clip import Clip
from benchbench.errors import OptionError
from benchbench.options import bind
from benchbench.registry import DATASETS, MODELS, Registry, build_dataset, build_model

CLIP = Clip(1, 16, 16, 3, 2)


def test_options_are_bound_with_all_faults_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        build_model("predrnn", CLIP, kernal=3, hidden=["a"], source="x", norm=1)
    assert set(caught.value.faults) == {"kernal", "hidden", "source", "norm"}
    assert "did you mean 'kernel'" in caught.value.faults["kernal"]
    assert caught.value.faults["hidden"] == "item 1: expected a whole number, not 'a'"
    assert "'thuml', 'openstl', 'predrnn-pp' or 'czh-98'" in caught.value.faults["source"]
    assert caught.value.faults["norm"] == "expected true or false, not 1"


def test_binding_fills_in_defaults_as_yaml_would_give_them() -> None:
    bound = MODELS.get("cms_lstm").bind({"hidden": (8, 8)})
    assert bound["hidden"] == [8, 8]
    assert bound["se_scales"] == [1, 2, 4]


def strict(
    clip: Clip, *, widths: Sequence[int], mode: Literal["a"] = "a", scale: float = 1.0
) -> None: ...


def test_a_required_option_is_asked_for() -> None:
    with pytest.raises(OptionError, match="'strict' needs the option 'widths'"):
        bind("strict", strict, {})


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("widths", [1, 2.0], "item 2: expected a whole number, not 2.0"),
        ("widths", {"a": 1}, "expected a list, not {'a': 1}"),
        ("widths", [True], "item 1: expected a whole number, not True"),
        ("mode", "b", "expected one of 'a', not 'b'"),
        ("scale", "1e-3", "expected a number, not '1e-3'"),
        ("scale", "x" * 1000, "expected a number, not '" + "x" * 199 + "…"),
    ],
)
def test_a_wrong_value_is_told_in_few_words(option: str, value: Any, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        bind("strict", strict, {"widths": [1], option: value})
    assert caught.value.faults == {option: text}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": []}, "hidden: expected a list of 1 or more, not []"),
        ({"hidden": [8, -1]}, "hidden: item 2: expected a whole number of at least 1, not -1"),
        ({"hidden": [2**70]}, "hidden: item 1: expected at most 1,000,000,000, not 118059"),
        ({"hidden": "64"}, "hidden: expected a list, not '64'"),
        ({"kernel": 0}, "kernel: expected a whole number of at least 1, not 0"),
    ],
)
def test_a_size_is_at_least_one_and_bounded(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_model("predrnn", CLIP, **options)
    assert str(caught.value).startswith(message)


# whole numbers among the options that may be 0, or are of no use to most models
NO_SIZES = {"ce_steps", "first_scored", "seed"}


@pytest.mark.parametrize("kind", [MODELS, DATASETS], ids=["models", "datasets"])
def test_no_size_may_be_zero_and_no_list_of_sizes_empty(kind: Registry) -> None:
    for name in kind.names():
        entry = kind.get(name)
        for option, parameter in entry.options.items():
            values: list[Any] = []
            if type(parameter.default) is int and option not in NO_SIZES:
                values = [0, -1, 2**70]
            elif isinstance(parameter.default, tuple) and int in map(type, parameter.default):
                values = [[], [0], [1] * 101]
            for value in values:
                with pytest.raises(OptionError, match=f"^{option}: .*expected"):
                    entry.bind({option: value})


def test_a_builders_own_fault_names_its_option() -> None:
    with pytest.raises(OptionError) as caught:
        build_dataset("moving_digits", size=16, digit_size=20)
    assert set(caught.value.faults) == {"digit_size"}
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults
