"""Frames to scores, under any number of protocols at once, sharing what they have in common.

B batch, T predicted frames, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.scoring import measures
from benchbench.scoring.protocol import Metric, Protocol

Scores = dict[str, npt.NDArray[np.float64]]


class Work(NamedTuple):
    """What decides the numbers of a metric, whatever its name, pooling or version."""

    measure: str
    clip: bool
    quantised: bool
    options: tuple[tuple[str, Any], ...]

    @property
    def network(self) -> bool:
        """Whether a network computes it, best where the predictor runs."""
        return self.measure == "lpips"


Done = dict[Work, npt.NDArray[np.float64]]
"""Work to (B, T) scores."""


def work_of(metric: Metric) -> Work:
    """The work behind a metric; equal for metrics of different protocols that share it."""
    return Work(metric.measure, metric.clip, metric.quantised, metric.options)


def works_of(protocols: Sequence[Protocol], *, network: bool | None = None) -> list[Work]:
    """All the works of protocols, each once; only those of networks, or only the others."""
    works = {work_of(metric) for protocol in protocols for metric in protocol.metrics}
    return sorted((work for work in works if network in (None, work.network)), key=repr)


def do(works: Sequence[Work], prediction: Tensor, target: Tensor) -> Done:
    """Work to (B, T) scores, of frames (B, T, C, H, W); networks run on their device."""
    B, T, C = prediction.shape[:3]
    alike = {work: _narrowed(work) if C == 1 else work for work in works}
    with torch.no_grad(), torch.autocast(prediction.device.type, enabled=False):
        values = _measured(set(alike.values()), prediction.flatten(0, 1), target.flatten(0, 1))
    done = {work: value.reshape(B, T).double().cpu().numpy() for work, value in values.items()}
    return {work: done[same] for work, same in alike.items()}


def _narrowed(work: Work) -> Work:
    """The same work on frames of one channel, which is channel 0 and all channels."""
    return work._replace(options=tuple(option for option in work.options if option[0] != "ch"))


def _measured(works: Collection[Work], x: Tensor, y: Tensor) -> dict[Work, Tensor]:
    """Work to (n,) of frames (n, C, H, W)."""
    pairs: dict[tuple[bool, bool], measures.Pair] = {}
    low, high = x.aminmax()
    inside = bool(low >= 0) and bool(high <= 1)
    keys = {work: (work.clip and not inside, work.quantised) for work in works}
    for clip, quantised in set(keys.values()):
        spans = {
            float(dict(work.options)["range"])
            for work, key in keys.items()
            if work.measure == "ssim" and key == (clip, quantised)
        }
        pairs[clip, quantised] = measures.Pair(
            x, y, clip=clip, quantised=quantised, spans=tuple(sorted(spans))
        )
    return {
        work: measures.measure(work.measure, pairs[key], dict(work.options))
        for work, key in keys.items()
    }


def sorted_out(protocols: Sequence[Protocol], done: Done) -> dict[str, Scores]:
    """Protocol name to metric to (B, T) scores, from work to scores."""
    return {
        protocol.name: {metric.name: done[work_of(metric)] for metric in protocol.metrics}
        for protocol in protocols
    }


def score_batch(
    protocols: Sequence[Protocol], prediction: Tensor, target: Tensor
) -> dict[str, Scores]:
    """Protocol name to metric to (B, T) scores, of frames (B, T, C, H, W)."""
    return sorted_out(protocols, do(works_of(protocols), prediction, target))


def require_finite(
    prediction: Tensor, target: Tensor, *, first: int = 0, ids: Sequence[str] = ()
) -> None:
    """Refuses frames (B, T, …) with values that are not numbers, naming the first of them.

    Raises:
        Unfit: naming sequence and frame.
    """
    for what, frames in (("predicted", prediction), ("true", target)):
        if bool(frames.sum().isfinite()):  # far quicker, and never so beside nan or inf
            continue
        sound = torch.isfinite(frames).flatten(2).all(-1)
        if not bool(sound.all()):
            b, t = (int(index) for index in (~sound).nonzero()[0])
            name = f" ('{ids[b]}')" if ids else ""
            raise Unfit(
                f"sequence {first + b}{name}, frame {t}: the {what} frame holds nan or inf; "
                "a score of it would be meaningless, nothing was scored"
            )


def require_range(target: Tensor, *, first: int, ids: Sequence[str]) -> None:
    """Refuses true frames (B, T, …) outside [0, 1], naming the first such sequence.

    Raises:
        Unfit: naming it and its extremes.
    """
    low, high = target.flatten(1).aminmax(dim=1)
    outside = (low < 0) | (high > 1)
    if bool(outside.any()):
        b = int(outside.nonzero()[0])
        raise Unfit(
            f"sequence {first + b} ('{ids[b]}'): its frames hold values from "
            f"{float(low[b]):.9g} to {float(high[b]):.9g}; a dataset must give frames in [0, 1]"
        )


def score_arrays(
    protocols: Sequence[Protocol],
    prediction: Tensor | npt.ArrayLike,
    target: Tensor | npt.ArrayLike,
    *,
    span: tuple[float, float] | None = (0.0, 1.0),
    first: int = 0,
) -> dict[str, Scores]:
    """Protocol name to metric to (B, T) scores of arrays; see `benchbench.protocols.score`.

    `first` is the number of the first sequence, for messages.
    """
    x, y = frames_of("prediction", prediction, span), frames_of("target", target, span)
    if x.shape != y.shape:
        raise Unfit(
            f"prediction is {tuple(x.shape)} and target {tuple(y.shape)}; they must be the same"
        )
    if x.numel() == 0:
        raise Unfit(f"arrays of shape {tuple(x.shape)} hold nothing to score")
    kept = torch.promote_types(x.dtype, y.dtype)
    x, y = x.to(kept), y.to(x.device, kept)
    require_finite(x, y, first=first)
    if span is None:
        protocols = [without_range(protocol) for protocol in protocols]
    elif bool((y < 0).any()) or bool((y > 1).any()):
        low, high = (span[0] + float(end) * (span[1] - span[0]) for end in (y.min(), y.max()))
        raise Unfit(
            f"target holds values from {low:.9g} to {high:.9g}, outside the range of "
            f"{span[0]:g} to {span[1]:g}; declare the range the data really has"
        )
    T, C, H, W = x.shape[1:]
    for protocol in protocols:
        protocol.check(Clip(channels=C, height=H, width=W, context=1, horizon=T))
    return score_batch(protocols, x, y)


def without_range(protocol: Protocol) -> Protocol:
    """The protocol's metrics that make sense for data of unknown range.

    Raises:
        Unfit: there are none.
    """
    kept = tuple(
        replace(metric, mapped=False) for metric in protocol.metrics if not metric.needs_range
    )
    if not kept:
        raise Unfit(
            f"{protocol.name}: all of its metrics clip, or need the range of the data as PSNR and "
            f"SSIM do; declare the range, or choose a protocol with a metric that needs none"
        )
    return replace(protocol, metrics=kept)


def _tensor(what: str, values: npt.NDArray[Any]) -> Tensor:
    """A copy, in this machine's byte order.

    Raises:
        Unfit: not of a type that torch knows.
    """
    try:
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))
    except TypeError:
        raise Unfit(
            f"{what} is of type {values.dtype}; expected floating-point frames, float64 at most"
        ) from None


def frames_of(
    what: str, values: Tensor | npt.ArrayLike, span: tuple[float, float] | None
) -> Tensor:
    """Frames (B, T, C, H, W), mapped from `span` to [0, 1]; float64 where given so, else float32.

    Raises:
        Unfit: not of a shape or type that holds frames, or integers without a declared range.
    """
    frames = values if isinstance(values, Tensor) else _tensor(what, np.asarray(values))
    if frames.ndim == 4:
        frames = frames.unsqueeze(2)
    if frames.ndim != 5:
        raise Unfit(
            f"{what} has shape {tuple(frames.shape)}; expected (B, T, C, H, W) or (B, T, H, W)"
        )
    if frames.shape[-1] <= 4 < frames.shape[2]:
        raise Unfit(
            f"{what} has shape {tuple(frames.shape)}, which looks like channels last; "
            "expected (B, T, C, H, W)"
        )
    if frames.dtype == torch.bool or frames.is_complex():
        raise Unfit(f"{what} is of type {frames.dtype}; expected floating-point frames")
    if not frames.is_floating_point() and span == (0.0, 1.0):
        raise Unfit(
            f"{what} holds whole numbers ({frames.dtype}), so its range is not [0, 1]; "
            "declare it, such as 0 to 255, or make them floats"
        )
    kept = torch.float64 if frames.dtype == torch.float64 else torch.float32
    if span is None or span == (0.0, 1.0):
        return frames.to(kept)
    low, high = span
    if not (low < high and math.isfinite(high - low)):
        raise Unfit(f"the range {low:g} to {high:g}: expected two finite ends, the lower one first")
    if frames.is_floating_point():  # float32 has no 0.3: the ends are what such data can hold
        held = [float(torch.tensor(end, dtype=frames.dtype)) for end in span]
        low, high = held if held[0] < held[1] < math.inf else span
    return ((frames.double() - low) / (high - low)).to(kept)
