"""Protocol and Metric: how a score is computed, as a value that can be signed.

Everything that decides a number is a field of `Metric`, and the signature is made of exactly those
fields, so a score cannot be computed in one way and signed in another. No torch here: tables and
plans read names and signatures from this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchbench.clip import Clip
from benchbench.errors import SchemaError, UnknownName, nearest
from benchbench.scoring import fitness

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Better = Literal["lower", "higher"]
Pool = Literal["frame-mean", "frame-rms", "sequence-sum"]


@dataclass(frozen=True)
class Metric:
    """One number a predicted frame, and how the frames of a test set become one number.

    `measure` names a function of `benchbench.scoring.measures`, `options` are its keyword
    arguments.

    `pool` is `frame-mean` (mean over sequences and frames), `frame-rms` (root of the mean of the
    squares) or `sequence-sum` (sum over the frames of a sequence, mean over sequences).
    """

    name: str
    label: str
    measure: str
    better: Better
    unit: str
    decimals: int
    options: tuple[tuple[str, Any], ...] = ()
    clip: bool = True
    """Whether predictions are clipped to [0, 1] first."""
    quantised: bool = False
    """Whether both sides become uint8(255 x), truncated, first."""
    mapped: bool = True
    """Whether frames are in [0, 1]; else as they were given, their range being unknown."""
    pool: Pool = "frame-mean"
    cap: float | None = None
    """Frames above it (perfect ones have an infinite PSNR) count as this much when pooled."""

    def __post_init__(self) -> None:
        if self.quantised and not self.clip:
            raise SchemaError(
                f"metric '{self.name}': uint8(255 x) means nothing beyond [0, 1]; "
                "what is quantised must be clipped"
            )

    @property
    def needs_range(self) -> bool:
        """Whether the number means nothing for data whose range is not known."""
        return self.clip or self.quantised or self.measure in ("psnr", "ssim", "lpips")

    def signature(self, version: int) -> str:
        """All that decides the number, such as `ssim|range:1|win:7u|clip:01|reduce:frame-mean|v1`.

        All channels and float input are not spelled out.
        """
        parts = [self.measure]
        parts += [f"{key}:{_short(key, value)}" for key, value in self.options]
        if self.quantised:
            parts.append("in:uint8")
        if not self.mapped:
            parts.append("in:unknown-range")
        parts.append("clip:01" if self.clip else "clip:no")
        parts.append(f"reduce:{self.pool}")
        if self.cap is not None:
            parts.append(f"cap:{self.cap:g}")
        return "|".join([*parts, f"v{version}"])

    def fold(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Frame scores as they enter the mean."""
        if self.cap is not None:
            values = values.clip(max=self.cap)
        return values**2 if self.pool == "frame-rms" else values

    def settle(self, means: list[float]) -> tuple[float, list[float]]:
        """The pooled value and the value at each frame, from means over sequences a frame."""
        total = math.fsum(means) if all(map(math.isfinite, means)) else sum(means)
        if self.pool == "sequence-sum":
            return total, means
        value = total / len(means)
        if self.pool == "frame-rms":
            return math.sqrt(value), [math.sqrt(mean) for mean in means]
        return value, means

    def pooled(self, values: npt.NDArray[np.float64]) -> float:
        """One number from frame scores (N, T)."""
        return self.settle([float(mean) for mean in self.fold(values).mean(0)])[0]


