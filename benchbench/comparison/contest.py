"""Contest: the models of a suite that can be compared on one dataset under one metric.

They have runs of all the seeds that the suite plans, scored under the same signature on the same
test sequences, all finite. Whoever cannot be compared is named with the reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench import protocols
from benchbench.errors import Damaged, Unfit, UnknownName, nearest
from benchbench.run.record import Finished, Record, Results, score_files

if TYPE_CHECKING:
    from benchbench.run.record import Store
    from benchbench.scoring.protocol import Metric, Protocol
    from benchbench.scoring.summary import Summary
    from benchbench.suite.plan import Plan, Run


@dataclass(frozen=True)
class Entry:
    """A model with all its runs."""

    label: str
    trained: bool
    """Whether another seed would give other numbers; a checkpoint was trained by somebody."""
    runs: tuple[tuple[Path, Record, Summary], ...]
    """Folder, record and scores of each run, in the order of the seeds."""

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs."""
        return [record.spec["seed"] for _, record, _ in self.runs]


@dataclass(frozen=True)
class Contest:
    """Models that can be compared, in the suite's order, and those that cannot."""

    dataset: str
    """Its label."""
    protocol: str
    metric: Metric
    signature: str
    entries: tuple[Entry, ...]
    absent: Mapping[str, str]
    """Why each of the other models cannot be compared."""

    def places(self, *labels: str) -> tuple[int, ...]:
        """The places of models among the entries.

        Raises:
            UnknownName: the suite has no such model on this dataset.
            Unfit: it cannot be compared; the message says why.
        """
        names = [entry.label for entry in self.entries]
        for label in labels:
            if label in self.absent:
                raise Unfit(f"{label} on {self.dataset}: {self.absent[label]}")
            if label not in names:
                raise UnknownName(f"the suite has no model '{label}'{nearest(label, names)}")
        return tuple(map(names.index, labels))


def contests(
    plan: Plan, store: Store, *, protocol: str | None = None, metric: str | None = None
) -> list[Contest]:
    """A contest for each dataset of a suite.

    Args:
        plan: the suite's runs.
        store: where they lie.
        protocol: one of the suite's; the first if absent.
        metric: one of the protocol's; the one that ranks the suite's models if absent.

    Raises:
        UnknownName: the suite has no such protocol, or the protocol no such metric.
    """
    ours = plan.suite.protocols
    if protocol is not None and protocol not in ours:
        raise UnknownName(f"the suite has no protocol '{protocol}'{nearest(protocol, ours)}")
    results = store.read_all(run.spec for run in plan.runs)
    datasets = dict.fromkeys(run.dataset for run in plan.runs)
    return [contest(plan, store, results, one, protocol or ours[0], metric) for one in datasets]


def first_metric(plan: Plan, rules: Protocol) -> str:
    """The metric by which a suite ranks its models, or what comes nearest to it in a protocol."""
    names = [metric.name for metric in rules.metrics]
    wishes = (plan.suite.rank_by, "mse", *rules.headline, *names)
    return next(name for name in wishes if name in names)


def contest(
    plan: Plan, store: Store, results: Results, dataset: str, protocol: str, metric: str | None
) -> Contest:
    """The contest of one dataset; see `contests`."""
    rules = protocols.get(protocol)
    metric = metric or first_metric(plan, rules)
    signature = rules.signature(metric)
    rows: dict[str, list[Run]] = {}
    for run in plan.runs:
        if run.dataset == dataset:
            rows.setdefault(run.model, []).append(run)
    entries, absent = [], {}
    for label, runs in rows.items():
        if fault := _fault(runs, results, protocol, metric, signature):
            absent[label] = fault
        else:
            entries.append(_entry(label, runs, store, results, protocol))
    entries, others = _of_one_test(entries)
    return Contest(
        *(dataset, protocol, rules[metric], signature, tuple(entries)), {**absent, **others}
    )


def _entry(label: str, runs: Sequence[Run], store: Store, results: Results, protocol: str) -> Entry:
    trained = any(run.spec.train is not None or run.spec.weights for run in runs)
    finished = []
    for run in runs:
        result = results[run.spec.key]
        assert isinstance(result, Finished)
        finished.append((store.folder(run.spec), result.record, result.scores[protocol]))
    return Entry(label, trained, tuple(finished))


def _fault(
    runs: Sequence[Run], results: Results, protocol: str, metric: str, signature: str
) -> str:
    """Why a model's runs cannot be compared; empty if they can."""
    scored: list[tuple[Run, Summary]] = []
    for run in runs:
        result = results[run.spec.key]
        if isinstance(result, Damaged):
            return f"damaged: {result}"
        if result is not None and protocol in result.scores:
            scored.append((run, result.scores[protocol]))
    if len(scored) < len(runs):
        done = [run.spec.seed for run, _ in scored]
        fewer = f", or compare fewer with 'seeds={done}'" if done else ""
        return f"{len(done)} of {len(runs)} seeds are scored; run the suite{fewer}"
    for run, summary in scored:
        result = results[run.spec.key]
        if isinstance(result, Finished) and rows_of(summary) not in result.record.files:
            return f"the scores of each frame of seed {run.spec.seed} are not there"
        score = summary.scores.get(metric)
        if score is None or score.column.signature != signature:
            was = "not at all" if score is None else f"as {score.column.signature}"
            return f"{metric} was scored {was}, not as {signature}; `bench run` scores it again"
        if not math.isfinite(score.value):
            return (
                f"the {score.column.label} of seed {run.spec.seed} is infinite, for "
                f"{score.infinite:,} perfect frames; compare an error, as --metric mse"
            )
    return ""


def rows_of(summary: Summary) -> str:
    """The place of the scores of every frame in a run's folder."""
    return score_files(summary.stem)[0]


def _of_one_test(entries: Sequence[Entry]) -> tuple[list[Entry], dict[str, str]]:
    """Those tested on what most were tested on, and why each of the others is not comparable."""
    tests = {entry.label: list(dict.fromkeys(map(_test, entry.runs))) for entry in entries}
    if not tests:
        return [], {}
    counts = Counter(test for each in tests.values() for test in each)
    (usual, _), *_ = counts.most_common(1)
    same = [entry for entry in entries if tests[entry.label] == [usual]]
    absent = {
        label: "tested on " + _differing(next(test for test in each if test != usual), usual)
        for label, each in tests.items()
        if each != [usual]
    }
    return same, absent


_FACTS = ("test sequences", "predicted frames", "ids", "range", "test_ids", "test_first")


def _test(run: tuple[Path, Record, Summary]) -> tuple[Any, ...]:
    """What a run was tested on: number and ids of the sequences, frames, range, data."""
    _, record, summary = run
    data = (record.dataset.get("test_ids"), record.dataset.get("test_first"))
    return (summary.sequences, summary.frames, summary.ids_sha256, summary.span, *data)


def _differing(test: tuple[Any, ...], usual: tuple[Any, ...]) -> str:
    """`6 test sequences, the others on 8`: the first fact in which two tests differ."""
    pairs = zip(_FACTS, test, usual, strict=True)
    name, mine, theirs = next(pair for pair in pairs if pair[1] != pair[2])
    if name in ("test sequences", "predicted frames"):
        return f"{mine:,} {name}, the others on {theirs:,}"
    if name == "range":
        return f"data of range {mine}, the others of {theirs}"
    what = "sequences" if "ids" in name else "frames of the sequences"
    return f"other {what} than the others ({str(mine)[:12]}…, not {str(theirs)[:12]}…)"
