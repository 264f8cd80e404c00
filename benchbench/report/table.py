"""Records to tables: one for each dataset and protocol, mean ± standard deviation over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.run.record import Record, Store
from benchbench.scoring.protocol import Better
from benchbench.scoring.summary import Score, Summary, decimals
from benchbench.suite.plan import Plan

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

ABSENT = "–"
ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Column:
    """One metric under one signature; two signatures never share a column."""

    metric: str
    label: str
    unit: str
    better: Better
    decimals: int
    signature: str

    @classmethod
    def of(cls, score: Score) -> Column:
        """The column a score belongs in."""
        return cls(
            score.metric, score.label, score.unit, score.better, score.decimals, score.signature
        )

    @property
    def heading(self) -> str:
        """`PSNR ↑`."""
        return f"{self.label} {ARROWS[self.better]}"


@dataclass(frozen=True)
class Spread:
    """A number over seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds, None with one or an infinite one."""
        if len(self.values) < 2 or not all(map(math.isfinite, self.values)):
            return None
        return statistics.stdev(self.values)

    def text(self, decimals: int) -> str:
        """`21.95 ± 0.12`."""
        if not self.values:
            return ABSENT
        std = "" if self.std is None else f" ± {self.std:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{std}"


@dataclass(frozen=True)
class Row:
    """A model's runs of all seeds."""

    model: str
    parameters: int | None
    cells: dict[Column, Spread]
    seconds: Spread
    done: int
    asked: int

    def texts(self, digits: Mapping[Column, int]) -> list[str]:
        """The row as it is printed, from each column and its number of decimals."""
        note = "" if self.done == self.asked else f" ({self.done} of {self.asked} seeds)"
        cells = [self.cells.get(column, Spread(())).text(n) for column, n in digits.items()]
        return [self.model + note, size(self.parameters), *cells, self.seconds.text(0)]


@dataclass(frozen=True)
class Board:
    """The table of one dataset under one protocol."""

    dataset: str
    protocol: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """`moving_digits, protocol benchbench v1`."""
        return f"{self.dataset}, protocol {self.protocol}"

    @property
    def headings(self) -> list[str]:
        """Of all columns; a metric with two signatures is numbered as in the notes."""
        marks = _marks(self.columns)
        metrics = [column.heading + marks[column] for column in self.columns]
        return ["Model", "Params", *metrics, "Train s"]

    @property
    def texts(self) -> list[list[str]]:
        """The rows as they are printed."""
        digits = {}
        for column in self.columns:
            means = [row.cells[column].mean for row in self.rows if column in row.cells]
            digits[column] = decimals(column.decimals, column.better, means)
        return [row.texts(digits) for row in self.rows]

    def frame(self) -> pd.DataFrame:
        """The table's texts."""
        import pandas as pd

        return pd.DataFrame(self.texts, columns=self.headings)

    def markdown(self) -> str:
        """A heading, the table and its notes."""
        from tabulate import tabulate

        align = ["left"] + ["right"] * (len(self.headings) - 1)
        rows = [[text.replace("|", r"\|") for text in row] for row in self.texts]
        # tabulate is what pandas would call; without pandas an unchanged table prints at once
        table = tabulate(
            rows, self.headings, tablefmt="pipe", disable_numparse=True, colalign=align
        )
        notes = "\n".join(f"- {note}" for note in self.notes)
        return f"## {self.title}\n\n{table}\n\n{notes}\n"

    def rich(self) -> Table:
        """For a terminal."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=self.title, title_justify="left", caption_justify="left")
        for index, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if index else "left", overflow="fold")
        for row in self.texts:
            table.add_row(*map(escape, row))
        return table


def _marks(columns: Sequence[Column]) -> dict[Column, str]:
    """` [2]` for a column whose label stands over several, nothing for the others."""
    labels = [column.label for column in columns]
    return {
        column: f" [{index}]" if labels.count(column.label) > 1 else ""
        for index, column in enumerate(columns, start=1)
    }


def size(parameters: int | None) -> str:
    """`7.968 M`, or the number itself below 10,000."""
    if parameters is None:
        return ABSENT
    return f"{parameters / 1e6:.3f} M" if parameters >= 10_000 else f"{parameters:,}"


def boards(plan: Plan, store: Store) -> list[Board]:
    """The suite's tables; the suite decides rows and order, what is not done is a dash."""
    made = []
    for source in plan.sources:
        for protocol in plan.suite.protocols:
            board = _board(plan, store, source.label, protocol)
            if board is not None:
                made.append(board)
    return made


