"""Contests as people read them: each model's score, each pair's difference and verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.comparison.pairs import (
    LEVEL,
    MOST,
    Comparisons,
    Scores,
    all_pairs,
    compare,
    seeds_to_separate,
)
from benchbench.comparison.standing import standing
from benchbench.report import origins
from benchbench.report.board import Spread
from benchbench.report.ranks import rank_text
from benchbench.report.sheet import Sheet
from benchbench.scoring.summary import decimals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.comparison.contest import Contest
    from benchbench.run.record import Store
    from benchbench.suite.code import Code

SHARE = f"{1 - LEVEL:.0%}".replace("%", " %")
NONE = "none"
"""Where no number of seeds would separate a tie."""


@dataclass(frozen=True)
class Outcome:
    """A contest and what came of it."""

    contest: Contest
    scores: Scores
    pairs: Comparisons
    seeds: np.ndarray[Any, np.dtype[np.int64]]
    """For each pair; see `seeds_to_separate`."""
    ranks: tuple[str, ...] = ()
    """The rank of each model, if all pairs were compared."""

    @property
    def digits(self) -> int:
        """Decimals of the metric."""
        metric = self.contest.metric
        return decimals(metric.decimals, metric.better, map(float, self.scores.means))

    def verdict(self, pair: int) -> str:
        """What can be said of the first model of a pair."""
        if not self.pairs.known[pair]:
            return "unknown"
        if not self.pairs.separated[pair]:
            return "tied"
        lower = self.contest.metric.better == "lower"
        return "better" if (self.pairs.difference[pair] < 0) == lower else "worse"


def outcome(contest: Contest, store: Store, pair: Sequence[str] = ()) -> Outcome:
    """Compares two models of a contest, or all of them.

    Raises:
        UnknownName: the suite has no such model.
        Unfit: it cannot be compared; the message says why.
    """
    places = contest.places(*pair)
    now = standing(contest, store)
    scores = now.scores(contest.entries)
    pairs = compare(scores, np.array([places]) if pair else all_pairs(len(contest.entries)))
    ranks = () if pair else tuple(map(rank_text, now.ranks, now.sure))
    return Outcome(contest, scores, pairs, seeds_to_separate(scores, pairs), ranks)


def sheets(outcome: Outcome, now: Mapping[str, Code]) -> list[Sheet]:
    """The models' scores, and below them the pairs; `now` is today's code by the key of the run."""
    return [_models(outcome), _pairs(outcome, now)]


def _models(outcome: Outcome) -> Sheet:
    contest, metric = outcome.contest, outcome.contest.metric
    places = list(range(len(contest.entries)))
    if not outcome.ranks:
        places = sorted({*outcome.pairs.first.tolist(), *outcome.pairs.second.tolist()})
    heading = f"{metric.label} {'↑' if metric.better == 'higher' else '↓'}"
    rows = []
    for place in places:
        entry, runs = contest.entries[place], outcome.scores.runs[place]
        numbers = f"{len(entry.seeds)}: {', '.join(map(str, entry.seeds))}"
        seeds = numbers if entry.trained else "not trained"
        ranks = ((outcome.ranks[place],),) if outcome.ranks else ()
        rows.append((*ranks, (entry.label,), (Spread(runs).text(outcome.digits),), (seeds,)))
    first = ("Rank",) if outcome.ranks else ()
    title = f"{contest.dataset}, protocol {contest.protocol}"
    right = frozenset({"Rank", heading})
    return Sheet(title, (*first, "Model", heading, "Seeds: which"), tuple(rows), (), right)


def _pairs(outcome: Outcome, now: Mapping[str, Code]) -> Sheet:
    pairs, labels, digits = outcome.pairs, outcome.scores.labels, outcome.digits
    rows = []
    for pair in range(len(pairs)):
        a, b = labels[pairs.first[pair]], labels[pairs.second[pair]]
        ends = f"{pairs.low[pair]:+.{digits}f} to {pairs.high[pair]:+.{digits}f}"
        difference = f"{pairs.difference[pair]:+.{digits}f}"
        texts = (a, b, difference, ends, outcome.verdict(pair), _needed(outcome, pair))
        rows.append(tuple((text,) for text in texts))
    headings = ("Model", "Against", "Difference", "Interval", "Model is", "Seeds")
    right = frozenset({"Difference", "Interval"})
    return Sheet("Differences", headings, tuple(rows), tuple(_notes(outcome, now)), right)


def _needed(outcome: Outcome, pair: int) -> str:
    """How many seeds of each model would separate a tie."""
    if not outcome.pairs.known[pair]:
        return ""
    seeds = int(outcome.seeds[pair])
    return {-2: "", -1: NONE, 0: f">{MOST:,}"}.get(seeds, f"{seeds}")


def _notes(outcome: Outcome, now: Mapping[str, Code]) -> Iterator[str]:
    contest, pairs = outcome.contest, outcome.pairs
    frames = contest.entries[0].runs[0][2].frames
    yield (
        f"{contest.metric.label} ({contest.metric.unit}): {contest.signature}; on "
        f"{outcome.scores.sequences:,} test sequences of {frames} frames, the same for all."
    )
    known = int(pairs.known.sum())
    if known:
        family = f", all {known} pairs taken together (Holm)" if known > 1 else ""
        yield (
            f"Interval of the difference over seeds and sequences at {SHARE}{family}; tied where "
            "it holds 0."
        )
    if known < len(pairs):
        yield (
            "Unknown: with one seed the variance of training is not known; the interval is over "
            f"sequences only, at {SHARE}, and calls no winner. Two seeds are the least, 3 or more "
            "the use."
        )
    if any(not entry.startswith("(") for entry in outcome.ranks):
        yield "Rank: 1 and the number of models that are better by more than chance."
    if any(entry.startswith("(") for entry in outcome.ranks):
        yield "(rank): by the means alone; the variance of training is not known."
    if (outcome.seeds > -2).any():
        yield (
            "Seeds: of each, that would separate a tie 4 times in 5 if the difference is as seen"
            + (f"; {NONE}: the test sequences are too few." if -1 in outcome.seeds else ".")
        )
    records = {e.label: [record for _, record, _ in e.runs] for e in contest.entries}
    yield from origins.notes(records, now)
    for label, reason in contest.absent.items():
        yield f"Left out: {label}: {reason}."


def tidy(outcome: Outcome) -> list[dict[str, Any]]:
    """A line of plain values for each pair."""
    contest, scores, pairs = outcome.contest, outcome.scores, outcome.pairs
    lines = []
    for pair, (a, b) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        first, second = contest.entries[a], contest.entries[b]
        seeds = int(outcome.seeds[pair])
        lines.append(
            {
                "dataset": contest.dataset,
                "protocol": contest.protocol,
                "metric": contest.metric.name,
                "model": first.label,
                "against": second.label,
                "mean": float(scores.means[a]),
                "against_mean": float(scores.means[b]),
                "runs": len(first.runs),
                "against_runs": len(second.runs),
                "sequences": scores.sequences,
                "difference": float(pairs.difference[pair]),
                "low": float(pairs.low[pair]),
                "high": float(pairs.high[pair]),
                "level": float(pairs.level[pair]),
                "p": float(pairs.p[pair]) if pairs.known[pair] else None,
                "verdict": outcome.verdict(pair),
                "seeds_needed": seeds if seeds > 0 else None,
                "signature": contest.signature,
            }
        )
    return lines
