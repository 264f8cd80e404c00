"""Options: the keyword-only parameters of a model's or dataset's builder, and values for them."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from benchbench.errors import OptionError, nearest


def _up_to(most: int) -> AfterValidator:
    def check(value: int) -> int:
        if not 1 <= value <= most:
            raise ValueError("a whole number of at least 1" if value < 1 else f"at most {most:,}")
        return value

    return AfterValidator(check)


Count = Annotated[int, _up_to(1_000_000_000)]
"""A size, a width, a number of things: of builders' options and of a suite's keys."""
Depth = Annotated[int, _up_to(100)]
"""A number of layers, or of repetitions of one."""
Counts = Annotated[Sequence[Count], Field(min_length=1, max_length=100)]
Depths = Annotated[Sequence[Depth], Field(min_length=1, max_length=100)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
"""A probability or a decay, less than 1."""


class _Place:
    """Marks the type of an option that says where files lie."""


Location = Annotated[str, Field(min_length=1), _Place()]
"""A file or folder that a dataset reads. A suite looks for it beside its own file first; no part
of a run's key, which has the content."""

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "sequence_str": "a list",
    "is_instance_of": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing",
    "literal_error": "one of {expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "finite_number": "a finite number",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "string_pattern_mismatch": "text that matches {pattern}",
    "value_error": "{error}",
}


def parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of a builder, by name."""
    signature = inspect.signature(build).parameters.values()
    return {p.name: p for p in signature if p.kind is inspect.Parameter.KEYWORD_ONLY}


def describe(build: Callable[..., Any]) -> dict[str, str]:
    """What each option of a builder is, by name.

    As the `Args:` of its docstring say, or a text in the annotation, `Annotated[int, "text"]`, for
    options that several builders share.
    """
    texts = {
        name: text
        for name, hint in typing.get_type_hints(build, include_extras=True).items()
        for text in getattr(hint, "__metadata__", ())
        if isinstance(text, str)
    }
    for documented in reversed(getattr(build, "__mro__", (build,))):
        _, _, listed = inspect.cleandoc(documented.__doc__ or "").partition("Args:\n")
        for entry in re.split(r"\n(?= {4}\w)", "\n" + listed.partition("\n\n")[0])[1:]:
            name, _, text = entry.partition(":")
            texts[name.strip()] = " ".join(text.split())
    return texts


def locations(build: Callable[..., Any]) -> set[str]:
    """The options of a builder whose type is `Location`, or has it inside."""
    hints = typing.get_type_hints(build, include_extras=True)
    return {name for name in parameters(build) if _has_place(hints.get(name))}


def _has_place(hint: Any) -> bool:
    marked = any(isinstance(mark, _Place) for mark in getattr(hint, "__metadata__", ()))
    return marked or any(map(_has_place, typing.get_args(hint)))


def bind(name: str, build: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """All the options of the builder called `name`, checked, its defaults filled in.

    Raises:
        OptionError: with every fault, by option.
    """
    hints = typing.get_type_hints(build, include_extras=True)
    allowed = parameters(build)
    faults = {
        option: f"'{name}' has no option '{option}'{nearest(option, allowed)}"
        for option in options
        if option not in allowed
    }
    bound: dict[str, Any] = {}
    for option, parameter in allowed.items():
        if option in options:
            try:
                value = TypeAdapter(hints[option], config=_STRICT).validate_python(options[option])
                bound[option] = plain(value)
            except ValidationError as error:
                faults[option] = complaint(error.errors())
        elif parameter.default is inspect.Parameter.empty:
            faults[option] = f"'{name}' needs the option '{option}'"
        else:
            bound[option] = plain(parameter.default)
    if faults:
        raise OptionError(faults)
    return bound


def complaint(items: Sequence[Any]) -> str:
    """What pydantic's errors on one value expected, and what it was, in a few words of ours."""
    expected = []
    for item in items:
        form = _EXPECTED.get(item["type"])
        text = form.format(**item.get("ctx", {})) if form else item["msg"]
        if text not in expected:
            expected.append(text)
    # a value inside a list is named by its place, from 1; a union's branches have names too
    places = {tuple(part + 1 for part in item["loc"] if isinstance(part, int)) for item in items}
    place = places.pop() if len(places) == 1 else ()
    at = f"item {'.'.join(map(str, place))}: " if place else ""
    value = repr(items[0]["input"])
    value = value if len(value) <= 200 else f"{value[:200]}…"
    return f"{at}expected {' or '.join(expected)}, not {value}"


def plain(value: Any) -> Any:
    """A value as YAML and JSON would give it back: lists for tuples, all the way down."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value
