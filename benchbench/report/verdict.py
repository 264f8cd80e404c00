"""Verdicts: whether runs of ours reproduce a published number, from declared facts of both sides.

A difference alone says nothing. First every fact that makes two numbers one quantity is compared:
the code behind the published one, the data, the network, the budget, the protocol. Only where none
differs, and at least `SEEDS` seeds give a spread, is the difference measured by it.

What is not compared, since few publications declare it: optimiser, loss and learning rate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from benchbench import protocols
from benchbench.references.facts import Fact, Frames
from benchbench.references.schema import Row, differing
from benchbench.report.facts import Facts, Sample
from benchbench.scoring.protocol import Column

SEEDS = 3
"""Least number of seeds whose spread a difference is measured by."""
DEVIATIONS = 2
"""Standard deviations over seeds within which a published number is reproduced."""
ALIKE = 0.01
"""Share by which two budgets may differ: epochs are rounded to whole batches."""

Word = Literal["reproduced", "better", "worse", "not comparable"]


class Reason(NamedTuple):
    """Why two numbers are not comparable."""

    kind: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What can be said of a published number beside ours."""

    word: Word
    reasons: tuple[Reason, ...] = ()
    """Why the two are not comparable: all reasons there are."""
    caveats: tuple[str, ...] = ()
    """What a reader has to know of two that are."""

    @property
    def by_kind(self) -> dict[str, str]:
        """The reasons of each kind in one text."""
        kinds = dict.fromkeys(reason.kind for reason in self.reasons)
        return {
            kind: "; ".join(reason.text for reason in self.reasons if reason.kind == kind)
            for kind in kinds
        }


def judge(row: Row, metric: str, ours: Facts, *, frame: int | None = None) -> Verdict:
    """The verdict on one published number.

    Args:
        row: the published row.
        metric: which of its numbers.
        ours: the facts of our runs.
        frame: the predicted frame, counted from 1, of a number that is published for each.
    """
    number = row.numbers[metric]
    if obstacle := row.obstacle_to(metric):
        return Verdict("not comparable", (Reason(obstacle.kind, obstacle.why),))
    sample = find_sample(row, metric, ours)
    values = sample.at(frame) if sample else ()
    reasons = [*_data(row, ours), *_network(row, ours), *_budget(row, ours)]
    if row.data.dataset == ours.dataset:  # else it does not matter how it was scored
        reasons += _protocol(row, metric, ours) if sample is None else _seeds(values)
    if sample is None or reasons:
        return Verdict("not comparable", tuple(reasons))
    printed = number.value if frame is None else float(number.by_frame[frame - 1])
    return Verdict(_compare(values, printed, sample.column), caveats=_caveats(row, metric, ours))


def judge_size(row: Row, ours: Facts) -> Verdict | None:
    """The verdict on a published number of parameters; None where either side has none."""
    size = row.size
    if size is None or ours.parameters is None:
        return None
    if size.sure == "unknown":
        return _not_sized(f"what the published {size.printed} counts is unknown: {size.note}")
    if size.of_other:
        return _not_sized(f"the published {size.printed} is of {size.of_other}")
    if not size.agrees(ours.parameters):
        return _not_sized(_other_size(row, ours.parameters))
    counted = f"the published count is of {size.counts}"
    caveats = (counted + (f": {size.note}" if size.note else ""),)
    return Verdict("reproduced", caveats=caveats if size.counts != "weights" else ())


def _not_sized(text: str) -> Verdict:
    return Verdict("not comparable", (Reason("network", text),))


def find_sample(row: Row, metric: str, ours: Facts) -> Sample | None:
    """Our scores of the published quantity, under whatever protocol computes just the same.

    None where there are none, or nothing can be compared with it.
    """
    evaluation = row.evaluation(metric)
    if evaluation.name is None or row.obstacle_to(metric):
        return None
    theirs = protocols.get(evaluation.name)[metric].signature(evaluation.version)
    channels = ours.frames.channels
    for sample in ours.samples:
        if sample.column.metric != metric:
            continue
        if _same_number(sample.column.signature, channels) == _same_number(theirs, channels):
            return sample
    return None


def _same_number(signature: str, channels: int) -> tuple[str, ...]:
    """A signature's parts, less those that make no difference to frames of one channel."""
    parts = signature.split("|")
    if channels == 1:
        other = {"per:channel": "per:frame", "mse:hw": "mse:chw"}
        parts = [other.get(part, part) for part in parts if part != "ch:0"]
    return tuple(parts)


def _data(row: Row, ours: Facts) -> Iterator[Reason]:
    theirs = row.data
    if ours.dataset != theirs.dataset:
        yield Reason("data", f"ours is {ours.dataset}, theirs {theirs.dataset}")
    if ours.frames != theirs.frames:
        shapes = _shape(ours.frames), _shape(theirs.frames)
        yield Reason("data", "clips of {}, theirs of {}".format(*shapes))
    if ours.dataset != theirs.dataset:
        return
    for name, text in differing(ours.dataset_options, theirs.options):
        yield Reason("data", f"{name} {text}")
    clips = theirs.train_clips_here or theirs.train_clips
    if clips is not None and ours.train_clips != clips:
        yield Reason("data", f"trained on {_clips(ours.train_clips)}, theirs on {_clips(clips)}")


