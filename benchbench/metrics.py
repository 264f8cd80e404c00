"""The measures, one number a frame, batched and on the device of their input.

C channels, H height, W width, n frames. Frames lie as (C, H, W, n): neighbouring pixels are whole
rows of memory apart, so that sliding windows are fast. A measure takes a `Pair` of such frames and
gives (n,) in float64. What several measures need, such as the squared error, a pair computes once.

A frame's numbers depend bit for bit on nothing but the frame, whatever lies beside it and however
many threads there are: sums are made in an order of their own (on the CPU).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Pair:
    """Predicted and true frames, prepared alike, and the sums that measures share.

    Args:
        prediction: (C, H, W, n), float32; `columns` lays frames out so.
        target: the same shape.
        clip: clip predictions to [0, 1] first.
        quantised: make both uint8(255 x), truncated, as numpy casts; held as whole float32 numbers.
        spans: the data ranges SSIM will be asked for, so that all share one pass.
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
        self.quantised = quantised
        self.spans = spans
        self._similar: dict[tuple[float, int], Tensor] = {}

    @property
    def pixels(self) -> int:
        """Of a frame, in one channel."""
        return self.prediction.shape[1] * self.prediction.shape[2]

    @functools.cached_property
    def doubles(self) -> tuple[Tensor, Tensor]:
        """Prediction and target in float64; whole numbers stay as they are, exact in float32."""
        if self.quantised:
            return self.prediction, self.target
        return self.prediction.double(), self.target.double()

    @functools.cached_property
    def error(self) -> Tensor:
        """(C, H, W, n)."""
        prediction, target = self.doubles
        return prediction - target

    @functools.cached_property
    def squares(self) -> Tensor:
        """Squared error summed over pixels, (C, n)."""
        return over_pixels(self.error * self.error)

    @functools.cached_property
    def wrapped(self) -> Tensor:
        """Squared error modulo 256, as uint8 arithmetic has it, summed over pixels, (C, n)."""
        squares = self.error * self.error
        return over_pixels(squares - (squares / 256).floor_().mul_(256))

    @functools.cached_property
    def absolutes(self) -> Tensor:
        """Absolute error summed over pixels, (C, n)."""
        return over_pixels(self.error.abs())

    def similarity(self, span: float, window: int) -> Tensor:
        """SSIM a channel, (C, n)."""
        if (span, window) not in self._similar:
            spans = tuple(sorted({*self.spans, span}))
            maps = similarities(*self.doubles, spans, window=window)
            self._similar |= {(s, window): m for s, m in zip(spans, maps, strict=True)}
        return self._similar[span, window]


def columns(frames: Tensor) -> Tensor:
    """Frames (n, C, H, W) as (C, H, W, n)."""
    return frames.permute(1, 2, 3, 0).contiguous()


def quantise(frames: Tensor) -> Tensor:
    """uint8(255 x) of frames in [0, 1], truncated not rounded, as whole numbers in float32."""
    return (frames * 255).trunc_()


def over_pixels(values: Tensor) -> Tensor:
    """Sums (C, H, W, n) to (C, n), in float64.

    On the CPU by numpy, which adds row to row, then pairwise along each frame's own row of sums;
    torch would group the additions by how many frames and threads there are.
    """
    if values.device.type != "cpu":
        return values.sum((1, 2), dtype=torch.float64)
    rows = np.add.reduce(values.double().numpy(), axis=1)  # (C, W, n)
    sums: Tensor = torch.from_numpy(np.ascontiguousarray(rows.swapaxes(1, 2)).sum(-1))
    return sums


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
    errors = (squares / pair.pixels).cpu().numpy()
    with np.errstate(divide="ignore"):
        decibels = 20 * math.log10(peak) - 10 * np.log10(errors)
    return _channels(torch.from_numpy(decibels), None, mean=True).to(squares.device)


def ssim(pair: Pair, *, range: float, win: int, ch: int | None = None) -> Tensor:  # noqa: A002
    """SSIM (Wang et al. 2004) as scikit-image computes it, the channels averaged."""
    return _channels(pair.similarity(range, win), ch, mean=True)