def _board(plan: Plan, store: Store, dataset: str, protocol: str) -> Board | None:
    runs = [run for run in plan.runs if run.dataset == dataset]
    labels = list(dict.fromkeys(run.model for run in runs))
    found: dict[str, list[tuple[Record, Summary]]] = {label: [] for label in labels}
    unscored = 0
    for run in runs:
        record, summary = store.record(run.spec), store.scores(run.spec).get(protocol)
        if record is not None and summary is not None:
            found[run.model].append((record, summary))
        unscored += record is not None and summary is None
    summaries = [summary for pairs in found.values() for _, summary in pairs]
    columns: dict[Column, None] = {}
    for metric in dict.fromkeys(name for summary in summaries for name in summary.headline):
        columns.update({Column.of(s.scores[metric]): None for s in summaries if metric in s.scores})
    rows = tuple(
        _row(label, found[label], sum(run.model == label for run in runs)) for label in labels
    )
    versions = " and ".join(f"v{v}" for v in sorted({summary.version for summary in summaries}))
    name = f"{protocol} {versions}".rstrip()
    notes = [*_notes(tuple(columns), summaries, rows), *_infinite(found)]
    if unscored:
        notes.append(
            f"{unscored} finished runs are not scored under {protocol}; `bench run` scores them."
        )
    return Board(dataset, name, tuple(columns), rows, tuple(notes)) if runs else None


def _row(label: str, pairs: Sequence[tuple[Record, Summary]], asked: int) -> Row:
    cells: dict[Column, tuple[float, ...]] = {}
    for _, summary in pairs:
        for score in summary.scores.values():
            column = Column.of(score)
            cells[column] = (*cells.get(column, ()), score.value)
    return Row(
        model=label,
        parameters=pairs[0][0].parameters if pairs else None,
        cells={column: Spread(values) for column, values in cells.items()},
        seconds=Spread(tuple(record.train_seconds for record, _ in pairs)),
        done=len(pairs),
        asked=asked,
    )


def _notes(
    columns: Sequence[Column], summaries: Sequence[Summary], rows: Sequence[Row]
) -> list[str]:
    notes = []
    tested = sorted({(summary.sequences, summary.frames) for summary in summaries})
    for sequences, frames in tested:
        notes.append(f"Test set: {sequences:,} sequences, {frames} predicted frames each.")
    if any(row.done > 1 for row in rows):
        notes.append("±: standard deviation over seeds.")
    notes += [
        f"{column.label}{mark} ({column.unit}): `{column.signature}`"
        for column, mark in _marks(columns).items()
    ]
    return notes


def _infinite(found: dict[str, list[tuple[Record, Summary]]]) -> list[str]:
    """How many frames of each model have an infinite score."""
    counts: dict[str, dict[str, int]] = {}
    for model, pairs in found.items():
        for score in (score for _, summary in pairs for score in summary.scores.values()):
            if score.infinite:
                of_label = counts.setdefault(score.label, {})
                of_label[model] = of_label.get(model, 0) + score.infinite
    return [
        f"Frames whose {label} is infinite: "
        + ", ".join(f"{model} {count:,}" for model, count in of_label.items())
        + "."
        for label, of_label in counts.items()
    ]
