"""Facts: what is declared of a suite's runs, as verdicts compare it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchbench.references.facts import Frames
from benchbench.report.origins import stale_parts
from benchbench.run.record import Finished
from benchbench.scoring.protocol import Column
from benchbench.scoring.summary import Score, Summary
from benchbench.suite.code import Code, codes_of

if TYPE_CHECKING:
    from benchbench.clip import Clip
    from benchbench.run.record import Results, Store
    from benchbench.suite.plan import Plan, Run


@dataclass(frozen=True)
class Sample:
    """One metric of ours, a value for each seed."""

    column: Column
    values: tuple[float, ...]
    by_frame: tuple[tuple[float, ...], ...] = ()
    """For each seed, one value a predicted frame."""

    def at(self, frame: int | None) -> tuple[float, ...]:
        """The values over all frames, or at one, counted from 1."""
        if frame is None:
            return self.values
        return tuple(values[frame - 1] for values in self.by_frame if len(values) >= frame)


@dataclass(frozen=True)
class Facts:
    """What is declared of a row of ours: the runs of one model on one dataset."""

    label: str
    dataset_label: str
    model: str
    options: Mapping[str, Any]
    dataset: str
    dataset_options: Mapping[str, Any]
    frames: Frames
    train_clips: int | Literal["endless"] | None
    """None where no record says it."""
    iterations: int | None
    """None where nothing was trained here."""
    batch: int | None
    updates: int | None
    """Optimiser steps an iteration."""
    parameters: int | None
    samples: tuple[Sample, ...]
    other_code: tuple[str, ...] = ()
    """Parts of the code that are other today than when a run was made."""


def facts_of(plan: Plan, store: Store, results: Results | None = None) -> list[Facts]:
    """One for each model on each dataset of the suite that has finished runs, in its order.

    `results` are those of its runs, where they have been read.
    """
    rows: dict[tuple[str, str], list[Run]] = {}
    for run in plan.runs:
        rows.setdefault((run.dataset, run.model), []).append(run)
    clips = {source.label: source.clip for source in plan.datasets}
    now = codes_of(run.spec for run in plan.runs)
    results = store.read_all(run.spec for run in plan.runs) if results is None else results
    facts = []
    for (dataset, _), runs in rows.items():
        each = [results[run.spec.key] for run in runs]
        # the leaderboard tells of damaged ones, which give no number
        if finished := [result for result in each if isinstance(result, Finished)]:
            facts.append(_facts(runs[0], clips[dataset], finished, now))
    return facts


def _facts(run: Run, clip: Clip, finished: Sequence[Finished], now: Mapping[str, Code]) -> Facts:
    spec = run.spec
    train = spec.train if spec.weights is None else None
    record = finished[0].record
    return Facts(
        label=run.model,
        dataset_label=run.dataset,
        model=spec.model,
        options=spec.model_options,
        dataset=spec.dataset,
        dataset_options=spec.dataset_options,
        frames=_frames(clip),
        train_clips=_train_clips(record.dataset),
        iterations=train.iterations if train else None,
        batch=train.batch if train else None,
        updates=1 + train.reverse_clip if train else None,
        parameters=record.parameters,
        samples=tuple(_samples(result.scores for result in finished)),
        other_code=stale_parts([result.record for result in finished], now),
    )


def _frames(clip: Clip) -> Frames:
    return Frames(
        channels=clip.channels,
        height=clip.height,
        width=clip.width,
        context=clip.context,
        horizon=clip.horizon,
    )


def _samples(seeds: Iterable[Mapping[str, Summary]]) -> Iterator[Sample]:
    scores: dict[Column, list[Score]] = {}
    for summaries in seeds:
        # two protocols may share a column: each seed counts once
        columns = {s.column: s for summary in summaries.values() for s in summary.scores.values()}
        for column, score in columns.items():
            scores.setdefault(column, []).append(score)
    for column, of_seeds in scores.items():
        values = tuple(score.value for score in of_seeds)
        yield Sample(column, values, tuple(score.by_frame for score in of_seeds))


def _train_clips(passport: Mapping[str, Any]) -> int | Literal["endless"] | None:
    """Clips of the training set, as the dataset's passport tells it."""
    splits = passport.get("splits")
    if not isinstance(splits, dict) or "train" not in splits:
        return None
    count = splits["train"]
    return "endless" if count is None else int(count)
