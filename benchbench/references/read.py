"""Files of published numbers to tables, checked as they are read."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from benchbench import protocols
from benchbench.errors import SchemaError, UnknownName, nearest
from benchbench.references.schema import Table

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Every table of published numbers."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def table(name: str) -> Table:
    """The table of a name.

    Raises:
        UnknownName: there is none; the message names the nearest.
        SchemaError: the file does not say what it should.
    """
    if name not in names():
        raise UnknownName(f"no table of published numbers '{name}'{nearest(name, names())}")
    return read(FOLDER / f"{name}.yaml")


def read(path: Path) -> Table:
    """The table in a file.

    Raises:
        SchemaError: every fault of the file at once.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"{path}: not YAML: {error}") from None
    if not isinstance(value, dict):
        raise SchemaError(f"{path}: expected a mapping with title, source and rows")
    try:
        result = Table.model_validate({**value, "name": path.stem})
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, item['loc'])) or 'table'}: {item['msg'].lower()}"
            for item in error.errors()
        ]
        count = f"{len(faults)} fault{'s' * (len(faults) > 1)}"
        raise SchemaError("\n  ".join([f"{path}: {count}", *faults])) from None
    _check_protocols(path, result)
    return result


def _check_protocols(path: Path, result: Table) -> None:
    """Looks whether every protocol named exists and has the metrics it is named for."""
    for row in result.rows:
        for metric in row.numbers:
            name = row.evaluation(metric).name
            if name is not None and row.obstacle_to(metric) is None:
                try:
                    protocols.get(name)[metric]
                except UnknownName as error:
                    raise SchemaError(f"{path}: row '{row.name}': {error}") from None
