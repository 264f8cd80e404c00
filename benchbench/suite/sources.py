"""Sources: Python files as far as they decide what is computed, read and never imported.

Comments, docstrings and layout do not count: a file's digest is of its syntax tree, spelt alike by
every Python, so that a cluster and a laptop agree.
"""

from __future__ import annotations

import ast
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.data.digests import Stamp, is_settled, stamp
from benchbench.jsonfile import recall, remember

CACHE = "sources.json"
SILENT = frozenset({"ctx", "kind", "type_comment"})
"""Fields of syntax trees that decide nothing."""

Entries = dict[str, tuple[Stamp, str, list[str]]]
"""Stamp, digest and imports of files by path."""


@dataclass(frozen=True)
class Source:
    """What counts of one file."""

    digest: str
    """SHA-256 of its syntax tree."""
    imports: tuple[str, ...]
    """Modules that it may import, relative ones with their dots."""


class Sources:
    """Sources by path; a cache in the data folder keeps those of files that have not changed.

    The cache is `sources.json`. Where it cannot be read or written, every file is parsed.
    """

    def __init__(self) -> None:
        self.entries = recall(CACHE, Entries) or {}
        self.changed = False
        self.sources: dict[Path, Source] = {}

    def __getitem__(self, path: Path) -> Source:
        if path not in self.sources:
            self.sources[path] = self._read(path)
        return self.sources[path]

    def _read(self, path: Path) -> Source:
        now = stamp(path)
        entry = self.entries.get(str(path))
        if entry is not None and entry[0] == now:
            return Source(entry[1], tuple(entry[2]))
        source = parse(path.read_bytes())
        if is_settled(now, time.time_ns()):
            self.entries[str(path)] = (now, source.digest, list(source.imports))
            self.changed = True
        return source

    def store(self) -> None:
        """Keeps what was parsed for the next process."""
        if self.changed:
            remember(CACHE, self.entries)


def parse(content: bytes) -> Source:
    """What counts of the content of a file; every byte of one that is not Python."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return Source(hashlib.sha256(content).hexdigest(), ())
    try:
        text = _plain(tree).encode("utf-8", "surrogatepass")
    except RecursionError:  # a sum of hundreds of terms
        text = content
    return Source(hashlib.sha256(text).hexdigest(), tuple(_imports(tree)))


def _plain(node: Any) -> str:
    """A syntax tree as text; what is empty is left out, as Pythons differ in it."""
    if isinstance(node, list):
        return f"[{','.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    values = {name: value for name, value in ast.iter_fields(node) if name not in SILENT}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        values["body"] = [statement for statement in node.body if not _is_text(statement)]
    parts = (f"{k}={_plain(value)}" for k, value in values.items() if value not in (None, []))
    return f"{type(node).__name__}({','.join(parts)})"


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, of whatever stands above it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _imports(tree: ast.Module) -> dict[str, None]:
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            dot = "" if module.endswith(".") else "."
            names[module] = None
            names.update(dict.fromkeys(f"{module}{dot}{alias.name}" for alias in node.names))
    return names
