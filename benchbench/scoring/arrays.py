"""Predictions made elsewhere: arrays, and the `.npy` and `.npz` files that hold them."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.data.npy import map_npy, open_npz
from benchbench.data.opening import open_file, plain
from benchbench.errors import DataMissing, Unfit
from benchbench.scoring.stream import Batch, Stream, require_finite

log = logging.getLogger(__name__)

BATCH_BYTES = 1 << 24
"""Size of the predicted frames, in float32, that are scored at a time."""
FAINT = 1 / 100
"""Frames that use less of a range that was declared are likely to be of another."""
CHANNELS = 4
"""An axis of at most so many is likely to be of channels."""
DECLARE = "declare the order of the axes (bench score --axes TCHW; axes='TCHW')"
Span = tuple[float, float] | None
Frames = Tensor | npt.NDArray[Any]


def read(source: str) -> npt.NDArray[Any]:
    """The array in `FILE.npy`, or in `FILE.npz` if it is the only one, or in `FILE.npz:NAME`.

    Raises:
        DataMissing: there is no such file or array, or it is not numpy's.
    """
    name, _, member = source.partition(".npz:")
    path = Path(f"{name}.npz" if member else source)
    with open_file(path) as file:
        if not file.read(2).startswith(b"PK"):
            return map_npy(path)
    with open_npz(path) as npz:
        names = list(npz.headers)
        if not names:
            raise DataMissing(f"{path}: holds no array")
        if not member and len(names) == 1:
            member = names[0]
        if member not in names:
            fault = f"no array '{member}'" if member else "several arrays"
            raise DataMissing(f"{path}: {fault}; say {path}:NAME with one of {plain(*names)}")
        return npz.read(member)


def from_arrays(
    prediction: Tensor | npt.ArrayLike,
    target: Tensor | npt.ArrayLike,
    *,
    span: Span = (0.0, 1.0),
    axes: str | None = None,
    batch: int | None = None,
) -> Stream:
    """Frames (N, T, C, H, W) or (N, T, H, W) as a stream; sequences are numbered from 0.

    Args:
        prediction: also a file's memory map, which is read a batch at a time.
        target: of the same shape.
        axes: the order of both arrays' axes, such as TCHW for one clip; if it is not declared, an
            array that could be of another order is refused.
        span: the declared range of the data, mapped to [0, 1]; None where it is not known.
        batch: sequences at a time; as many as 16 MiB hold, if not given.

    Raises:
        Unfit: the arrays cannot be scored; the message says why. That values leave the declared
            range is only seen while the stream is gone through.
    """
    x = _frames("prediction", prediction, span, axes)
    y = _frames("target", target, span, axes)
    if x.shape != y.shape:
        raise Unfit(
            f"prediction is {tuple(x.shape)} and target {tuple(y.shape)}; they must be the same"
        )
    if 0 in x.shape:
        raise Unfit(f"arrays of shape {tuple(x.shape)} hold nothing to score")
    N, T, C, H, W = x.shape
    clip = Clip(channels=C, height=H, width=W, context=1, horizon=T)
    batch = batch or max(1, BATCH_BYTES // (4 * T * C * H * W))
    return Stream(clip, N, _batches(x, y, span, batch), span)


def _batches(x: Frames, y: Frames, span: Span, size: int) -> Generator[Batch, None, None]:
    reach = [[math.inf, -math.inf], [math.inf, -math.inf]]
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        prediction, target = _mapped("prediction", x[part], span), _mapped("target", y[part], span)
        kind = torch.promote_types(prediction.dtype, target.dtype)
        ids = [str(index) for index in range(len(x))[part]]
        batch = Batch(ids, prediction.to(kind), target.to(prediction.device, kind))
        require_finite(batch, first=start)
        if span is not None:
            _require_range(batch.target, span)
        for ends, frames in zip(reach, (batch.prediction, batch.target), strict=True):
            low, high = map(float, frames.aminmax())
            ends[:] = min(ends[0], low), max(ends[1], high)
        yield batch
    if span is not None:
        _warn_of_scales(reach, span)


def _warn_of_scales(reach: list[list[float]], span: tuple[float, float]) -> None:
    """Warns of arrays whose values, mapped to [0, 1], are hardly of the declared range.

    They are scored all the same: a prediction may go anywhere, and true frames may all be dark.
    """
    declared = f"the declared range of {span[0]:g} to {span[1]:g}"
    for what, ends in zip(("prediction", "target"), reach, strict=True):
        low, high = (span[0] + end * (span[1] - span[0]) for end in ends)
        text = f"{what} holds values from {low:.4g} to {high:.4g}"
        if not -1 <= ends[0] <= ends[1] <= 2:
            log.warning("%s, far outside %s; is it of another scale?", text, declared)
        elif span != (0.0, 1.0) and ends[1] - ends[0] < FAINT:
            log.warning("%s, a small part of %s; is it of another scale?", text, declared)


def _ordered(what: str, frames: Frames, axes: str | None) -> Frames:
    """Frames (N, T, C, H, W), a view of an array whose axes are declared, or plain.

    Raises:
        Unfit: it has other axes, or none are declared and its shape may mean several orders.
    """
    shape = tuple(frames.shape)
    if axes is None:
        axes = _plain_axes(what, shape)
    elif len(set(axes)) != len(axes) or not set("THW") <= set(axes) <= set("NTCHW"):
        raise Unfit(f"the axes '{axes}': expected an order of N, T, C, H, W such as TCHW")
    elif len(axes) != len(shape):
        raise Unfit(f"{what} has shape {shape}; expected the axes {axes}, {len(axes)} of them")
    order = [axes.index(axis) for axis in "NTCHW" if axis in axes]
    ordered = frames.permute(order) if isinstance(frames, Tensor) else frames.transpose(order)
    if "N" not in axes:
        ordered = ordered[None]
    return ordered if "C" in axes else ordered[:, :, None]


def _plain_axes(what: str, shape: tuple[int, ...]) -> str:
    """NTCHW or NTHW, where a shape can hardly mean anything else.

    Raises:
        Unfit: it can: a small axis where none is of channels is likely to be of them.
    """
    if len(shape) not in (4, 5):
        raise Unfit(
            f"{what} has shape {shape}; expected (N, T, C, H, W) or (N, T, H, W), or {DECLARE}"
        )
    first, second, third, last = shape[0], shape[1], shape[2], shape[-1]
    if len(shape) == 4 and min(second, last) <= CHANNELS:
        looks = "THWC, NHWC or NTHW" if last <= CHANNELS else "TCHW or NTHW"
        raise Unfit(
            f"{what} has shape {shape}, which may be {looks}: one clip of {first} frames, or "
            f"{first} sequences; {DECLARE}"
        )
    if len(shape) == 5 and third > CHANNELS and min(second, last) <= CHANNELS:
        looks = "last" if last <= CHANNELS else "before time"
        raise Unfit(
            f"{what} has shape {shape}, which looks like channels {looks}; expected "
            f"(N, T, C, H, W), or {DECLARE}"
        )
    return "NTCHW" if len(shape) == 5 else "NTHW"


def _frames(
    what: str, values: Tensor | npt.ArrayLike, span: Span, axes: str | None = None
) -> Frames:
    """Frames (N, T, C, H, W) as they are.

    Raises:
        Unfit: not of a shape or type that holds frames, hidden by a mask, whole numbers without a
            declared range, or a range that is none.
    """
    if np.ma.is_masked(values):
        raise Unfit(f"{what} is masked, and what a mask hides has no score; fill it")
    frames = values.detach() if isinstance(values, Tensor) else np.asarray(values)
    frames = _ordered(what, frames, axes)
    kind = _tensor(what, frames[:0])
    if kind.dtype == torch.bool or kind.is_complex():
        raise Unfit(f"{what} is of type {kind.dtype}; expected floating-point frames")
    if not kind.is_floating_point() and span == (0.0, 1.0):
        raise Unfit(
            f"{what} holds whole numbers ({kind.dtype}), so its range is not [0, 1]; "
            "declare it (bench score --range 0 255; span=(0, 255)), or make them floats"
        )
    if span is not None and not (span[0] < span[1] and math.isfinite(span[1] - span[0])):
        raise Unfit(
            f"the range {span[0]:g} to {span[1]:g}: expected two finite ends, the lower one first"
        )
    return frames


def _tensor(what: str, values: Frames) -> Tensor:
    """A tensor, or a copy of an array in this machine's byte order.

    Raises:
        Unfit: not of a type that torch knows.
    """
    if isinstance(values, Tensor):
        return values
    try:
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))
    except TypeError:
        raise Unfit(
            f"{what} is of type {values.dtype}; expected floating-point frames, float64 at most"
        ) from None


def _mapped(what: str, values: Frames, span: Span) -> Tensor:
    """Frames mapped from `span` to [0, 1]; float64 where they are of that type, else float32."""
    frames = _tensor(what, values)
    kind = torch.float64 if frames.dtype == torch.float64 else torch.float32
    if span is None or span == (0.0, 1.0):
        return frames.to(kind)
    low, high = span
    if frames.is_floating_point():  # float32 has no 0.3: the ends are what such data can hold
        held = [float(torch.tensor(end, dtype=frames.dtype)) for end in span]
        low, high = held if held[0] < held[1] < math.inf else span
    return ((frames.double() - low) / (high - low)).to(kind)


def _require_range(target: Tensor, span: tuple[float, float]) -> None:
    """Refuses true frames, mapped to [0, 1], that leave it; the message has the values as given."""
    ends = [float(end) for end in target.aminmax()]
    if ends[0] < 0 or ends[1] > 1:
        low, high = (span[0] + end * (span[1] - span[0]) for end in ends)
        raise Unfit(
            f"target holds values from {low:.9g} to {high:.9g}, outside the range of "
            f"{span[0]:g} to {span[1]:g}; declare the range the data really has (bench score "
            f"--range {math.floor(low)} {math.ceil(high)}, span=({math.floor(low)}, "
            f"{math.ceil(high)}))"
        )
