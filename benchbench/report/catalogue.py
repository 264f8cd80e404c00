"""The published numbers that there are, as `bench references` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchbench import protocols
from benchbench.references.schema import METRICS, Row, Table
from benchbench.report.board import ABSENT
from benchbench.report.sheet import Sheet


def sheet(table: Table) -> Sheet:
    """A published table: its rows as printed, and what is known about each, in notes."""
    metrics = [metric for metric in METRICS if metric in table.units]
    frames = max(len(n.by_frame) for row in table.rows for n in row.numbers.values())
    sized = any(row.size for row in table.rows)
    numbers = [
        *(["Size, M"] if sized else []),
        *(f"Frame {k + 1}" for k in range(frames)),
        *(METRICS[metric].label for metric in metrics),
        "Iter.",
    ]
    whys: dict[str, int] = {}
    rows = []
    for row in table.rows:
        marks = ", ".join(str(whys.setdefault(text, len(whys) + 1)) for text in remarks(row))
        size = [row.size.digits if row.size else ABSENT] if sized else []
        by_frame = [text for n in row.numbers.values() for text in n.by_frame]
        printed = [row.numbers[m].printed if m in row.numbers else ABSENT for m in metrics]
        name = row.name + (f" [{marks}]" if marks else "")
        ends = (_iterations(row), row.comparable)
        cells = (name, *size, *(by_frame or [ABSENT] * frames), *printed, *ends)
        rows.append(tuple((cell,) for cell in cells))
    return Sheet(
        f"{table.name}: {table.title}",
        ("Row", *numbers, "Fit"),
        tuple(rows),
        _notes(table, metrics, whys),
        frozenset(numbers),
    )


def _notes(table: Table, metrics: Sequence[str], whys: Iterable[str]) -> tuple[str, ...]:
    units = ", ".join(f"{METRICS[metric].label} ({table.units[metric]})" for metric in metrics)
    return (
        f"Source: {table.source}; {table.seeds}.",
        f"{units}. Iter.: training iterations. Fit: whether runs of ours that do all that is "
        "declared can be compared.",
        *(f"[{number}] {text}" for number, text in enumerate(whys, start=1)),
        *table.notes,
    )


def _iterations(row: Row) -> str:
    """`80k`, `1.25M`; with a sign where it is a bound or a guess."""
    budget = row.budget
    if budget.iterations is None:
        return "?"
    scale, unit = (1e6, "M") if budget.iterations >= 1e6 else (1e3, "k")
    sign = "≤" if budget.at_most else ""
    return f"{sign}{budget.iterations / scale:.3g}{unit}{'?' * (budget.sure == 'unknown')}"


def remarks(row: Row) -> list[str]:
    """What is known to make a row's numbers incomparable, or not quite sure."""
    texts = [row.obstacle.why] if row.obstacle else []
    if row.obstacle is None:
        for metric, number in row.numbers.items():
            if number.obstacle:
                texts.append(f"{METRICS[metric].label}: {number.obstacle.why}")
        named = (("network", row.network), ("protocol", row.protocol), ("budget", row.budget))
        for name, fact in (*named, ("data", row.data)):
            if fact.note:
                texts.append(
                    f"{name} ({fact.sure}): {fact.note}" if fact.sure != "yes" else fact.note
                )
    if row.size is not None:
        texts += list(_counted(row))
    texts += [number.note for number in row.numbers.values() if number.note]
    return list(dict.fromkeys([*texts, *row.notes]))


def _counted(row: Row) -> Iterator[str]:
    size = row.size
    assert size is not None
    counts = "" if size.counts == "weights" else f"counts {size.counts}"
    other = f"of {size.of_other}" if size.of_other else ""
    parts = [part for part in (counts, size.note, other) if part]
    if parts:
        yield f"parameters: {', '.join(parts)}"


def tidy(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """One line for each published number, with all that is declared of it."""
    return [
        {"table": table.name, "row": row.name, "model": row.model, **_number(row, metric), **place}
        for table in tables
        for row in table.rows
        for metric in row.numbers
        for place in _places(table, row, metric)
    ]


def _places(table: Table, row: Row, metric: str) -> Iterator[dict[str, Any]]:
    number = row.numbers[metric]
    about = "; ".join(remarks(row))
    for frame, printed in enumerate((number.printed, *number.by_frame)):
        yield {
            "frame": frame or None,
            "printed": printed,
            "unit": table.units[metric],
            "remarks": about,
            "source": table.source,
        }


def _number(row: Row, metric: str) -> dict[str, Any]:
    obstacle, evaluation, budget = row.obstacle_to(metric), row.evaluation(metric), row.budget
    named = evaluation.name is not None and obstacle is None
    return {
        "metric": metric,
        "protocol": evaluation.name,
        "signature": (
            protocols.get(evaluation.name or "")[metric].signature(evaluation.version)
            if named
            else None
        ),
        "protocol_sure": evaluation.sure,
        "comparable": obstacle is None and row.model is not None,
        "obstacle": f"{obstacle.kind}: {obstacle.why}" if obstacle else None,
        "dataset": row.data.dataset,
        "train_clips": row.data.train_clips,
        "data_sure": row.data.sure,
        "iterations": budget.iterations,
        "batch": budget.batch,
        "updates": budget.updates,
        "budget_sure": budget.sure,
        "parameters": row.size.printed if row.size else None,
        "parameters_count": row.size.counts if row.size else None,
    }
