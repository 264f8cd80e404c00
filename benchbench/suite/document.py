"""A YAML file as plain values, with the line of each.

PyYAML reads YAML 1.1, where `1e-3` is text, `10:30` is 630 and a key `on` is true. Here numbers
and booleans are those of YAML 1.2, a key given twice is refused, and nothing but plain values is
ever constructed. A file made to do harm is refused by its size, its depth and its characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from benchbench.errors import SchemaError

Where = tuple[str | int, ...]

BYTES = 1_000_000
"""Largest file."""
VALUES = 20_000
"""Most values of a file, those of an alias counted wherever it stands."""
DEPTH = 40
"""Most levels of lists and mappings in each other."""
DIGITS = 18
"""Most digits of a whole number."""
_TOO_DEEP = f"nested deeper than {DEPTH} levels, or an alias that holds itself"
SIGNS = 4_096
"""Most characters of a text, as of a path."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """The values of one file, command-line overrides applied."""

    path: Path
    value: Any
    lines: dict[Where, int]
    """Line of each value, from 1, and of the whole; 0 for what came from the command line."""

    def line(self, where: Where) -> int:
        """The line of a value, or of the nearest one above it."""
        above = (where[:length] for length in range(len(where), -1, -1))
        return next(self.lines[place] for place in above if place in self.lines)

    def locate(self, where: Where) -> str:
        """`line 12, train.lr`: the place of a value, or of the nearest one above it."""
        line = self.line(where)
        place = f"line {line}" if line else "command line"
        return f"{place}, {dotted(where)}" if where else place


def dotted(where: Where) -> str:
    """`models.0.options`: a place as it is written on the command line."""
    return ".".join(str(part) for part in where)


def read(path: Path, overrides: Sequence[str] = ()) -> Document:
    """The document in a file, with `key=value` overrides.

    Raises:
        SchemaError: no such file, not YAML, a key twice, or an override that fits nowhere.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES:
            raise SchemaError(f"{path}: more than {BYTES:,} bytes; a suite is smaller")
        text = content.decode("utf-8")
    except OSError as error:
        raise SchemaError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise SchemaError(f"{path}: not a text file; a suite is YAML in UTF-8") from None
    lines: dict[Where, int] = {}
    value = _parse(text, str(path), lines)
    lines.setdefault((), 1)
    for override in overrides:
        _override(value, override, lines)
    return Document(path, value, lines)


class _Refused(yaml.MarkedYAMLError):
    """Marks YAML that is not of the kind read here."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core scalars, in bounds; `lines` gets the line of each value."""

    def __init__(self, text: str, lines: dict[Where, int]) -> None:
        super().__init__(text)
        self.lines = lines
        self.values = 0
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node of the file; PyYAML itself would exhaust Python's stack on a deep one."""
        self.depth += 1
        if self.depth > DEPTH:
            raise _Refused(_TOO_DEEP, self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def build(self, node: yaml.Node, where: Where) -> Any:
        """The plain value of a node."""
        self._count(node, len(where))
        self.lines.setdefault(where, node.start_mark.line + 1)
        kind = node.tag.rpartition(":")[2]
        if isinstance(node, yaml.MappingNode) and kind == "map":
            value = {}
            for key, (line, inner) in self._pairs(node, len(where)).items():
                self.lines[(*where, key)] = line
                value[key] = self.build(inner, (*where, key))
            return value
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.build(item, (*where, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and kind in ("null", "bool", "int", "float", "str"):
            return self._scalar(node, kind)
        raise _Refused(f"not YAML of plain values, {node.tag}", node.start_mark)

    def _pairs(self, node: yaml.MappingNode, depth: int) -> dict[str, tuple[int, yaml.Node]]:
        """Line and value of each key, those of `<<` first; its own win over them."""
        self._count(node, depth)
        merged: dict[str, tuple[int, yaml.Node]] = {}
        own: dict[str, tuple[int, yaml.Node]] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Refused("a list or mapping as a key; a key is text", key_node.start_mark)
            if key_node.tag.endswith(":merge"):
                for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if not isinstance(base, yaml.MappingNode):
                        raise _Refused("expected a mapping after '<<'", key_node.start_mark)
                    merged = {**self._pairs(base, depth + 1), **merged}
                continue
            key = self._scalar(key_node, "str")
            if key in own:
                raise _Refused(f"'{key}' is already on line {own[key][0]}", key_node.start_mark)
            own[key] = key_node.start_mark.line + 1, value
        return {**merged, **own}

    def _scalar(self, node: yaml.ScalarNode, kind: str) -> Any:
        if kind == "int" and len(node.value) > DIGITS:
            raise _Refused(f"a whole number of more than {DIGITS} digits", node.start_mark)
        if control := _CONTROL.search(node.value):
            raise _Refused(f"an unprintable character, {control[0]!r}", node.start_mark)
        if len(node.value) > SIGNS:
            raise _Refused(f"a value of more than {SIGNS:,} characters", node.start_mark)
        try:
            if kind == "int":
                return int(node.value.replace("_", ""), 10)
            return node.value if kind == "str" else self.construct_object(node)
        except (ValueError, KeyError):
            raise _Refused(f"'{node.value}' is no {kind}", node.start_mark) from None

    def _count(self, node: yaml.Node, depth: int) -> None:
        self.values += 1
        if self.values > VALUES:
            problem = f"more than {VALUES:,} values, those of an alias counted wherever it stands"
            raise _Refused(problem, node.start_mark)
        if depth > DEPTH:
            raise _Refused(_TOO_DEEP, node.start_mark)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


def _parse(text: str, name: str, lines: dict[Where, int]) -> Any:
    try:
        loader = _Loader(text, lines)
        node = loader.get_single_node()
        return None if node is None else loader.build(node, ())
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"an unprintable character, {text[error.position]!r}"
        raise SchemaError(f"{name}: line {line}: {problem}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}: " if mark else ""
        kind = "" if isinstance(error, _Refused) else "not YAML, "
        raise SchemaError(f"{name}: {at}{kind}{error.problem or error.context}") from None


def _override(value: Any, override: str, lines: dict[Where, int]) -> None:
    """Sets one `key.to.value=YAML` in place."""
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise SchemaError(f"{override}: not an override; write key=value, as in train.steps=100")
    inner: dict[Where, int] = {}
    parsed = _parse(text, override, inner)
    place: Where = ()
    for part in (parts := key.split(".")):
        if isinstance(value, list) and _is_index(part, value):
            step: str | int = int(part)
        elif isinstance(value, dict):
            step = part
            value.setdefault(part, {})
        else:
            raise SchemaError(f"{override}: {dotted(place) or 'the suite'} has no '{part}'")
        place = (*place, step)
        if len(place) == len(parts):
            value[step] = parsed
        value = value[step]
    for below in [where for where in lines if where[: len(place)] == place]:
        del lines[below]
    lines.update({(*place, *where): 0 for where in [(), *inner]})


def _is_index(part: str, items: list[Any]) -> bool:
    return part.isdecimal() and len(part) <= DIGITS and int(part) < len(items)


def value_of(text: str) -> Any:
    """A value from the command line, read as a suite would read it.

    Raises:
        SchemaError: it is not YAML.
    """
    return _parse(text, text, {})
