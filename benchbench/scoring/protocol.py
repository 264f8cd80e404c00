"""Statistic, Metric and Protocol: how a score is computed, as values that can be signed.

Everything that decides a number is a field of `Statistic` or `Metric`, and the signature is made of
exactly those fields, so a score cannot be computed in one way and signed in another. No torch here:
tables and plans read names and signatures from this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit, UnknownName, nearest
from benchbench.scoring import measures
from benchbench.scoring.measures import Better, Measure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Pool = Literal["frame-mean", "frame-rms", "sequence-sum"]


@dataclass(frozen=True)
class Statistic:
    """What is computed of a predicted frame: one number; equal ones are computed once."""

    measure: str
    """Name of a row of `benchbench.scoring.measures`."""
    options: tuple[tuple[str, Any], ...] = ()
    """Keyword arguments of the measure's function."""
    clip: bool = True
    """Whether predictions are clipped to [0, 1] first."""
    quantised: bool = False
    """Whether both sides become uint8(255 x), truncated, first."""

    def __post_init__(self) -> None:
        if self.quantised and not self.clip:
            raise SchemaError(
                f"statistic '{self.measure}': uint8(255 x) means nothing beyond [0, 1]; "
                "what is quantised must be clipped"
            )

    @property
    def row(self) -> Measure:
        """What the engine knows of its measure."""
        return measures.MEASURES[self.measure]

    @property
    def needs_range(self) -> bool:
        """Whether the number means nothing for data whose range is not known."""
        return self.clip or self.quantised or self.row.needs_range


