"""Origins: whether the rows of one table are of one code, one set of packages and one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchbench.run.provenance import codes, differences

if TYPE_CHECKING:
    from benchbench.run.record import Record
    from benchbench.suite.code import Code

Rows = Mapping[str, "Sequence[Record]"]
"""The finished runs of each model."""
PACKAGES = ("torch", "numpy")
"""Packages whose versions may move the last digits of every number."""


def stale_parts(records: Sequence[Record], now: Mapping[str, Code]) -> tuple[str, ...]:
    """Parts of the code that are other today than for any of a row's runs.

    Args:
        records: the row's finished runs.
        now: today's code by the key of the run.
    """
    parts = [part for r in records for part in differences(codes(r.provenance), now[r.key])]
    return tuple(dict.fromkeys(parts))


def notes(rows: Rows, now: Mapping[str, Code]) -> list[str]:
    """Sentences on the rows that differ in code, packages or device; none where all agree."""
    return [*_other_code(rows, now), *_several_codes(rows), *_packages(rows), *_devices(rows)]


def _other_code(rows: Rows, now: Mapping[str, Code]) -> list[str]:
    stale = []
    for model, records in rows.items():
        for record in records:
            if parts := stale_parts([record], now):
                stale.append(f"{model} seed {record.spec['seed']} ({', '.join(parts)})")
    if not stale:
        return []
    return [
        f"Of other code than today's: {', '.join(stale)}; "
        "`bench retry --stale` runs them again from the start."
    ]


def _several_codes(rows: Rows) -> list[str]:
    models = [m for m, rs in rows.items() if any(len(codes(r.provenance)) > 1 for r in rs)]
    return [f"Made under one code and then another: {', '.join(models)}."] if models else []


def _packages(rows: Rows) -> list[str]:
    sentences = []
    for package in PACKAGES:
        models: dict[str, dict[str, None]] = {}
        for model, records in rows.items():
            for record in records:
                if version := record.provenance.get("versions", {}).get(package):
                    models.setdefault(version, {})[model] = None
        sentences += _differing(f"Made with versions of {package}", models)
    return sentences


def _devices(rows: Rows) -> list[str]:
    models: dict[str, dict[str, None]] = {}
    for model, records in rows.items():
        for record in records:
            if names := _devices_of(record):
                models.setdefault(" and ".join(names), {})[model] = None
    return _differing("Made on devices", models)


def _devices_of(record: Record) -> list[str]:
    """The device that a run was tested on, and kinds of those that attempts were made on before."""
    device = str(record.provenance.get("device", ""))
    kinds = {str(attempt.get("device")) for attempt in record.provenance.get("attempts", ())}
    last = "cpu" if device.startswith("cpu") else "cuda"
    return [device, *sorted(kinds & {"cpu", "cuda"} - {last})] if device else []


def _differing(what: str, models: Mapping[str, Mapping[str, None]]) -> list[str]:
    """A sentence where there is more than one value, each with its models."""
    if len(models) < 2:
        return []
    parts = (f"{value} ({', '.join(each)})" for value, each in models.items())
    return [f"{what}: {'; '.join(parts)}."]
