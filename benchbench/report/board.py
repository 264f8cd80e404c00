"""Records to boards: one for each dataset and protocol, mean ± standard deviation over seeds."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchbench.errors import Damaged
from benchbench.report import origins
from benchbench.report.origins import stale_parts
from benchbench.report.ranks import BEST, Ranks, ranks_of
from benchbench.run.record import Finished
from benchbench.scoring.protocol import Column
from benchbench.scoring.summary import Summary, decimals
from benchbench.suite.code import Code, codes_of

if TYPE_CHECKING:
    from benchbench.run.record import Record, Results, Store
    from benchbench.suite.plan import Plan, Run

ABSENT = "–"


@dataclass(frozen=True)
class Spread:
    """A number over seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
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
    seeds: int
    """Seeds that the suite plans; `done` of them have scores."""
    train_data: str = ""
    """How its training data differ from the dataset's."""
    damaged: int = 0
    """Seeds whose files are not what was written; no number is of them."""
    stale: tuple[str, ...] = ()
    """Parts of the code that are other today than when its runs were made."""

    ranks: dict[Column, str] = field(default_factory=dict)
    """Its rank under each metric; see `Ranks`."""

    def texts(self, digits: Mapping[Column, int], mark: Callable[[str], str]) -> list[str]:
        """The row as it is printed, from each column and its number of decimals.

        What is best of its column, or tied with the best, is marked.
        """
        damaged = f", {self.damaged} damaged" if self.damaged else ""
        done = f"{self.done} of {self.seeds} seeds{damaged}"
        note = "" if self.done == self.seeds else f" ({done})"
        cells = [
            (mark if self.ranks.get(column) == BEST else str)(
                self.cells.get(column, Spread(())).text(n)
            )
            for column, n in digits.items()
        ]
        note += " (other code)" if self.stale else ""
        return [self.model + note, size(self.parameters), *cells, self.seconds.text(0)]


@dataclass(frozen=True)
class Board:
    """The table of one dataset under one protocol."""

    dataset: str
    protocol: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """Sentences below the table; what stands between backticks is to be shown as code."""
    ranked_by: Column | None = None
    """The metric whose ranks have a column of their own, the first."""
    mark: Callable[[str], str] = str
    """How a format shows the best of a column."""

    @property
    def title(self) -> str:
        """`moving_digits, protocol benchbench v1`."""
        return f"{self.dataset}, protocol {self.protocol}"

    @property
    def headings(self) -> list[str]:
        """Headings of all columns; a metric with two signatures is numbered as in the notes."""
        marks = _marks(self.columns)
        metrics = [column.heading + marks[column] for column in self.columns]
        data = ["Training data"] if self._train_data_differ else []
        rank = ["Rank"] if self.ranked_by else []
        return [*rank, "Model", *data, "Params", *metrics, "Train s"]

    @property
    def right(self) -> list[bool]:
        """Whether the cells of each column stand at the right."""
        return [heading != "Model" for heading in self.headings]

    @property
    def texts(self) -> list[list[str]]:
        """The rows as they are printed."""
        digits = {}
        for column in self.columns:
            means = [row.cells[column].mean for row in self.rows if column in row.cells]
            digits[column] = decimals(column.decimals, column.better, means)
        texts = [row.texts(digits, self.mark) for row in self.rows]
        for cells, row in zip(texts, self.rows, strict=True):
            if self._train_data_differ:
                cells.insert(1, row.train_data or "the dataset's")
            if self.ranked_by:
                cells.insert(0, row.ranks.get(self.ranked_by, ABSENT))
        return texts

    @property
    def _train_data_differ(self) -> bool:
        return any(row.train_data for row in self.rows)


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


def boards(plan: Plan, store: Store, results: Results | None = None) -> list[Board]:
    """The suite's tables; the suite decides rows and order, what is not done is a dash.

    `results` are those of its runs, where they have been read.
    """
    runs = store.read_all(run.spec for run in plan.runs) if results is None else results
    now = codes_of(run.spec for run in plan.runs)
    tables = []
    for dataset in dict.fromkeys(run.dataset for run in plan.runs):
        for protocol in plan.suite.protocols:
            board = _board(plan, runs, now, dataset, protocol)
            ranks = ranks_of(plan, store, runs, dataset, protocol, board.columns)
            tables.append(_ranked(board, ranks))
    return tables


