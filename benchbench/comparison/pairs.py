"""Comparison: whether two models differ by more than their seeds and the test sequences explain.

The score of run r of a model on sequence s is taken to be the model's level, plus what the run's
seed did, plus what the model makes of the sequence, plus a rest. Both models are tested on the same
sequences, so that a hard one is hard for both and cancels in the difference. The variance of the
difference of two means has a part for each model's runs (of their means, by the number of runs) and
one for the sequences (of the models' difference on each, by the number of sequences, less the rest,
which the runs' parts hold already). Runs of two models are not paired by their seed: equal seeds
begin unlike networks.

The degrees of freedom are the parts' own, averaged harmonically with the parts as weights. That is
more careful than Welch and Satterthwaite, whose interval calls 7 % false winners at 3 seeds where
one model varies three times as much as the other; this one called 1 to 5.3 % in simulations of all
ratios of the spreads, at equal numbers of seeds from 3 on (5.9 % where one has 3 and the other 10).
With two seeds of a model the pair has one degree of freedom, which keeps 5 % too. Sequences count
as independent; windows that overlap are less than that, and their intervals too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchbench.errors import Unfit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.05
"""Share of tables of equal models in which a winner may be called."""
POWER = 0.8
"""Chance at which a number of seeds is said to separate two models."""
MOST = 1000
"""Seeds beyond which none are counted."""
ROUNDING = 1e-9
"""Share of a score below which a difference is one of rounding."""


@dataclass(frozen=True)
class Scores:
    """What comparisons need of several models' scores on the same sequences."""

    labels: tuple[str, ...]
    runs: tuple[tuple[float, ...], ...]
    """The score of each run of each model."""
    trained: tuple[bool, ...]
    """Whether a model is trained, so that another seed would give another score."""
    rest: Floats
    """(M,) variance that neither run nor sequence explains; 0 with one run."""
    covariance: Floats
    """(M, M) covariance over sequences of the models' means over runs."""
    sequences: int

    @classmethod
    def of(cls, models: Iterable[tuple[str, bool, Floats]]) -> Scores:
        """The scores of models, each its label, whether it is trained, and (runs, sequences).

        Raises:
            Unfit: there are fewer than two sequences.
        """
        labels, trained, runs, rest, sequences = [], [], [], [], []
        for label, trains, values in models:
            if values.shape[1] < 2:
                raise Unfit(f"{label}: one test sequence; a comparison needs two or more")
            labels.append(label)
            trained.append(trains)
            runs.append(tuple(map(float, values.mean(1))))
            rest.append(_rest(values))
            sequences.append(values.mean(0))
        covariance = np.atleast_2d(np.cov(np.stack(sequences)))
        return cls(
            tuple(labels),
            tuple(runs),
            tuple(trained),
            np.array(rest),
            covariance,
            len(sequences[0]),
        )

    @property
    def means(self) -> Floats:
        """(M,) mean score of each model."""
        return np.array([np.mean(runs) for runs in self.runs])


def _rest(values: Floats) -> float:
    """Mean square of what is left of (runs, sequences) without the effects of both."""
    runs, sequences = values.shape
    if runs == 1:
        return 0.0
    left = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    return float((left**2).sum() / ((runs - 1) * (sequences - 1)))


@dataclass(frozen=True)
class Comparisons:
    """Pairs of models, an element of each array for a pair."""

    first: Ints
    second: Ints
    """Places of the models in `Scores`."""
    difference: Floats
    """Mean of the first less that of the second."""
    low: Floats
    high: Floats
    """Interval of the difference; over sequences alone where training's variance is unknown."""
    p: Floats
    """Chance of so large a difference between equals, uncorrected; nan where unknown."""
    known: npt.NDArray[np.bool_]
    """Whether training's variance is: both models have two runs, or need no training."""
    separated: npt.NDArray[np.bool_]
    """Whether the difference is more than chance, all pairs taken together (Holm)."""
    level: Floats
    """Share of intervals that miss the difference; less than `LEVEL` where pairs are many."""

    def __len__(self) -> int:
        return len(self.first)

    def ranks(self, means: Floats, *, lower: bool) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Each model's rank, and whether it is sure.

        The rank is 1 and the number of models that are better by more than chance. Where training's
        variance is unknown the means alone decide, and the rank is not sure.
        """
        beyond = self.separated | ~self.known
        ahead = (self.difference < 0) == lower
        behind = np.where(ahead, self.second, self.first)
        different = beyond & (self.difference != 0)
        ranks = 1 + np.bincount(behind[different], minlength=len(means))
        unknown = np.concatenate([self.first[~self.known], self.second[~self.known]])
        return ranks, np.bincount(unknown, minlength=len(means)) == 0


def all_pairs(count: int) -> Ints:
    """(P, 2) places of all pairs of so many models."""
    return np.stack(np.triu_indices(count, 1), axis=1)


def compare(scores: Scores, pairs: Ints | Sequence[tuple[int, int]]) -> Comparisons:
    """Compares pairs of models, as one family: Holm's correction is over all those known."""
    from scipy import stats

    first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    means = scores.means
    difference = means[first] - means[second]
    scale = np.maximum(np.abs(means[first]), np.abs(means[second]))
    difference[np.abs(difference) <= ROUNDING * scale] = 0
    spread = _Spread.of(scores, first, second)
    variance, freedom = spread.at(spread.runs)
    error = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(difference == 0, 0, np.abs(difference) / error)
    p = np.where(spread.known, 2 * stats.t.sf(t, freedom), np.nan)
    separated, level = holm(p, spread.known)
    half = stats.t.isf(level / 2, freedom) * error
    interval = (difference, difference - half, difference + half)
    return Comparisons(first, second, *interval, p, spread.known, separated, level)