def _short(key: str, value: Any) -> str:
    if key == "win":
        return f"{value}u"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Protocol:
    """The metrics of one evaluation code, exactly as it computes them.

    `version` is raised when a number changes; records keep the version they were scored with.
    """

    name: str
    version: int
    title: str
    """One line: what it is for."""
    source: str
    """Public repository, file and commit, or the page that defines it."""
    metrics: tuple[Metric, ...]
    headline: tuple[str, ...] = ("psnr", "ssim", "mse", "mae")
    """Names of the metrics a table shows, in its order."""
    notes: tuple[str, ...] = ()
    """How it differs from the others, and every departure from its source."""

    @property
    def stem(self) -> str:
        """Name of its files in a run's `scores/`, without the ending."""
        return f"{self.name}-v{self.version}"

    def __getitem__(self, metric: str) -> Metric:
        for known in self.metrics:
            if known.name == metric:
                return known
        names = [known.name for known in self.metrics]
        raise UnknownName(f"protocol '{self.name}' has no '{metric}'{nearest(metric, names)}")

    def signature(self, metric: str) -> str:
        """The signature of one of its metrics."""
        return self[metric].signature(self.version)

    def check(self, clip: Clip) -> None:
        """Looks whether clips of this shape can be scored here; quick, before any training.

        Raises:
            Unfit: the frames are too small or have the wrong number of channels.
            DataMissing: a weight file is absent; the message says what to put where.
        """
        for metric in self.metrics:
            fitness.check(metric.measure, dict(metric.options), clip)


def squared(name: str = "mse", *, label: str = "MSE", per: str = "frame", **how: Any) -> Metric:
    """Squared error summed `per` frame, or averaged per channel or per value."""
    return _error(name, label, "mse", per, how)


def absolute(name: str = "mae", *, label: str = "MAE", per: str = "frame", **how: Any) -> Metric:
    """Absolute error summed `per` frame, or averaged per channel or per value."""
    return _error(name, label, "mae", per, how)


def root(name: str = "rmse", *, label: str = "RMSE", per: str = "frame", **how: Any) -> Metric:
    """Root of the squared error a frame; pooled as the root of the mean square."""
    return _error(name, label, "rmse", per, {"pool": "frame-rms", **how})


def _error(name: str, label: str, measure: str, per: str, how: dict[str, Any]) -> Metric:
    unit = {"frame": "sum per frame", "channel": "sum per channel", "value": "mean per value"}[per]
    if how.get("pool") == "sequence-sum":
        unit = "sum per sequence"
    if measure == "rmse":
        unit = f"root of the {unit}"
    options: tuple[tuple[str, Any], ...] = (("per", per),)
    if "channel" in how:
        channel = how.pop("channel")
        options += (("ch", channel),)
        unit += f", channel {channel}"
    decimals = 6 if per == "value" else 2
    return Metric(name, label, measure, "lower", unit, decimals=decimals, options=options, **how)


def psnr(*, peak: int, over: str = "chw", channel: int | None = None, **how: Any) -> Metric:
    """PSNR a frame, its squared error averaged `over` all of `chw`, or `hw`: each channel alone."""
    options: tuple[tuple[str, Any], ...] = (("peak", peak), ("mse", over))
    if channel is not None:
        options += (("ch", channel),)
    return Metric("psnr", "PSNR", "psnr", "higher", "dB", 2, options=options, **how)


def ssim(*, span: float, channel: int | None = None, **how: Any) -> Metric:
    """SSIM with a 7x7 uniform window and the data range `span`, channels averaged."""
    options: tuple[tuple[str, Any], ...] = (("range", span), ("win", 7))
    if channel is not None:
        options += (("ch", channel),)
    return Metric("ssim", "SSIM", "ssim", "higher", "index", 4, options=options, **how)


def wrapped_psnr() -> Metric:
    """PSNR of uint8 frames whose differences and squares wrap around at 256."""
    options = (("peak", 255), ("mse", "chw"), ("wrap", 256))
    return Metric("psnr", "PSNR", "psnr", "higher", "dB", 2, options=options, quantised=True)


def sharpness(*, channel: int | None = None) -> Metric:
    """Largest absolute Laplacian of the predicted uint8 frame, at most 255."""
    options = () if channel is None else (("ch", channel),)
    unit = "levels of 255"
    return Metric(
        "sharpness", "Sharpness", "sharpness", "higher", unit, 1, options=options, quantised=True
    )


def lpips(*, net: str, scale: str, rgb: str) -> Metric:
    """LPIPS of frames in `scale`, grey `repeat`ed to RGB, or channel `first` unless RGB."""
    options = (("net", net), ("scale", scale), ("rgb", rgb))
    return Metric("lpips", "LPIPS", "lpips", "lower", "distance", 4, options=options)
