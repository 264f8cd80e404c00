"""Rows: one Parquet row a test sequence and predicted frame, and their pooling, streamed.

Rows are written in groups of a fixed number of sequences and pooled in the same groups, so that the
file and the pooled numbers do not depend on how the sequences arrived in batches.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchbench.atomic import replacing
from benchbench.scoring.compute import Numbers
from benchbench.scoring.protocol import Metric, Protocol
from benchbench.scoring.summary import Score, Summary

GROUP = 1024
"""Sequences a row group."""


class Rows:
    """The rows of one protocol: written and pooled while sequences come, a group held at most."""

    def __init__(self, protocol: Protocol, horizon: int, path: Path, key: str | None) -> None:
        self.protocol = protocol
        self.horizon = horizon
        self.key = key
        columns = [(metric.name, pa.float64()) for metric in protocol.metrics]
        text = pa.dictionary(pa.int32(), pa.string())
        signatures = {metric.name: protocol.signature(metric.name) for metric in protocol.metrics}
        owner = {} if key is None else {"key": key}
        self.schema = pa.schema(
            [("sequence", pa.int64()), ("id", text), ("frame", pa.int32()), *columns],
            metadata={"protocol": f"{protocol.name} v{protocol.version}", **owner, **signatures},
        )
        self.writer = pq.ParquetWriter(path, self.schema)
        self.digest = hashlib.sha256()
        self.sequences = 0
        self.sums = {metric.name: np.zeros(horizon) for metric in protocol.metrics}
        self.infinite = {metric.name: 0 for metric in protocol.metrics}
        self._ids: list[str] = []
        # Allocated once: small arrays kept from every batch would tear the heap to pieces.
        self._group: dict[Metric, npt.NDArray[np.float64]] = {
            metric: np.empty((GROUP, horizon)) for metric in protocol.metrics
        }

    def add(self, ids: Sequence[str], numbers: Numbers) -> None:
        """Appends sequences: their ids and (B, T) numbers of every statistic."""
        for b, name in enumerate(ids):
            for metric, values in self._group.items():
                values[len(self._ids)] = numbers[metric.statistic][b]
            self._ids.append(name)
            if len(self._ids) == GROUP:
                self._flush()

    def _flush(self) -> None:
        count = len(self._ids)
        if not count:
            return
        sequence = np.arange(self.sequences, self.sequences + count)
        places = pa.array(np.repeat(np.arange(count, dtype=np.int32), self.horizon))
        columns = [
            pa.array(np.repeat(sequence, self.horizon)),
            pa.DictionaryArray.from_arrays(places, pa.array(self._ids, pa.string())),
            pa.array(np.tile(np.arange(self.horizon, dtype=np.int32), count)),
        ]
        for metric, group in self._group.items():
            values = group[:count]
            columns.append(pa.array(values.reshape(-1)))
            self.sums[metric.name] += metric.fold(values).sum(0)
            self.infinite[metric.name] += int(np.isinf(values).sum())
        self.writer.write_table(pa.Table.from_arrays(columns, schema=self.schema))
        self.digest.update("".join(f"{name}\n" for name in self._ids).encode())
        self.sequences += count
        self._ids.clear()

    def close(self) -> Summary:
        """Writes what is held and pools everything."""
        self._flush()
        self.writer.close()
        return Summary(
            protocol=self.protocol.name,
            version=self.protocol.version,
            source=self.protocol.source,
            sequences=self.sequences,
            frames=self.horizon,
            ids_sha256=self.digest.hexdigest(),
            scores={metric.name: self._score(metric) for metric in self.protocol.metrics},
            headline=self.protocol.headline,
            key=self.key,
        )

    def _score(self, metric: Metric) -> Score:
        means = [float(total) / self.sequences for total in self.sums[metric.name]]
        value, by_frame = metric.settle(means)
        column = self.protocol.column(metric.name)
        return Score(column, value, self.infinite[metric.name], tuple(by_frame))


@contextlib.contextmanager
def rows_in(
    folder: Path, protocols: Sequence[Protocol], horizon: int, *, key: str | None
) -> Iterator[list[Rows]]:
    """Rows of each protocol; on success `<folder>/<protocol>-v<n>.parquet` of each is there.

    On an exception nothing is left behind. Close them inside. `key` is that of the run, if any.
    """
    with contextlib.ExitStack() as stack:
        rows = []
        for protocol in protocols:
            path = stack.enter_context(replacing(folder / f"{protocol.stem}.parquet"))
            one = Rows(protocol, horizon, path, key)
            stack.callback(one.writer.close)
            rows.append(one)
        yield rows
