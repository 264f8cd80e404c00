"""Stream: predicted and true frames of a set of sequences, batch after batch, in constant memory.

B batch, T predicted frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchbench.atomic import replacing
from benchbench.clip import Clip
from benchbench.dataset import Split
from benchbench.errors import DataMissing, SchemaError, Unfit
from benchbench.predictor import Predictor, autocast, require_frames

CPU = torch.device("cpu")


class Batch(NamedTuple):
    """Sequences side by side; frames are (B, T, C, H, W), on any device."""

    ids: list[str]
    prediction: Tensor
    target: Tensor


@dataclass(frozen=True)
class Stream:
    """Sequences in order, each once; it can be gone through once."""

    clip: Clip
    """The shape of the clips; its horizon is T."""
    length: int
    """Sequences in all batches together."""
    batches: Generator[Batch, None, None]
    span: tuple[float, float] | None = (0.0, 1.0)
    """Declared range of the data, mapped to [0, 1]; None: unknown, and not mapped."""


def predicted(
    predictor: Predictor,
    split: Split,
    clip: Clip,
    *,
    batch: int = 16,
    device: torch.device = CPU,
    precision: str = "fp32",
) -> Stream:
    """What a predictor on `device` makes of a split, `batch` sequences at a time.

    Whether the last digits of a predicted frame depend on `batch` is the predictor's matter.

    Raises:
        SchemaError: the split is empty or endless.
        Unfit: while it is gone through: the predictor gives anything but such frames, or true
            frames are outside [0, 1].
    """

    def batches() -> Generator[Batch, None, None]:
        training = predictor.training
        predictor.eval()
        try:
            for ids, context, target in _sequences(split, clip, batch):
                with torch.inference_mode(), autocast(device, precision):
                    prediction = predictor(context.to(device), clip.horizon)
                require_frames(prediction, target.shape, precision)
                yield Batch(ids, prediction.float(), target)
        finally:
            predictor.train(training)

    return Stream(clip, _length(split), batches())


def stored(path: Path, split: Split, clip: Clip, *, batch: int = 16) -> Stream:
    """The predictions of a split in a file that `keep` wrote.

    Raises:
        SchemaError: the split is empty or endless.
        DataMissing: the file is not whole, or is of another split.
    """
    length = _length(split)
    shape = (length, clip.horizon, *clip.shape[1:])
    try:
        frames = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise DataMissing(f"{path}: {error}; move it away to predict again") from None
    if frames.shape != shape or frames.dtype != np.float32:
        raise DataMissing(
            f"{path}: holds {frames.dtype} {frames.shape}, not float32 {shape}; "
            "move it away to predict again"
        )

    def batches() -> Generator[Batch, None, None]:
        start = 0
        for ids, _, target in _sequences(split, clip, batch):
            prediction = torch.from_numpy(np.array(frames[start : start + len(ids)]))
            yield Batch(ids, prediction, target)
            start += len(ids)

    return Stream(clip, length, batches())


def keep(stream: Stream, path: Path) -> Stream:
    """A stream whose predictions are in a file as well, once it has been gone through.

    The file is (N, T, C, H, W), float32, unclipped; it is not there before it is whole.
    """
    clip = stream.clip
    shape = (stream.length, clip.horizon, *clip.shape[1:])

    def batches() -> Generator[Batch, None, None]:
        with (
            closing(stream.batches),
            replacing(path) as temporary,
            temporary.open("wb") as file,
        ):
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for batch in stream.batches:
                file.write(batch.prediction.cpu().numpy().astype("<f4", copy=False).tobytes())
                yield batch

    return replace(stream, batches=batches())


def _length(split: Split) -> int:
    if split.length is None:
        raise SchemaError("an endless split cannot be scored; expected one with a length")
    if split.length == 0:
        raise SchemaError("the split is empty; expected at least one sequence to score")
    return split.length


def _sequences(split: Split, clip: Clip, batch: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Ids, context and true frames of a split, in order.

    Raises:
        Unfit: true frames outside [0, 1], naming the sequence and its extremes.
    """
    for start in range(0, len(split), batch):
        indices = range(start, min(start + batch, len(split)))
        ids, frames = [split.name(i) for i in indices], torch.stack([split[i] for i in indices])
        context, target = torch.split(frames, [clip.context, clip.horizon], dim=1)
        low, high = target.flatten(1).aminmax(dim=1)
        outside = (low < 0) | (high > 1)
        if bool(outside.any()):
            b = int(outside.nonzero()[0])
            raise Unfit(
                f"sequence {name_of(start + b, ids[b])}: its frames hold values from "
                f"{float(low[b]):.9g} to {float(high[b]):.9g}; a dataset must give frames in [0, 1]"
            )
        yield ids, context, target


def require_finite(batch: Batch, *, first: int = 0) -> None:
    """Refuses frames with values that are not numbers, naming the first of them.

    Raises:
        Unfit: naming sequence and frame; `first` is the number of the batch's first sequence.
    """
    for what, frames in (("predicted", batch.prediction), ("true", batch.target)):
        if bool(frames.sum().isfinite()):  # far quicker, and never so beside nan or inf
            continue
        sound = torch.isfinite(frames).flatten(2).all(-1)
        if not bool(sound.all()):
            b, t = (int(index) for index in (~sound).nonzero()[0])
            raise Unfit(
                f"sequence {name_of(first + b, batch.ids[b])}, frame {t}: the {what} frame holds "
                "nan or inf; a score of it would be meaningless, nothing was scored"
            )


def name_of(number: int, name: str) -> str:
    """`9 ('clip-009')`, or the number alone where it is the name."""
    return f"{number}" if name == str(number) else f"{number} ('{name}')"
