"""Pair and the functions of the measures: one number a frame, from sums over its planes.

C channels, H height, W width, n frames. A plane is one channel of one frame. A function takes a
`Pair` of frames on the CPU and gives (n,) in float64. What several need, such as the squared
errors, a pair computes once, by `benchbench.scoring.planes`.

A frame's numbers depend bit for bit on nothing but the frame, whatever lies beside it and however
many threads there are: every sum is made in an order of its own.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from benchbench.scoring.planes import (
    Array,
    errors,
    largest_laplacian,
    similarities,
    wrapped_squares,
)


class Pair:
    """Predicted and true frames, prepared alike, and the sums that measures share.

    Args:
        prediction: (n, C, H, W), float32 or float64, on any device.
        target: the same shape and type.
        clip: clip predictions to [0, 1] first.
        quantised: make both uint8(255 x), truncated, as numpy casts; frames in [0, 1] only.
        spans: all data ranges of the statistics to come, which SSIM computes in one pass.
    """

    def __init__(
        self,
        prediction: Tensor,
        target: Tensor,
        *,
        clip: bool = False,
        quantised: bool = False,
        spans: tuple[float, ...] = (),
    ) -> None:
        if clip:
            prediction = prediction.clamp(0, 1)
        if quantised:
            prediction, target = quantise(prediction), quantise(target)
        self.prediction = prediction
        self.target = target
        self.spans = spans
        self._similar: dict[tuple[float, int], Tensor] = {}

    @property
    def pixels(self) -> int:
        """Pixels of a plane."""
        return self.prediction.shape[2] * self.prediction.shape[3]

    @functools.cached_property
    def _planes(self) -> tuple[Array, Array]:
        """Predicted and true planes (n C, H, W)."""
        H, W = self.prediction.shape[2:]
        frames = self.prediction, self.target
        x, y = (one.detach().contiguous().cpu().numpy().reshape(-1, H, W) for one in frames)
        return x, y

    def _by_frame(self, numbers: Array) -> Tensor:
        """(k, n C) numbers of planes as (k, C, n)."""
        n, C = self.prediction.shape[:2]
        return torch.from_numpy(numbers.reshape(-1, n, C).swapaxes(1, 2))

    @functools.cached_property
    def _errors(self) -> Tensor:
        return self._by_frame(errors(*self._planes))

    @property
    def squares(self) -> Tensor:
        """Squared error summed over pixels, (C, n)."""
        return self._errors[0]

    @property
    def absolutes(self) -> Tensor:
        """Absolute error summed over pixels, (C, n)."""
        return self._errors[1]

    @functools.cached_property
    def wrapped(self) -> Tensor:
        """Squared error modulo 256, as uint8 arithmetic has it, summed over pixels, (C, n)."""
        return self._by_frame(wrapped_squares(*self._planes))[0]

    @functools.cached_property
    def sharpness(self) -> Tensor:
        """Largest absolute Laplacian of the prediction, (C, n)."""
        return self._by_frame(largest_laplacian(self._planes[0]))[0]

    def similarity(self, span: float, window: int) -> Tensor:
        """SSIM, (C, n)."""
        if (span, window) not in self._similar:
            spans = sorted({*self.spans, span})
            values = self._by_frame(similarities(*self._planes, np.array(spans, float), window))
            self._similar |= {(s, window): value for s, value in zip(spans, values, strict=True)}
        return self._similar[span, window]


def quantise(frames: Tensor) -> Tensor:
    """The whole numbers uint8(255 x) of frames in [0, 1], truncated not rounded, as floats."""
    return (frames * 255).trunc()


def _channels(values: Tensor, ch: int | None, mean: bool) -> Tensor:
    """(C, n) to (n,): one channel, or the sum or mean of all."""
    if ch is not None:
        return values[ch]
    total = _over_channels(values)
    return total / values.shape[0] if mean else total


def _over_channels(values: Tensor) -> Tensor:
    """Sums (C, n) to (n,), channel after channel."""
    return sum(values[1:], values[0])


def _per(values: Tensor, pair: Pair, per: str, ch: int | None) -> Tensor:
    total = _channels(values, ch, mean=per != "frame")
    return total / pair.pixels if per == "value" else total


def mse(pair: Pair, *, per: str, ch: int | None = None) -> Tensor:
    """Squared error, summed `per` frame, or pixels summed `per` channel, or averaged per value."""
    return _per(pair.squares, pair, per, ch)


def mae(pair: Pair, *, per: str, ch: int | None = None) -> Tensor:
    """Absolute error, summed or averaged as `mse` is."""
    return _per(pair.absolutes, pair, per, ch)


def rmse(pair: Pair, *, per: str, ch: int | None = None) -> Tensor:
    """Root of `mse`."""
    return mse(pair, per=per, ch=ch).sqrt()


def psnr(
    pair: Pair, *, peak: float, mse: str = "chw", ch: int | None = None, wrap: int | None = None
) -> Tensor:
    """PSNR in dB, infinite for a perfect frame.

    The squared error is averaged over `chw` at once, or over `hw`: then the channels' PSNRs are
    averaged. With `wrap`, 256, the squares are taken modulo that number, as uint8 arithmetic does.
    """
    assert wrap in (None, 256)
    squares = pair.squares if wrap is None else pair.wrapped
    if ch is not None:
        squares = squares[ch : ch + 1]
    if mse == "chw":
        squares = (_over_channels(squares) / squares.shape[0]).unsqueeze(0)
    errors = (squares / pair.pixels).numpy()
    with np.errstate(divide="ignore"):
        decibels = 20 * math.log10(peak) - 10 * np.log10(errors)
    return _channels(torch.from_numpy(decibels), None, mean=True)


def ssim(pair: Pair, *, range: float, win: int, ch: int | None = None) -> Tensor:  # noqa: A002
    """SSIM (Wang et al. 2004) as scikit-image computes it, the channels averaged."""
    return _channels(pair.similarity(range, win), ch, mean=True)


def sharpness(pair: Pair, *, ch: int | None = None) -> Tensor:
    """Largest absolute Laplacian of the predicted frame, at most 255, of all channels or one."""
    return pair.sharpness.amax(0) if ch is None else pair.sharpness[ch]
