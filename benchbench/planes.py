"""Sums over planes, one number a plane: the arithmetic of the measures, in numpy.

H height, W width, m planes: each one channel of one frame, float64, or int32 where quantised. A
plane's numbers depend bit for bit on nothing but the plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def over_pixels(planes: Array) -> Array:
    """Sums (m, H, W) to (m,), in float64, each along its own row of memory."""
    sums: Array = planes.reshape(len(planes), -1).sum(-1).astype(np.float64)
    return sums


def errors(x: Array, y: Array) -> list[Array]:
    """Squared and absolute error of planes (m, H, W) summed over pixels, (m,) each."""
    error = x - y
    return [over_pixels(error * error), over_pixels(np.abs(error, out=error))]


def wrapped_squares(x: Array, y: Array) -> list[Array]:
    """Squared error of int32 planes (m, H, W) modulo 256, summed over pixels, (m,)."""
    squares = x - y
    squares *= squares
    squares &= 255
    return [over_pixels(squares)]


def largest_laplacian(x: Array) -> Array:
    """Largest absolute Laplacian of planes (m, H, W), at most 255, (m,); borders mirrored.

    OpenCV's `convertScaleAbs(Laplacian(frame, 3))`, whose 3 is the depth: the kernel is 3x3.
    """
    around = np.empty_like(x)
    flat, beside = x.reshape(-1), around.reshape(-1)
    np.add(flat[:-2], flat[2:], out=beside[1:-1])
    around[:, :, 0] = 2 * x[:, :, 1]
    around[:, :, -1] = 2 * x[:, :, -2]
    around[:, 1:-1] += x[:, :-2]
    around[:, 1:-1] += x[:, 2:]
    around[:, 0] += 2 * x[:, 1]
    around[:, -1] += 2 * x[:, -2]
    around -= 4 * x
    largest: Array = np.abs(around, out=around).reshape(len(x), -1).max(-1)
    return largest.clip(max=255).astype(np.float64)


def similarities(x: Array, y: Array, spans: tuple[float, ...], *, window: int = 7) -> list[Array]:
    """SSIM of planes (m, H, W), (m,), for each data range in `spans`, from one pass.

    Uniform window, sample covariance, K1 0.01 and K2 0.03, borders cropped: scikit-image's
    defaults, in float64. Whole numbers up to 255 are summed as such, exactly.
    """
    area = window * window
    assert x.dtype == np.float64 or area**2 * 2 * 255**2 < 2**31
    sum_x, sum_y, covariance = box(x, window), box(y, window), box(x * y, window)
    power = x * x
    power += y * y
    variance = box(power, window)
    # Both means times area squared, both moments times area (area - 1): the ratio is the same.
    means = sum_x * sum_y
    energy = sum_x * sum_x
    energy += sum_y * sum_y
    covariance *= area
    covariance -= means
    covariance *= 2
    variance *= area
    variance -= energy
    means *= 2
    if x.dtype != np.float64:
        means, covariance, energy, variance = (
            sums.astype(np.float64) for sums in (means, covariance, energy, variance)
        )
    size = len(x), x.shape[1] - window + 1, x.shape[2]
    scores = []
    for span in spans:
        c1 = (0.01 * span) ** 2 * area**2
        c2 = (0.03 * span) ** 2 * area * (area - 1)
        above, below = means + c1, energy + c1
        above *= covariance + c2
        below *= variance + c2
        ratio = whole(above, below, size, window)
        scores.append(over_pixels(ratio) / (size[1] * (size[2] - window + 1)))
    return scores


def whole(above: Array, below: Array, size: tuple[int, int, int], window: int) -> Array:
    """`above / below`, both as `box` gives them, (m, H - window + 1, W); 0 for no whole window."""
    ratio = np.empty(size)
    np.divide(above, below, out=ratio.reshape(-1)[: above.size])
    ratio[:, :, size[2] - window + 1 :] = 0
    return ratio


def box(x: Array, window: int) -> Array:
    """Sums over windows of planes (m, H, W), flat.

    Of the numbers (m, H - window + 1, W), each belonging to the window that begins there, it is all
    but the last `window - 1`. The last `window - 1` in each row are not sums of a window: to add
    whole runs of memory and leave these unread is several times faster.
    """
    rows = _slide(x.reshape(len(x), -1), window, x.shape[2])
    sums: Array = _slide(rows.reshape(1, -1), window, 1)[0]
    return sums


def _slide(x: Array, window: int, step: int) -> Array:
    """Sums of `window` numbers `step` apart in rows (m, L), by doubling: 7 = 1 + 2 + 4."""
    length = x.shape[1] - (window - 1) * step
    total: Array | None = None
    offset, width, power = 0, 1, x
    while True:
        if window & width:
            part = power[:, offset * step : offset * step + length]
            if total is None:
                total = part
            elif total.base is not None:
                total = total + part
            else:
                total += part
            offset += width
        if 2 * width > window:
            assert total is not None
            return total
        power = power[:, : -width * step] + power[:, width * step :]
        width *= 2
