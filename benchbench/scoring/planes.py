"""Sums over planes, one number a plane: the arithmetic of the measures, compiled by numba.

H height, W width, m planes: each one channel of one frame, floats, whole numbers where quantised.
All is computed in float64, each sum in an order of its own, so a plane's numbers depend bit for
bit on nothing but the plane. While it computes, other threads run. Why numba: the benchmark of
`tests/benchmarks/scoring.py` takes 21 to 30 s, with torch's operations it took 80.7 s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kernel = Callable[..., Any]


def compiled(function: Kernel) -> Kernel:
    """`function` as machine code, made at the first call and kept beside this file's bytecode."""
    compiler = functools.partial(numba.njit, nogil=True, error_model="numpy")
    try:
        return compiler(cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return compiler()(function)


@compiled
def errors(x: Array, y: Array) -> Array:
    """Squared and absolute error of planes (m, H, W) summed over pixels, (2, m)."""
    sums = np.zeros((2, len(x)))
    squares, absolutes = np.empty(x.shape[2]), np.empty(x.shape[2])
    for p in range(len(x)):
        squares[:] = 0
        absolutes[:] = 0
        for i in range(x.shape[1]):
            a, b = x[p, i], y[p, i]
            for j in range(len(a)):
                error = np.float64(a[j]) - np.float64(b[j])
                squares[j] += error * error
                absolutes[j] += abs(error)
        sums[0, p] = squares.sum()
        sums[1, p] = absolutes.sum()
    return sums


@compiled
def wrapped_squares(x: Array, y: Array) -> Array:
    """Squared error of whole numbers (m, H, W) modulo 256, summed over pixels, (1, m)."""
    sums = np.zeros((1, len(x)))
    for p in range(len(x)):
        total = 0
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                error = int(x[p, i, j]) - int(y[p, i, j])
                total += error * error & 255
        sums[0, p] = total
    return sums


@compiled
def largest_laplacian(x: Array) -> Array:
    """Largest absolute Laplacian of planes (m, H, W), at most 255, (1, m); borders mirrored.

    OpenCV's `convertScaleAbs(Laplacian(frame, 3))`, whose 3 is the depth: the kernel is 3x3.
    """
    m, H, W = x.shape
    largest = np.zeros((1, m))
    for p in range(m):
        for i in range(H):
            row, above, below = x[p, i], x[p, abs(i - 1)], x[p, H - 1 - abs(H - 2 - i)]
            for j in range(W):
                beside = row[abs(j - 1)] + row[W - 1 - abs(W - 2 - j)]
                value = abs(above[j] + below[j] + beside - 4 * row[j])
                largest[0, p] = max(largest[0, p], min(value, 255))
    return largest


@compiled
def similarities(x: Array, y: Array, spans: Array, window: int) -> Array:
    """SSIM of planes (m, H, W) for each of k data ranges `spans`, (k, m).

    Uniform window, sample covariance, K1 0.01 and K2 0.03, borders cropped: scikit-image's
    defaults. Both means are taken times area squared, both moments times area (area - 1): the
    ratio is the same.
    """
    m, H, W = x.shape
    area = float(window * window)
    c1 = (0.01 * spans) ** 2 * area**2
    c2 = (0.03 * spans) ** 2 * area * (area - 1)
    columns, boxes = np.empty((4, W)), np.empty((4, W - window + 1))
    ratios = np.empty((len(spans), W - window + 1))
    scores = np.empty((len(spans), m))
    for p in range(m):
        columns[:] = 0
        ratios[:] = 0
        for i in range(H):
            _add(columns, x[p, i], y[p, i], 1.0)
            if i >= window:
                _add(columns, x[p, i - window], y[p, i - window], -1.0)
            if i >= window - 1:
                _slide(columns, boxes, window)
                for s in range(len(spans)):
                    _compare(boxes, area, c1[s], c2[s], ratios[s])
        for s in range(len(spans)):
            scores[s, p] = ratios[s].sum() / ((H - window + 1) * (W - window + 1))
    return scores


@compiled
def _add(columns: Array, x: Array, y: Array, sign: float) -> None:
    """Adds x, y, x y and x x + y y of a row of pixels (W,) to sums (4, W), or takes them away."""
    sum_x, sum_y, products, powers = columns[0], columns[1], columns[2], columns[3]
    for j in range(len(x)):
        a, b = np.float64(x[j]), np.float64(y[j])
        sum_x[j] += sign * a
        sum_y[j] += sign * b
        products[j] += sign * (a * b)
        powers[j] += sign * (a * a + b * b)


@compiled
def _slide(columns: Array, boxes: Array, window: int) -> None:
    """Sums (4, W - window + 1) of `window` columns (4, W) side by side."""
    n = boxes.shape[1]
    for q in range(4):
        row, box = columns[q], boxes[q]
        for j in range(n):
            box[j] = row[j]
        for offset in range(1, window):
            beside = row[offset:]
            for j in range(n):
                box[j] += beside[j]


@compiled
def _compare(boxes: Array, area: float, c1: float, c2: float, ratios: Array) -> None:
    """Adds the SSIM of a row of windows, from their sums (4, n), to `ratios` (n,)."""
    sum_x, sum_y, products, powers = boxes[0], boxes[1], boxes[2], boxes[3]
    for j in range(len(ratios)):
        means = 2 * sum_x[j] * sum_y[j]
        energy = sum_x[j] * sum_x[j] + sum_y[j] * sum_y[j]
        above = (means + c1) * (2 * area * products[j] - means + c2)
        ratios[j] += above / ((energy + c1) * (area * powers[j] - energy + c2))
