"""The measures, one number a frame, batched and on the device of their input.

n frames, C channels, H height, W width. A measure takes a `Pair` of frames (n, C, H, W) and gives
(n,) in float64. What several measures need, such as the squared error, a pair computes once. A
frame's numbers do not depend on the frames beside it, bit for bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Pair:
    """Predicted and true frames, prepared alike, and the sums that measures share.

    Args:
        prediction: (n, C, H, W), float32.
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
        self.spans = spans
        self._similar: dict[tuple[float, int], Tensor] = {}

    @functools.cached_property
    def error(self) -> Tensor:
        """(n, C, H, W), float64."""
        return self.prediction.double() - self.target.double()

    @functools.cached_property
    def squares(self) -> Tensor:
        """Squared error summed over pixels, (n, C)."""
        return over_pixels(self.error.square())

    @functools.cached_property
    def absolutes(self) -> Tensor:
        """Absolute error summed over pixels, (n, C)."""
        return over_pixels(self.error.abs())

    def similarity(self, span: float, window: int) -> Tensor:
        """SSIM a channel, (n, C)."""
        if (span, window) not in self._similar:
            spans = tuple({*self.spans, span})
            maps = similarities(self.prediction, self.target, spans, window=window)
            self._similar |= {(s, window): m for s, m in zip(spans, maps, strict=True)}
        return self._similar[span, window]


def quantise(frames: Tensor) -> Tensor:
    """uint8(255 x) of frames in [0, 1], truncated not rounded, as whole numbers in float32."""
    return (frames.float() * 255).trunc()


def over_pixels(values: Tensor) -> Tensor:
    """Sums (n, C, H, W) to (n, C).

    In two steps, so that no frame is ever split over threads, which would change its last bits.
    """
    return values.sum(-1).sum(-1)


def _channels(values: Tensor, ch: int | None, mean: bool) -> Tensor:
    """(n, C) to (n,): one channel, or the sum or mean of all."""
    if ch is not None:
        return values[:, ch]
    return values.mean(1) if mean else values.sum(1)


def _per(values: Tensor, pair: Pair, per: str, ch: int | None) -> Tensor:
    pixels = pair.error.shape[-1] * pair.error.shape[-2]
    total = _channels(values, ch, mean=per != "frame")
    return total / pixels if per == "value" else total


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
    averaged. With `wrap` the squares are taken modulo that number, as uint8 arithmetic does.
    """
    squares = pair.squares if wrap is None else over_pixels(pair.error.square().remainder(wrap))
    if ch is not None:
        squares = squares[:, ch : ch + 1]
    pixels = pair.error.shape[-1] * pair.error.shape[-2]
    if mse == "chw":
        squares = squares.mean(1, keepdim=True)
    return (20 * math.log10(peak) - 10 * (squares / pixels).log10()).mean(1)


def ssim(pair: Pair, *, range: float, win: int, ch: int | None = None) -> Tensor:  # noqa: A002
    """SSIM (Wang et al. 2004) as scikit-image computes it, the channels averaged."""
    return _channels(pair.similarity(range, win), ch, mean=True)


def sharpness(pair: Pair, *, ch: int | None = None) -> Tensor:
    """Largest absolute Laplacian of the predicted frame, at most 255; borders mirrored.

    OpenCV's `convertScaleAbs(Laplacian(frame, 3))`, whose 3 is the depth: the kernel is 3x3.
    """
    x = pair.prediction if ch is None else pair.prediction[:, ch : ch + 1]
    p = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    around = p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]
    return (around - 4 * x).abs().amax((1, 2, 3)).clamp(max=255).double()


def lpips(pair: Pair, *, net: str, scale: str, rgb: str) -> Tensor:
    """LPIPS of the frames; `benchbench.perceptual` says what the options mean."""
    from benchbench.perceptual import distance

    return distance(pair.prediction, pair.target, net=net, scale=scale, rgb=rgb).double()


def similarities(
    x: Tensor, y: Tensor, spans: tuple[float, ...], *, window: int = 7
) -> list[Tensor]:
    """SSIM a channel, (n, C), for each data range in `spans`, from one pass over the frames.

    Uniform window, sample covariance, K1 0.01 and K2 0.03, borders cropped: scikit-image's
    defaults, in float64. Whole numbers up to 255 are summed in float32, where a window of at most
    11x11 of their squares is exact.
    """
    if not _whole(x, y, window):
        x, y = x.double(), y.double()
    area = window * window
    mean_x = box(x, window).double() / area
    mean_y = box(y, window).double() / area
    mean_xy = box(x * y, window).double() / area
    power = box(x * x + y * y, window).double() / area
    sample = area / (area - 1)
    product = mean_x * mean_y
    energy = mean_x * mean_x + mean_y * mean_y
    covariance = (mean_xy - product) * (2 * sample)
    variance = (power - energy) * sample
    product *= 2
    scores = []
    for span in spans:
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        ratio = (product + c1) * (covariance + c2) / ((energy + c1) * (variance + c2))
        scores.append(over_pixels(ratio) / (ratio.shape[-1] * ratio.shape[-2]))
    return scores


def _whole(x: Tensor, y: Tensor, window: int) -> bool:
    """Whether sums of squares over a window are exact in float32."""
    if x.dtype != torch.float32 or window * window * 2 * 255**2 >= 2**24:
        return False
    return all(bool((f.trunc() == f).all()) and bool((f.abs() <= 255).all()) for f in (x, y))


def box(x: Tensor, window: int) -> Tensor:
    """Sums over every whole window, (..., H - window + 1, W - window + 1)."""
    return _slide(_slide(x, window, -1), window, -2)


def _slide(x: Tensor, window: int, dim: int) -> Tensor:
    """Sums of `window` neighbours along `dim`, by doubling: 7 = 1 + 2 + 4 takes four additions."""
    length = x.shape[dim] - window + 1
    total: Tensor | None = None
    offset, width, power = 0, 1, x
    while window:
        if window & 1:
            part = power.narrow(dim, offset, length)
            total = part if total is None else total + part
            offset += width
        window >>= 1
        if window:
            span = power.shape[dim] - width
            power = power.narrow(dim, 0, span) + power.narrow(dim, width, span)
            width *= 2
    assert total is not None
    return total


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
