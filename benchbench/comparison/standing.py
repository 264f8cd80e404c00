"""Standing: the scores of a contest's models and their ranks, kept beside the runs.

Reading the scores of every sequence takes seconds for many runs, so that what comparisons need of
them lies in `.comparisons/` of the results folder, named by the digest of all that it was made of:
nothing there is ever stale, and all of it may be deleted.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchbench.comparison.contest import rows_of
from benchbench.comparison.pairs import Scores, all_pairs, compare
from benchbench.digest import values_digest
from benchbench.jsonfile import read_cache, write_cache
from benchbench.run.record import check_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from benchbench.comparison.contest import Contest, Entry
    from benchbench.run.record import Record, Store
    from benchbench.scoring.protocol import Metric
    from benchbench.scoring.summary import Summary

FOLDER = ".comparisons"
METHOD = 1
"""Raised when the same scores give another standing."""


@dataclass(frozen=True)
class Standing:
    """How the models of a contest stand to one another, in plain values."""

    runs: list[list[float]]
    rest: list[float]
    covariance: list[float]
    """Upper triangle, row by row."""
    sequences: int
    ranks: list[int]
    sure: list[bool]
    """Whether a rank tells more than the order of the means."""

    @classmethod
    def of(cls, scores: Scores, *, lower: bool) -> Standing:
        """The standing of models with these scores."""
        count = len(scores.labels)
        ranks, sure = compare(scores, all_pairs(count)).ranks(scores.means, lower=lower)
        return cls(
            runs=[list(runs) for runs in scores.runs],
            rest=scores.rest.tolist(),
            covariance=scores.covariance[np.triu_indices(count)].tolist(),
            sequences=scores.sequences,
            ranks=ranks.tolist(),
            sure=sure.tolist(),
        )

    def scores(self, entries: tuple[Entry, ...]) -> Scores:
        """The scores, as comparisons need them, of the entries that it is of."""
        count = len(entries)
        covariance = np.zeros((count, count))
        covariance[np.triu_indices(count)] = self.covariance
        covariance += np.triu(covariance, 1).T
        return Scores(
            labels=tuple(entry.label for entry in entries),
            runs=tuple(map(tuple, self.runs)),
            trained=tuple(entry.trained for entry in entries),
            rest=np.array(self.rest),
            covariance=covariance,
            sequences=self.sequences,
        )


def standing(contest: Contest, store: Store) -> Standing:
    """The standing of a contest of one model or more, from its file or from the scores.

    Raises:
        Damaged: a file of scores is not what was written.
        Unfit: there is one test sequence only.
    """
    path = store.root / FOLDER / f"{_digest(contest)}.json"
    if (cached := read_cache(path, Standing)) is not None:
        return cached
    lower = contest.metric.better == "lower"
    models = (
        (entry.label, entry.trained, np.stack([_read(*run, contest.metric) for run in entry.runs]))
        for entry in contest.entries
    )
    new = Standing.of(Scores.of(models), lower=lower)
    with contextlib.suppress(OSError):  # somebody else's results, which are read only
        write_cache(path, asdict(new))
    return new


def _digest(contest: Contest) -> str:
    """Digest of all that a standing is made of."""
    entries = [
        [
            entry.label,
            entry.trained,
            [record.files[rows_of(s)].sha256 for _, record, s in entry.runs],
        ]
        for entry in contest.entries
    ]
    facts = {"method": METHOD, "signature": contest.signature, "entries": entries}
    return values_digest(facts)[:32]


def _read(
    folder: Path, record: Record, summary: Summary, metric: Metric
) -> npt.NDArray[np.float64]:
    """The score of every test sequence of a run.

    Raises:
        Damaged: the file is not what was written.
    """
    import pandas as pd

    name = rows_of(summary)
    check_file(folder, record, name)
    column = pd.read_parquet(folder / name, columns=[metric.name])[metric.name]
    return metric.by_sequence(column.to_numpy().reshape(summary.sequences, summary.frames))