def _ranked(board: Board, ranks: Ranks) -> Board:
    rows = tuple(replace(row, ranks=ranks.row(row.model)) for row in board.rows)
    notes = (*board.notes, *ranks.notes())
    return replace(board, rows=rows, notes=notes, ranked_by=ranks.first)


def _board(
    plan: Plan, results: Results, now: Mapping[str, Code], dataset: str, protocol: str
) -> Board:
    runs = [run for run in plan.runs if run.dataset == dataset]
    planned = Counter(run.model for run in runs)
    scored: dict[str, list[tuple[Record, Summary]]] = {label: [] for label in planned}
    damaged: list[tuple[Run, Damaged]] = []
    unscored = 0
    for run in runs:
        result = results[run.spec.key]
        if isinstance(result, Damaged):
            damaged.append((run, result))
        elif result is not None and protocol in result.scores:
            scored[run.model].append((result.record, result.scores[protocol]))
        unscored += isinstance(result, Finished) and protocol not in result.scores
    summaries = [summary for pairs in scored.values() for _, summary in pairs]
    columns = _columns(summaries)
    data = {run.model: run.train_data for run in runs}
    broken = Counter(run.model for run, _ in damaged)
    records = {label: [record for record, _ in pairs] for label, pairs in scored.items()}
    rows = tuple(
        replace(
            _row(label, scored[label], n, data[label], broken[label]),
            stale=stale_parts(records[label], now),
        )
        for label, n in planned.items()
    )
    notes = [*_notes(columns, summaries, rows), *_infinite(scored), *_validated(scored)]
    notes += origins.notes(records, now)
    if unscored:
        notes.append(
            f"{unscored} finished runs are not scored under {protocol}; `bench run` scores them."
        )
    notes += [f"Damaged: {run.title}: {error}." for run, error in damaged]
    versions = " and ".join(f"v{v}" for v in sorted({summary.version for summary in summaries}))
    return Board(dataset, f"{protocol} {versions}".rstrip(), columns, rows, tuple(notes))


def _columns(summaries: Sequence[Summary]) -> tuple[Column, ...]:
    """The columns of all headline metrics, those of one metric side by side."""
    columns: dict[Column, None] = {}
    for metric in dict.fromkeys(name for summary in summaries for name in summary.headline):
        columns.update({s.scores[metric].column: None for s in summaries if metric in s.scores})
    return tuple(columns)


def _row(
    label: str, pairs: Sequence[tuple[Record, Summary]], seeds: int, data: str, damaged: int
) -> Row:
    cells: dict[Column, tuple[float, ...]] = {}
    for _, summary in pairs:
        for score in summary.scores.values():
            cells[score.column] = (*cells.get(score.column, ()), score.value)
    return Row(
        model=label,
        parameters=pairs[0][0].parameters if pairs else None,
        cells={column: Spread(values) for column, values in cells.items()},
        seconds=Spread(tuple(record.train_seconds for record, _ in pairs)),
        done=len(pairs),
        seeds=seeds,
        train_data=data,
        damaged=damaged,
    )


def _notes(
    columns: Sequence[Column], summaries: Sequence[Summary], rows: Sequence[Row]
) -> list[str]:
    tested = sorted({(summary.sequences, summary.frames) for summary in summaries})
    notes = [
        f"Test set: {sequences:,} sequences, {frames} predicted frames each."
        for sequences, frames in tested
    ]
    if any(row.done > 1 for row in rows):
        notes.append("±: standard deviation over seeds.")
    notes += [
        f"{column.label}{mark} ({column.unit}): `{column.signature}`"
        for column, mark in _marks(columns).items()
    ]
    return notes


def _infinite(scored: Mapping[str, Sequence[tuple[Record, Summary]]]) -> list[str]:
    """How many frames of each model have an infinite score."""
    counts: dict[str, Counter[str]] = {}
    for model, pairs in scored.items():
        for score in (score for _, summary in pairs for score in summary.scores.values()):
            if score.infinite:
                counts.setdefault(score.column.label, Counter())[model] += score.infinite
    return [
        f"Frames whose {label} is infinite: "
        + ", ".join(f"{model} {count:,}" for model, count in models.items())
        + "."
        for label, models in counts.items()
    ]


def _validated(scored: Mapping[str, Sequence[tuple[Record, Summary]]]) -> list[str]:
    """Which models were validated on what they were trained on."""
    models = [
        model
        for model, pairs in scored.items()
        if any(record.steps and record.dataset.get("validates_on_training") for record, _ in pairs)
    ]
    return [f"Validated on clips or images of training: {', '.join(models)}."] if models else []