def holm(p: Floats, known: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which pairs Holm's procedure separates, and the level of each one's interval.

    An interval at that level holds 0 if and only if the pair is not separated.
    """
    order = np.flatnonzero(known)[np.argsort(p[known], kind="stable")]
    levels = LEVEL / np.arange(len(order), 0, -1)
    failures = np.flatnonzero(p[order] > levels)
    stop = int(failures[0]) if len(failures) else len(order)
    separated, level = np.zeros(len(p), dtype=bool), np.full(len(p), LEVEL)
    separated[order[:stop]] = True
    level[order] = levels[np.minimum(np.arange(len(order)), stop)]
    return separated, level


@dataclass(frozen=True)
class _Spread:
    """The parts of the variance of pairs' differences."""

    runs: Ints
    """(2, P) runs of both models."""
    trained: npt.NDArray[np.bool_]
    """(2, P) whether they are trained."""
    of_runs: Floats
    """(2, P) variance between the runs of each."""
    of_sequences: Floats
    """(P,) variance of the means' difference that more runs would leave."""
    sequences: int

    @classmethod
    def of(cls, scores: Scores, first: Ints, second: Ints) -> _Spread:
        pair = np.stack([first, second])
        runs = np.array([len(runs) for runs in scores.runs])
        several = [
            np.var(runs, ddof=1) if trained and len(runs) > 1 else 0.0
            for runs, trained in zip(scores.runs, scores.trained, strict=True)
        ]
        own = np.diag(scores.covariance)
        shared = own[first] + own[second] - 2 * scores.covariance[first, second]
        rest = (scores.rest / runs)[pair].sum(0)
        of_sequences = np.maximum(shared - rest, 0) / scores.sequences
        trained = np.array(scores.trained)[pair]
        return cls(runs[pair], trained, np.array(several)[pair], of_sequences, scores.sequences)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return np.asarray((~self.trained | (self.runs > 1)).all(0))

    def only(self, chosen: npt.NDArray[np.bool_]) -> _Spread:
        """Those of some pairs."""
        runs, trained = self.runs[:, chosen], self.trained[:, chosen]
        parts = self.of_runs[:, chosen], self.of_sequences[chosen]
        return _Spread(runs, trained, *parts, self.sequences)

    def at(self, runs: Ints) -> tuple[Floats, Floats]:
        """Variance of the difference and degrees of freedom, with (2, P) runs."""
        parts = np.stack([*(self.of_runs / runs), self.of_sequences])
        freedoms = np.stack([*np.maximum(runs - 1, 1), np.full(len(parts[2]), self.sequences - 1)])
        variance = parts.sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            freedom = variance / (parts / freedoms).sum(0)
        two = (self.trained & (runs == 2)).any(0)
        return variance, np.where(two | (variance == 0), 1, freedom)


def seeds_to_separate(scores: Scores, pairs: Comparisons) -> Ints:
    """Seeds of each model with which ties are separated, if the differences are the true ones.

    0: over `MOST`; -1: no number, for the sequences are too few; -2: no tie of trained models, or
    no difference at all.
    """
    spread = _Spread.of(scores, pairs.first, pairs.second)
    tied = spread.known & ~pairs.separated & (pairs.difference != 0) & spread.trained.any(0)
    seeds = np.full(len(pairs), -2)
    seeds[tied] = _seeds(np.abs(pairs.difference[tied]), pairs.level[tied], spread.only(tied))
    return seeds


def _seeds(difference: Floats, level: Floats, spread: _Spread) -> Ints:
    few = spread.runs.max(0)
    many = np.full(len(few), MOST)
    enough = _power(difference, level, spread, many) >= POWER
    endless = _power(difference, level, spread, np.full(len(few), 10**9)) >= POWER
    while (few + 1 < many).any():
        middle = (few + many) // 2
        reached = _power(difference, level, spread, middle) >= POWER
        few, many = np.where(reached, few, middle), np.where(reached, middle, many)
    return np.where(enough, many, np.where(endless, 0, -1))


def _power(difference: Floats, level: Floats, spread: _Spread, seeds: Ints) -> Floats:
    """Chance that the differences are separated with so many seeds of every trained model."""
    from scipy import stats

    variance, freedom = spread.at(np.where(spread.trained, seeds, 1))
    t = stats.t.isf(level / 2, freedom)
    with np.errstate(divide="ignore"):
        shift = np.minimum(difference / np.sqrt(variance), 30)  # certain, and beyond it unreliable
    return np.asarray(stats.nct.sf(t, freedom, shift))