def sharpness(pair: Pair, *, ch: int | None = None) -> Tensor:
    """Largest absolute Laplacian of the predicted frame, at most 255; borders mirrored.

    OpenCV's `convertScaleAbs(Laplacian(frame, 3))`, whose 3 is the depth: the kernel is 3x3.
    """
    x = pair.prediction if ch is None else pair.prediction[ch : ch + 1]
    p = torch.cat([x[:, 1:2], x, x[:, -2:-1]], 1)
    around = p[:, :-2] + p[:, 2:]
    p = torch.cat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    around += p[:, :, :-2]
    around += p[:, :, 2:]
    return (around - 4 * x).abs_().amax((0, 1, 2)).clamp(max=255).double()


def lpips(pair: Pair, *, net: str, scale: str, rgb: str) -> Tensor:
    """LPIPS of the frames; `benchbench.perceptual` says what the options mean."""
    from benchbench.perceptual import distance

    frames = [columns.permute(3, 0, 1, 2) for columns in (pair.prediction, pair.target)]
    return distance(*frames, net=net, scale=scale, rgb=rgb).double()


def similarities(
    x: Tensor, y: Tensor, spans: tuple[float, ...], *, window: int = 7
) -> list[Tensor]:
    """SSIM a channel, (C, n), for each data range in `spans`, from one pass over (C, H, W, n).

    Uniform window, sample covariance, K1 0.01 and K2 0.03, borders cropped: scikit-image's
    defaults, in float64. Float32 frames must hold whole numbers up to 255, whose squares are
    summed over the window exactly.
    """
    assert x.dtype == torch.float64 or window**2 * 2 * 255**2 < 2**24
    area = window * window
    sum_x, sum_y, sum_xy, power = (
        box(values, window).double() for values in (x, y, x * y, (x * x).add_(y * y))
    )
    # Both means times area squared, both moments times area (area - 1): the ratio is the same.
    means = sum_x * sum_y
    energy = sum_x.mul_(sum_x).add_(sum_y.mul_(sum_y))
    covariance = sum_xy.mul_(area).sub_(means).mul_(2)
    variance = power.mul_(area).sub_(energy)
    means.mul_(2)
    scores = []
    for span in spans:
        c1 = (0.01 * span) ** 2 * area**2
        c2 = (0.03 * span) ** 2 * area * (area - 1)
        ratio = (means + c1).mul_(covariance + c2)
        ratio.div_((energy + c1).mul_(variance + c2))
        scores.append(over_pixels(ratio) / (ratio.shape[1] * ratio.shape[2]))
    return scores


def box(x: Tensor, window: int) -> Tensor:
    """Sums over every whole window, (C, H - window + 1, W - window + 1, n)."""
    return _slide(_slide(x, window, 1), window, 2)


def _slide(x: Tensor, window: int, dim: int) -> Tensor:
    """Sums of `window` neighbours along `dim`, by doubling: 7 = 1 + 2 + 4 takes four additions."""
    length = x.shape[dim] - window + 1
    total: Tensor | None = None
    offset, width, power = 0, 1, x
    while True:
        if window & width:
            part = power.narrow(dim, offset, length)
            if total is None:
                total = part
            elif total._base is not None:
                total = total + part
            else:
                total += part
            offset += width
        if 2 * width > window:
            assert total is not None
            return total
        span = power.shape[dim] - width
        power = power.narrow(dim, 0, span) + power.narrow(dim, width, span)
        width *= 2


def measure(name: str, pair: Pair, options: dict[str, Any]) -> Tensor:
    """The measure of a name on a pair, (n,)."""
    return MEASURES[name](pair, **options)


MEASURES: dict[str, Callable[..., Tensor]] = {
    "mse": mse,
    "mae": mae,
    "rmse": rmse,
    "psnr": psnr,
    "ssim": ssim,
    "sharpness": sharpness,
    "lpips": lpips,
}
