"""Section: a mapping in a suite file, its keys declared as the fields of a class."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from benchbench.errors import nearest
from benchbench.options import complaint
from benchbench.suite.document import Where
from benchbench.suite.faults import Faults

S = TypeVar("S", bound="Section")
T = TypeVar("T")

ELSEWHERE = {
    "epochs": "benchbench counts steps: steps = epochs x clips / batch",
    "learning_rate": "write 'lr'",
    "batch_size": "write 'batch'",
}
"""Keys of other tools, and what stands for them here."""


class Section(BaseModel):
    """A mapping whose unknown keys are faults, and whose values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def listed(value: Any) -> Any:
    """A list of one where a value stands for a list; null and lists stay."""
    return value if value is None or isinstance(value, (list, tuple)) else [value]


def named(value: Any) -> Any:
    """The mapping that a bare name stands for."""
    return {"name": value} if isinstance(value, str) else value


Many = Annotated[list[T], BeforeValidator(listed)]
Some = Annotated[Many[T], Field(min_length=1)]
Named = Annotated[T, BeforeValidator(named)]


def parse(
    section: type[S], value: Any, faults: Faults, place: Callable[[Where], Where] = lambda key: key
) -> S | None:
    """The section in a value, or None with what is wrong added to `faults`.

    `place` gives a key's place in the document from its place in the section.
    """
    try:
        return section.model_validate(value)
    except ValidationError as error:
        for item in error.errors():
            where = tuple(item["loc"])
            faults.add(place(where), _text(section, where, item))
        return None


def _text(section: type[Section], where: Where, item: Any) -> str:
    if item["type"] == "missing":
        return f"missing key '{where[-1]}'"
    if item["type"] not in ("extra_forbidden", "unexpected_keyword_argument"):
        return complaint([{**item, "loc": ()}])
    key = str(where[-1])
    hint = f"; {ELSEWHERE[key]}" if key in ELSEWHERE else nearest(key, _keys(section, where[:-1]))
    return f"unknown key '{key}'{hint}"


def _keys(section: type, where: Where) -> list[str]:
    """The keys of the section, or pydantic's dataclass, at a place of another."""
    for part in where:
        if isinstance(part, str) and part in _fields(section):
            section = _section_in(_fields(section)[part].annotation) or section
    return list(_fields(section))


def _fields(section: type) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = getattr(section, "__pydantic_fields__", {})
    return fields


def _section_in(annotation: Any) -> type | None:
    """The section inside an annotation such as `list[Annotated[ModelEntry, …]]`."""
    if isinstance(annotation, type) and _fields(annotation):
        return annotation
    sections = (_section_in(inner) for inner in typing.get_args(annotation))
    return next((section for section in sections if section is not None), None)
