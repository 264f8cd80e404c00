"""A YAML file as plain values, with the line of each.

PyYAML reads YAML 1.1, where `1e-3` is text, `10:30` is 630 and a key `on` is true. Here numbers
and booleans are those of YAML 1.2, a key given twice is refused, and nothing but plain values is
ever constructed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchbench.errors import SchemaError

Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """The values of one file, command-line overrides applied."""

    path: Path
    value: Any
    lines: dict[Where, int]
    """Line of each value, from 1; 0 for what came from the command line."""

    def locate(self, where: Where) -> str:
        """`line 12, train.lr`: the place of a value, or of the nearest one above it."""
        name = dotted(where)
        for length in range(len(where), -1, -1):
            if where[:length] in self.lines:
                number = self.lines[where[:length]]
                line = f"line {number}" if number else "command line"
                return f"{line}, {name}" if name else line
        return name or "the file"


def dotted(where: Where) -> str:
    """`models.0.options`: a place as it is written on the command line."""
    return ".".join(str(part) for part in where)


def read(path: Path, overrides: Sequence[str] = ()) -> Document:
    """The document in a file, with `key=value` overrides.

    Raises:
        SchemaError: no such file, not YAML, a key twice, or an override that fits nowhere.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise SchemaError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise SchemaError(f"{path}: not a text file; a suite is YAML in UTF-8") from None
    lines: dict[Where, int] = {}
    value = _parse(text, str(path), lines)
    for override in overrides:
        _override(value, override, lines)
    return Document(path, value, lines)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core scalars."""


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


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node).replace("_", ""), 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def _parse(text: str, name: str, lines: dict[Where, int]) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _build(loader, node, (), lines, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}: " if mark else ""
        raise SchemaError(f"{name}: {at}not YAML, {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SchemaError(f"{name}: not YAML, {error}") from None
    finally:
        loader.dispose()


def _build(
    loader: _Loader, node: yaml.Node, where: Where, lines: dict[Where, int], name: str
) -> Any:
    lines.setdefault(where, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode) and not node.tag.endswith((":map", ":seq")):
        raise SchemaError(f"{name}: line {lines[where]}: not YAML of plain values, {node.tag}")
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen and key != "<<":
                raise SchemaError(f"{name}: line {line}: '{key}' is already on line {seen[key]}")
            seen[key] = line
        loader.flatten_mapping(node)
        built = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            lines[(*where, key)] = key_node.start_mark.line + 1
            built[key] = _build(loader, value_node, (*where, key), lines, name)
        return built
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(loader, item, (*where, index), lines, name)
            for index, item in enumerate(node.value)
        ]
    return loader.construct_object(node)


def _override(value: Any, override: str, lines: dict[Where, int]) -> None:
    """Sets one `key.to.value=YAML` in place."""
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise SchemaError(f"{override}: not an override; write key=value, as in train.steps=100")
    *parents, last = key.split(".")
    here = value
    for depth, part in enumerate(parents):
        if isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, dict):
            here = here.setdefault(part, {})
        else:
            above = ".".join(parents[:depth]) or "the suite"
            raise SchemaError(f"{override}: {above} has no '{part}'")
    parsed = _parse(text, override, {})
    if isinstance(here, dict):
        here[last] = parsed
    elif isinstance(here, list) and last.isdecimal() and int(last) < len(here):
        here[int(last)] = parsed
    else:
        raise SchemaError(f"{override}: {'.'.join(parents)} has no '{last}'")
    place: Where = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
    for known in [known for known in lines if known[: len(place)] == place]:
        del lines[known]
    lines[place] = 0


def value_of(text: str) -> Any:
    """A value from the command line, read as a suite would read it.

    Raises:
        SchemaError: it is not YAML.
    """
    return _parse(text, text, {})
