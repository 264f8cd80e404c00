"""Ranks: which rows of a table are best under each metric, and which are tied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from benchbench import protocols
from benchbench.comparison.contest import Contest, contest, first_metric
from benchbench.comparison.standing import Standing, standing
from benchbench.errors import Damaged, Unfit

if TYPE_CHECKING:
    from benchbench.run.record import Results, Store
    from benchbench.scoring.protocol import Column
    from benchbench.suite.plan import Plan

BEST = "1"
"""The rank of a model that no other beats beyond chance."""


@dataclass(frozen=True)
class Ranks:
    """The rank of each model under each metric; in brackets where the means alone decide."""

    of: Mapping[Column, Mapping[str, str]] = field(default_factory=dict)
    first: Column | None = None
    """The metric of the suite's `rank_by`, whose ranks stand in a column of their own."""
    worse: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """Models that are worse than one that needs no training, each with the metrics in which."""
    faults: tuple[str, ...] = ()

    def row(self, model: str) -> dict[Column, str]:
        """A model's ranks."""
        return {column: ranks[model] for column, ranks in self.of.items() if model in ranks}

    def notes(self) -> Iterator[str]:
        """Sentences on how the ranks are to be read."""
        texts = [rank for ranks in self.of.values() for rank in ranks.values()]
        if self.first is not None and any("(" not in text for text in texts):
            yield (
                f"Rank: by {self.first.label}, 1 and the number of models that are better by more "
                "than chance over seeds and sequences (`bench compare`); the same rank is a tie."
            )
        if BEST in texts:
            yield "Bold, or with a star: best of its column, or tied with the best."
        if any("(" in text for text in texts):
            yield (
                "Rank in brackets: by the means alone; with one seed the variance of training is "
                "not known."
            )
        for simple, models in self.worse.items():
            parts = (f"{model} ({', '.join(metrics)})" for model, metrics in models.items())
            yield f"Mean worse than that of {simple}, which needs no training: {', '.join(parts)}."
        yield from self.faults


def ranks_of(
    plan: Plan,
    store: Store,
    results: Results,
    dataset: str,
    protocol: str,
    columns: Sequence[Column],
) -> Ranks:
    """The ranks of a suite's models on one dataset in the columns of one protocol.

    A metric has none where fewer than two models can be compared.
    """
    of: dict[Column, Mapping[str, str]] = {}
    worse: dict[str, dict[str, list[str]]] = {}
    faults: dict[str, None] = {}
    rules = protocols.get(protocol)
    for column in columns:
        entrants = contest(plan, store, results, dataset, protocol, column.metric)
        if len(entrants.entries) < 2 or entrants.signature != column.signature:
            continue
        try:
            now = standing(entrants, store)
        except (Damaged, Unfit) as error:
            faults[f"No ranks: {error}."] = None
            continue
        labels = [entry.label for entry in entrants.entries]
        of[column] = dict(zip(labels, map(rank_text, now.ranks, now.sure), strict=True))
        for simple, model in _behind_the_untrained(entrants, now):
            worse.setdefault(simple, {}).setdefault(model, []).append(column.label)
    first = next((column for column in of if column.metric == first_metric(plan, rules)), None)
    return Ranks(of, first, worse, tuple(faults))


def rank_text(rank: int, sure: bool) -> str:
    """A rank as tables show it, in brackets if the means alone made it."""
    return str(rank) if sure else f"({rank})"


def _behind_the_untrained(entrants: Contest, now: Standing) -> Iterator[tuple[str, str]]:
    """Labels of models without training, each with one whose mean is worse."""
    means = [fmean(runs) for runs in now.runs]
    lower = entrants.metric.better == "lower"
    for simple, level in zip(entrants.entries, means, strict=True):
        if not simple.trained:
            for entry, mean in zip(entrants.entries, means, strict=True):
                if entry.trained and mean != level and (mean > level) == lower:
                    yield simple.label, entry.label
