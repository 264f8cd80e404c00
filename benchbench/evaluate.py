"""The one evaluation loop: predict, stream, score under every protocol asked, pool."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.dataset import Split
from benchbench.errors import SchemaError, Unfit
from benchbench.predictor import Predictor
from benchbench.protocol import Protocol
from benchbench.rows import rows_in
from benchbench.scoring import Scores, require_finite, score_batch
from benchbench.summary import Summary, write_summary

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    predictor goes on, 0 meaning in between; neither they nor `batch` change the score of a frame.
    `on_progress` is told sequences done and all there are.

    Raises:
        Unfit: a protocol declines the clip, or a predicted frame holds nan or inf.
        DataMissing: a protocol's weight file is absent.
        SchemaError: the split is empty or endless, or nothing is to be scored.
    """
    total = _length(split)
    if not protocols:
        raise SchemaError("no protocol to score under; name at least one")
    for protocol in protocols:
        protocol.check(clip)
    device = device or torch.device("cpu")
    with rows_in(folder, protocols, clip.horizon) as rows:
        done = 0
        predicted = _predicted(predictor, split, clip, total, batch, device, precision)
        for ids, scores in _scored(predicted, protocols, workers):
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


Predicted = tuple[list[str], Tensor, Tensor]


def _predicted(
    predictor: Predictor,
    split: Split,
    clip: Clip,
    total: int,
    batch: int,
    device: torch.device,
    precision: str,
) -> Iterator[Predicted]:
    """Ids, predicted and true frames (B, horizon, C, H, W) of every sequence, in order."""
    with _scoring(predictor, device, precision):
        for start in range(0, total, batch):
            indices = range(start, min(start + batch, total))
            frames = torch.stack([split[index] for index in indices])
            ids = [split.id_of(index) for index in indices]
            context = frames[:, : clip.context].to(device)
            target = frames[:, clip.context :]
            prediction = predictor(context, clip.horizon).float()
            if prediction.shape != target.shape:
                raise Unfit(
                    f"the predictor gave frames {tuple(prediction.shape)} where "
                    f"{tuple(target.shape)} are asked for"
                )
            require_finite(prediction, target, first=start, ids=ids)
            yield ids, prediction.cpu(), target


@contextlib.contextmanager
def _scoring(predictor: Predictor, device: torch.device, precision: str) -> Iterator[None]:
    """Evaluation and inference mode and the precision; the training mode is put back."""
    if precision not in PRECISIONS:
        raise SchemaError(f"precision: expected one of {', '.join(PRECISIONS)}, not '{precision}'")
    dtype = PRECISIONS[precision]
    training = predictor.training
    predictor.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=dtype, enabled=dtype is not None),
        ):
            yield
    finally:
        predictor.train(training)


def _scored(
    predicted: Iterator[Predicted], protocols: Sequence[Protocol], workers: int
) -> Iterator[tuple[list[str], dict[str, Scores]]]:
    """Ids and scores of every batch, in the order they were predicted."""
    if workers == 0:
        for ids, prediction, target in predicted:
            yield ids, score_batch(protocols, prediction, target)
        return
    waiting: deque[tuple[list[str], Future[dict[str, Scores]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="scores") as pool:
        for ids, prediction, target in predicted:
            waiting.append((ids, pool.submit(score_batch, protocols, prediction, target)))
            while len(waiting) > 2 * workers or (waiting and waiting[0][1].done()):
                ids, future = waiting.popleft()
                yield ids, future.result()
        for ids, future in waiting:
            yield ids, future.result()
