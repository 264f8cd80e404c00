"""Published numbers beside ours, each pair with its verdict."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchbench.references.read import names, table
from benchbench.references.schema import METRICS, Row, Table
from benchbench.report.board import ABSENT, Spread
from benchbench.report.facts import Facts, Sample
from benchbench.report.sheet import Cell, Sheet
from benchbench.report.verdict import DEVIATIONS, SEEDS, Verdict, find_sample, judge, judge_size

HEADINGS = ("Published as", "Metric", "Ours (seeds)", "Theirs", "Verdict")
LEGEND = (
    f"Reproduced: the published number is within {DEVIATIONS} standard deviations of our mean over "
    f"at least {SEEDS} seeds; better, worse: beyond. Compared are the declared data, network, "
    "budget and protocol; not optimiser, loss and learning rate."
)


@dataclass(frozen=True)
class Pair:
    """One published number, ours, and what can be said of them."""

    ours: Facts
    table: Table
    row: Row
    metric: str
    """Name of a metric, or `parameters`."""
    frame: int | None
    published: str
    sample: Sample | None
    """Our scores, of the same quantity where they are comparable."""
    verdict: Verdict

    @property
    def label(self) -> str:
        """`MSE`, and below it `Frame 2`."""
        if self.metric == "parameters":
            return "Size, M"
        return METRICS[self.metric].label if self.frame is None else f"Frame {self.frame}"

    @property
    def reference(self) -> str:
        """`CMS-LSTM, Table 1: PredRNN`."""
        return f"{self.table.title.partition(':')[0]}: {self.row.name}"

    @property
    def spread(self) -> Spread:
        """Our values over seeds; none of a number of parameters."""
        return Spread(self.sample.at(self.frame) if self.sample else ())

    @property
    def number(self) -> str:
        """`33.41 ± 0.21 (3)`, with as many digits as were published."""
        if self.metric == "parameters" and self.ours.parameters is not None:
            return f"{self.ours.parameters / 1e6:.3f}"
        if not self.spread.values:
            return ABSENT
        digits = max(2, len(self.published.partition(".")[2]))
        return f"{self.spread.text(digits)} ({len(self.spread.values)})"


def pairs(facts: Sequence[Facts]) -> list[Pair]:
    """All published numbers of the models that were run, beside ours."""
    tables = [table(name) for name in names()]
    return [
        pair
        for ours in facts
        for whole, row in _rows(ours, tables)
        for pair in _pairs(ours, whole, row)
    ]


def _rows(ours: Facts, tables: Sequence[Table]) -> list[tuple[Table, Row]]:
    """Rows of the same model and variant: those on the same dataset, or else all of them."""
    rows = [
        (whole, row)
        for whole in tables
        for row in whole.rows
        if row.model == ours.model and row.is_variant(ours.options)
    ]
    alike = [(whole, row) for whole, row in rows if row.data.dataset == ours.dataset]
    return alike or rows


def _pairs(ours: Facts, whole: Table, row: Row) -> Iterator[Pair]:
    alike = row.data.dataset == ours.dataset
    for metric, number in row.numbers.items():
        sample = find_sample(row, metric, ours) or _first(metric, ours)
        frames: list[tuple[int | None, str]] = [(None, number.printed)]
        frames += enumerate(number.by_frame if alike else (), start=1)
        for frame, printed in frames:
            verdict = judge(row, metric, ours, frame=frame)
            yield Pair(ours, whole, row, metric, frame, printed, sample, verdict)
    verdict_on_size = judge_size(row, ours)
    if alike and row.size is not None and verdict_on_size is not None:
        yield Pair(ours, whole, row, "parameters", None, row.size.digits, None, verdict_on_size)


def _first(metric: str, ours: Facts) -> Sample | None:
    """Our scores under the first protocol that has the metric, to be shown, not compared."""
    return next((sample for sample in ours.samples if sample.column.metric == metric), None)


def sheets(facts: Sequence[Facts]) -> list[Sheet]:
    """A table for each model, to stand below the leaderboard, and the notes of all of them.

    Numbers of one verdict share a row; every reason and every caveat is told once.
    """
    notes = _Notes()
    several = len({ours.dataset_label for ours in facts}) > 1
    tables, others = [], []
    for ours in facts:
        name = f"{ours.label}, {ours.dataset_label}" if several else ours.label
        if rows := tuple(_grouped(pairs([ours]), notes)):
            title = f"{name} beside published numbers"
            tables.append(Sheet(title, HEADINGS, rows, right=frozenset(HEADINGS[2:4])))
        else:
            others.append(name)
    texts = [LEGEND, *notes.lines]
    if others:
        texts.append(f"No published number here is of: {', '.join(others)}.")
    return [*tables, Sheet("Verdicts on published numbers", (), (), tuple(texts))]


class _Notes:
    """Texts that are numbered in the order in which they are first referred to."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        """`[3]`, where the text is told."""
        return f"[{self._numbers.setdefault(text, len(self._numbers) + 1)}]"

    @property
    def lines(self) -> list[str]:
        """All texts, each behind its mark."""
        return [f"[{number}] {text}" for text, number in self._numbers.items()]


def _grouped(pairs_of_model: Sequence[Pair], notes: _Notes) -> Iterator[tuple[Cell, ...]]:
    def key(pair: Pair) -> tuple[str, str]:
        return pair.reference, _verdict(pair.verdict, notes)

    for (reference, verdict), group in itertools.groupby(pairs_of_model, key):
        columns = zip(*((pair.label, pair.number, pair.published) for pair in group), strict=True)
        yield ((reference,), *columns, (verdict,))


def _verdict(verdict: Verdict, notes: _Notes) -> str:
    """`not comparable: data [1], budget [2]`, or `worse [3]`."""
    texts = verdict.by_kind.items()
    reasons = ", ".join(f"{kind} {notes.mark(f'{kind}: {text}')}" for kind, text in texts)
    caveats = "".join(f" {notes.mark(caveat)}" for caveat in verdict.caveats)
    return verdict.word + (f": {reasons}" if reasons else "") + caveats


def tidy(facts: Sequence[Facts]) -> list[dict[str, Any]]:
    """One line for each published number beside ours."""
    return [
        {
            "dataset": pair.ours.dataset_label,
            "model": pair.ours.label,
            "table": pair.table.name,
            "row": pair.row.name,
            "metric": pair.metric,
            "frame": pair.frame,
            "mean": pair.spread.mean if pair.spread.values else None,
            "std": pair.spread.std,
            "seeds": len(pair.spread.values),
            "parameters": pair.ours.parameters,
            "signature": pair.sample.column.signature if pair.sample else None,
            "published": pair.published,
            "verdict": pair.verdict.word,
            "reasons": ". ".join(f"{k}: {why}" for k, why in pair.verdict.by_kind.items()),
            "caveats": ". ".join(pair.verdict.caveats),
            "source": pair.table.source,
        }
        for pair in pairs(facts)
    ]