def _clips(count: int | str | None) -> str:
    """`10,000 clips`."""
    if count is None:
        return "a number of clips that no record tells"
    return f"{count:,} clips" if isinstance(count, int) else "clips that never repeat"


def _shape(frames: Frames) -> str:
    size = f"{frames.channels}x{frames.height}x{frames.width}"
    return f"{size}, {frames.context} frames to {frames.horizon}"


def _network(row: Row, ours: Facts) -> Iterator[Reason]:
    if row.model != ours.model:
        yield Reason("network", f"ours is {ours.model}, theirs {row.model or row.label}")
        return
    for name, text in differing(ours.options, {**row.variant, **row.network.options}):
        yield Reason("network", f"{name} {text}")
    size = row.size
    if size is None or size.sure == "unknown" or size.of_other or ours.parameters is None:
        return
    if not size.agrees(ours.parameters):
        yield Reason("network", _other_size(row, ours.parameters))


def _other_size(row: Row, parameters: int) -> str:
    assert row.size is not None
    count = row.size.count(parameters)
    counted = f", {count:,} counted as theirs" if count != parameters else ""
    return f"{parameters:,} parameters{counted}; theirs {row.size.printed}"


def _budget(row: Row, ours: Facts) -> Iterator[Reason]:
    theirs = row.budget
    if theirs.iterations is None:
        yield Reason("budget", "how long theirs was trained is unknown")
    elif ours.iterations is None:
        yield Reason("budget", "ours was not trained here")
    else:
        pairs = ((ours.batch, theirs.batch), (ours.updates, theirs.updates))
        near = math.isclose(ours.iterations, theirs.iterations, rel_tol=ALIKE)
        if not near or any(b is not None and a != b for a, b in pairs):
            budgets = (
                _iterations(ours.iterations, ours.batch, ours.updates),
                _iterations(theirs.iterations, theirs.batch, theirs.updates),
            )
            yield Reason("budget", "{}; theirs {}".format(*budgets))


def _iterations(iterations: int, batch: int | None, updates: int | None) -> str:
    of = "" if batch is None else f" of {batch} clips"
    twice = ", two updates each" if updates == 2 else ""
    return f"{iterations:,} iterations{of}{twice}"


def _protocol(row: Row, metric: str, ours: Facts) -> Iterator[Reason]:
    evaluation = row.evaluation(metric)
    assert evaluation.name is not None
    theirs = protocols.get(evaluation.name)[metric]
    stem, channels = f"{evaluation.name} v{evaluation.version}", ours.frames.channels
    columns = [sample.column for sample in ours.samples if sample.column.metric == metric]
    if channels > 1 and columns and theirs.unit not in {column.unit for column in columns}:
        units = ", ".join(dict.fromkeys(column.unit for column in columns))
        yield Reason("scale", f"ours is the {units}; theirs the {theirs.unit}, by {stem}")
        return
    same = _same_number(theirs.signature(evaluation.version), channels)[:-1]
    if any(_same_number(column.signature, channels)[:-1] == same for column in columns):
        yield Reason("protocol", f"scored by another version than {stem}")
    else:
        yield Reason("protocol", f"not scored as by {stem}; name it in the suite's protocols")


def _seeds(values: tuple[float, ...]) -> Iterator[Reason]:
    count = len(values)
    if not all(map(math.isfinite, values)):
        yield Reason("seeds", "a seed of ours has no finite number")
    elif count < SEEDS:
        yield Reason("seeds", f"{count} seed{'s' * (count != 1)}; at least {SEEDS} are needed")
    elif len(set(values)) == 1:
        yield Reason("seeds", f"{count} seeds gave one number, which has no spread")


def _compare(values: tuple[float, ...], printed: float, column: Column) -> Word:
    difference = statistics.fmean(values) - printed
    bound = DEVIATIONS * statistics.stdev(values)
    if abs(difference) <= bound or math.isclose(abs(difference), bound):
        return "reproduced"
    return "better" if (difference > 0) is (column.better == "higher") else "worse"


def _caveats(row: Row, metric: str, ours: Facts) -> tuple[str, ...]:
    """What is not sure about the facts that were compared, and what the row itself tells."""
    stale = ", ".join(ours.other_code)
    facts: tuple[tuple[str, Fact], ...] = (
        ("network", row.network),
        ("protocol", row.evaluation(metric)),
        ("budget", row.budget),
        ("data", row.data),
    )
    unsure = (f"{name} ({fact.sure}): {fact.note}" for name, fact in facts if fact.sure != "yes")
    note = row.numbers[metric].note
    code = f"ours is of other code than today's: {stale}" if stale else ""
    return (*row.caveats, *unsure, *filter(None, (note, code)))