@dataclass(frozen=True)
class Metric:
    """How a statistic's numbers become one number for a test set, and how that is shown.

    `pool` is `frame-mean` (mean over sequences and frames), `frame-rms` (root of the mean of the
    squares) or `sequence-sum` (sum over the frames of a sequence, mean over sequences).
    """

    statistic: Statistic
    name: str
    label: str
    unit: str
    decimals: int
    pool: Pool = "frame-mean"
    cap: float | None = None
    """Frames above it (perfect ones have an infinite PSNR) count as this much when pooled."""
    mapped: bool = True
    """Whether frames are in [0, 1]; else as they were given, their range being unknown."""

    @property
    def better(self) -> Better:
        """Whether lower or higher is better."""
        return self.statistic.row.better

    def signature(self, version: int) -> str:
        """All that decides the number, such as `ssim|range:1|win:7u|clip:01|reduce:frame-mean|v1`.

        All channels and float input are not spelled out.
        """
        statistic = self.statistic
        parts = [statistic.measure]
        parts += [f"{key}:{_short(key, value)}" for key, value in statistic.options]
        if statistic.quantised:
            parts.append("in:uint8")
        if not self.mapped:
            parts.append("in:unknown-range")
        parts.append("clip:01" if statistic.clip else "clip:no")
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

    def by_sequence(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """One number a sequence from frame scores (N, T), whose mean is the pooled score.

        A root of a mean is taken to be as straight as it is at that mean.
        """
        means: npt.NDArray[np.float64] = self.fold(values).mean(1)
        if self.pool == "sequence-sum":
            means = means * values.shape[1]
        if self.pool == "frame-rms" and (mean := float(means.mean())) > 0:
            root = math.sqrt(mean)
            means = root + (means - mean) / (2 * root)
        return means


def _short(key: str, value: Any) -> str:
    if key == "win":
        return f"{value}u"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Column:
    """A metric under its signature, as tables show it; two signatures never share a column."""

    metric: str
    label: str
    unit: str
    better: Better
    decimals: int
    signature: str

    @property
    def heading(self) -> str:
        """`PSNR ↑`."""
        return f"{self.label} {'↑' if self.better == 'higher' else '↓'}"


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

    def __getitem__(self, name: str) -> Metric:
        metrics = {metric.name: metric for metric in self.metrics}
        if name not in metrics:
            raise UnknownName(f"protocol '{self.name}' has no '{name}'{nearest(name, metrics)}")
        return metrics[name]

    def signature(self, metric: str) -> str:
        """The signature of one of its metrics."""
        return self[metric].signature(self.version)

    def column(self, name: str) -> Column:
        """The column of tables that one of its metrics belongs in."""
        m, signature = self[name], self.signature(name)
        return Column(name, m.label, m.unit, m.better, m.decimals, signature)

    def check(self, clip: Clip) -> None:
        """Looks whether clips of this shape can be scored here; quick, before any training.

        Raises:
            Unfit: the frames are too small or have the wrong number of channels.
            DataMissing: a weight file is absent; the message says what to put where.
        """
        for metric in self.metrics:
            metric.statistic.row.check(dict(metric.statistic.options), clip)

    def without_range(self) -> Protocol:
        """The protocol with only those metrics that make sense for data of unknown range.

        Raises:
            Unfit: there are none.
        """
        metrics = [metric for metric in self.metrics if not metric.statistic.needs_range]
        if not metrics:
            raise Unfit(
                f"{self.name}: all of its metrics clip, or need the range of the data as PSNR and "
                "SSIM do; declare the range, or choose a protocol with a metric that needs none"
            )
        return replace(self, metrics=tuple(replace(metric, mapped=False) for metric in metrics))


def mse(name: str = "mse", *, label: str = "MSE", per: str = "frame", **how: Any) -> Metric:
    """Squared error summed `per` frame, or averaged per channel or per value."""
    return _error("mse", name, label, per, **how)


def mae(name: str = "mae", *, label: str = "MAE", per: str = "frame", **how: Any) -> Metric:
    """Absolute error summed `per` frame, or averaged per channel or per value."""
    return _error("mae", name, label, per, **how)


def rmse(name: str = "rmse", *, label: str = "RMSE", per: str = "frame", **how: Any) -> Metric:
    """Root of the squared error a frame; pooled as the root of the mean square."""
    return _error("rmse", name, label, per, of="root of the ", pool="frame-rms", **how)


def _error(
    measure: str,
    name: str,
    label: str,
    per: str,
    *,
    of: str = "",
    channel: int | None = None,
    clip: bool = True,
    pool: Pool = "frame-mean",
) -> Metric:
    unit = {"frame": "sum per frame", "channel": "sum per channel", "value": "mean per value"}[per]
    if pool == "sequence-sum":
        unit = "sum per sequence"
    unit = of + unit + ("" if channel is None else f", channel {channel}")
    statistic = Statistic(measure, _options(per=per, ch=channel), clip)
    return Metric(statistic, name, label, unit, 6 if per == "value" else 2, pool)


def _options(**options: Any) -> tuple[tuple[str, Any], ...]:
    """The options that are set."""
    return tuple((name, value) for name, value in options.items() if value is not None)


def psnr(
    *,
    peak: int,
    over: str = "chw",
    channel: int | None = None,
    wrap: int | None = None,
    clip: bool = True,
    quantised: bool = False,
    cap: float | None = None,
) -> Metric:
    """PSNR a frame, its squared error averaged `over` all of `chw`, or `hw`: each channel alone.

    With `wrap`, 256, differences and squares are taken modulo that number.
    """
    options = _options(peak=peak, mse=over, ch=channel, wrap=wrap)
    return Metric(Statistic("psnr", options, clip, quantised), "psnr", "PSNR", "dB", 2, cap=cap)


def ssim(
    *, span: float, channel: int | None = None, clip: bool = True, quantised: bool = False
) -> Metric:
    """SSIM with a 7x7 uniform window and the data range `span`, channels averaged."""
    statistic = Statistic("ssim", _options(range=span, win=7, ch=channel), clip, quantised)
    return Metric(statistic, "ssim", "SSIM", "index", 4)


def sharpness(*, channel: int | None = None) -> Metric:
    """Largest absolute Laplacian of the predicted uint8 frame, at most 255."""
    statistic = Statistic("sharpness", _options(ch=channel), quantised=True)
    return Metric(statistic, "sharpness", "Sharpness", "levels of 255", 1)


def lpips(*, net: str, scale: str, rgb: str) -> Metric:
    """LPIPS of frames in `scale`, grey `repeat`ed to RGB, or channel `first` unless RGB."""
    statistic = Statistic("lpips", _options(net=net, scale=scale, rgb=rgb))
    return Metric(statistic, "lpips", "LPIPS", "distance", 4)
