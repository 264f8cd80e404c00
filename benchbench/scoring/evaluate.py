"""The one evaluation loop: predict, stream, score under every protocol asked, pool."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.dataset import Split
from benchbench.errors import SchemaError, Unfit
from benchbench.precision import autocast
from benchbench.predictor import Predictor
from benchbench.scoring.protocol import Protocol
from benchbench.scoring.rows import rows_in
from benchbench.scoring.score import (
    Done,
    Scores,
    Work,
    do,
    require_finite,
    require_range,
    sorted_out,
    works_of,
)
from benchbench.scoring.summary import Summary, write_summary


def evaluate(
    predictor: Predictor,
    split: Split,
    clip: Clip,
    protocols: Sequence[Protocol],
    folder: Path,
    *,
    batch: int = 16,
    device: torch.device | None = None,
    workers: int = 0,
    precision: str = "fp32",
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Summary]:
    """Predicts every sequence of a split once and scores it under all protocols at once.

    In constant memory. Writes `<folder>/<protocol>-v<n>.parquet`, then `.json`, of each protocol.
    Scores are computed on the CPU whatever the device (LPIPS apart), by `workers` threads while the
    predictor goes on, 0 meaning in between. Neither they nor `batch` change the score of a
    predicted frame; whether the frame's last digits depend on `batch` is the predictor's matter.
    `on_progress` is told sequences done and all there are.

    Raises:
        Unfit: a protocol declines the clip, a predicted frame holds nan or inf, or a true one
            leaves [0, 1].
        DataMissing: a protocol's weight file is absent.
        SchemaError: the split is empty or endless, or nothing is to be scored.
    """
    total = _length(split)
    if not protocols:
        raise SchemaError("no protocol to score under; name at least one")
    for protocol in protocols:
        protocol.check(clip)
    device = device or torch.device("cpu")
    networks = works_of(protocols, network=True)
    done = 0
    with (
        rows_in(folder, protocols, clip.horizon) as rows,
        _scoring(predictor, device, precision),
    ):
        clips = _clips(split, total, batch)
        batches = _predicted(predictor, clips, clip, device, networks)
        for ids, scores in _scored(batches, protocols, workers):
            for one in rows:
                one.add(ids, scores[one.protocol.name])
            done += len(ids)
            if on_progress is not None:
                on_progress(done, total)
        summaries = {one.protocol.name: one.close() for one in rows}
    for summary in summaries.values():
        write_summary(folder, summary)
    return summaries


def _length(split: Split) -> int:
    if split.length is None:
        raise SchemaError("an endless split cannot be scored; expected one with a length")
    if split.length == 0:
        raise SchemaError("the split is empty; expected at least one sequence to score")
    return split.length


class Batch(NamedTuple):
    """Predicted sequences."""

    ids: list[str]
    prediction: Tensor
    target: Tensor
    perceived: Done
    """What networks scored, where the predictor runs."""


def _predicted(
    predictor: Predictor,
    clips: Iterator[tuple[list[str], Tensor]],
    clip: Clip,
    device: torch.device,
    networks: Sequence[Work],
) -> Iterator[Batch]:
    """Predicted and true frames (B, horizon, C, H, W) of every sequence, in order."""
    start = 0
    for ids, frames in clips:
        context, target = frames[:, : clip.context].to(device), frames[:, clip.context :]
        prediction = predictor(context, clip.horizon).float()
        if prediction.shape != target.shape:
            raise Unfit(
                f"the predictor gave frames {tuple(prediction.shape)} where "
                f"{tuple(target.shape)} are asked for"
            )
        require_finite(prediction, target, first=start, ids=ids)
        require_range(target, first=start, ids=ids)
        perceived = do(networks, prediction, target.to(device)) if networks else {}
        # A copy: a predictor may use its memory again while workers score.
        yield Batch(ids, prediction.to("cpu", copy=True), target, perceived)
        start += len(ids)


def _clips(split: Split, total: int, batch: int) -> Iterator[tuple[list[str], Tensor]]:
    """Ids and frames (B, T, C, H, W), in order."""
    for start in range(0, total, batch):
        indices = range(start, min(start + batch, total))
        yield [split.id_of(i) for i in indices], torch.stack([split[i] for i in indices])


@contextlib.contextmanager
def _scoring(predictor: Predictor, device: torch.device, precision: str) -> Iterator[None]:
    """Evaluation and inference mode and the precision; the training mode is put back."""
    training = predictor.training
    predictor.eval()
    try:
        with torch.inference_mode(), autocast(device, precision):
            yield
    finally:
        predictor.train(training)


def _scored(
    batches: Iterator[Batch], protocols: Sequence[Protocol], workers: int
) -> Iterator[tuple[list[str], dict[str, Scores]]]:
    """Ids and scores of every batch, in the order they were predicted."""
    works = works_of(protocols, network=False)

    def scored(batch: Batch) -> dict[str, Scores]:
        done = do(works, batch.prediction, batch.target)
        return sorted_out(protocols, done | batch.perceived)

    if workers == 0:
        for batch in batches:
            yield batch.ids, scored(batch)
        return
    waiting: deque[tuple[list[str], Future[dict[str, Scores]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="scores") as pool:
        for batch in batches:
            waiting.append((batch.ids, pool.submit(scored, batch)))
            while len(waiting) > 2 * workers or (waiting and waiting[0][1].done()):
                ids, future = waiting.popleft()
                yield ids, future.result()
        for ids, future in waiting:
            yield ids, future.result()
