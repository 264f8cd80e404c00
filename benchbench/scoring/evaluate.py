"""The one evaluation loop: a stream of predictions, scored under every protocol at once, pooled."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from benchbench.errors import SchemaError
from benchbench.scoring.compute import Numbers, compute, statistics_of
from benchbench.scoring.protocol import Protocol, Statistic
from benchbench.scoring.rows import rows_in
from benchbench.scoring.stream import Stream, require_finite
from benchbench.scoring.summary import Summary, write_summary


def evaluate(
    stream: Stream,
    protocols: Sequence[Protocol],
    folder: Path,
    *,
    key: str | None = None,
    workers: int = 0,
    watch: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Summary]:
    """Protocol name to the scores of a stream of predictions, in constant memory.

    Writes `<folder>/<protocol>-v<n>.parquet`, then `.json`, of each protocol. Scores are computed
    on the CPU whatever the device of the frames (LPIPS apart), by `workers` threads while the
    stream goes on, 0 meaning in between. Neither they nor the batches change the score of a
    predicted frame. `key` is that of the run that predicts, which its files then carry. `watch` is
    told sequences done and all there are.

    Raises:
        Unfit: a protocol declines the clip, or a frame holds nan or inf.
        DataMissing: a protocol's weight file is absent.
        SchemaError: no protocol.
    """
    if not protocols:
        raise SchemaError("no protocol to score under; name at least one")
    if stream.span is None:
        protocols = [protocol.without_range() for protocol in protocols]
    for protocol in protocols:
        protocol.check(stream.clip)
    done = 0
    horizon = stream.clip.horizon
    with closing(stream.batches), rows_in(folder, protocols, horizon, key=key) as rows:
        for ids, numbers in _computed(stream, statistics_of(protocols), workers):
            for one in rows:
                one.add(ids, numbers)
            done += len(ids)
            watch(done, stream.length)
        summaries = [replace(one.close(), span=stream.span) for one in rows]
    for summary in summaries:
        write_summary(folder, summary)
    return {summary.protocol: summary for summary in summaries}


def mean(statistic: Statistic, stream: Stream) -> float:
    """A statistic's mean over all the predicted frames of a stream, whatever the batches."""
    with closing(stream.batches) as batches:
        numbers = (compute([statistic], x, y)[statistic].flat for _, x, y in batches)
        total = math.fsum(itertools.chain.from_iterable(numbers))
    return total / (stream.length * stream.clip.horizon)


def _computed(
    stream: Stream, statistics: set[Statistic], workers: int
) -> Iterator[tuple[list[str], Numbers]]:
    """Ids and numbers of every batch, in order."""
    networks = {statistic for statistic in statistics if statistic.row.network}
    others = statistics - networks
    waiting: deque[tuple[list[str], Numbers, Future[Numbers]]] = deque()
    first = 0
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="scores") as pool:
        for batch in stream.batches:
            require_finite(batch, first=first)
            first += len(batch.ids)
            perceived = compute(networks, batch.prediction, batch.target)
            # A copy: a predictor may use its memory again while workers score.
            prediction = batch.prediction.to("cpu", copy=workers > 0)
            if workers == 0:
                yield batch.ids, perceived | compute(others, prediction, batch.target)
                continue
            future = pool.submit(compute, others, prediction, batch.target)
            waiting.append((batch.ids, perceived, future))
            while len(waiting) > 2 * workers or (waiting and waiting[0][2].done()):
                ids, perceived, future = waiting.popleft()
                yield ids, perceived | future.result()
        for ids, perceived, future in waiting:
            yield ids, perceived | future.result()
