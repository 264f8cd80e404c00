"""What each paper's evaluation code really computed, one file each.

A file's `PROTOCOLS` holds its protocols; third-party packages add theirs through the entry-point
group `benchbench.protocols`, whose values are such tuples. No torch until something is scored.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import SchemaError, Unfit, UnknownName, nearest
from benchbench.registry import entry_points, load
from benchbench.scoring.protocol import Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

log = logging.getLogger(__name__)


@functools.cache
def _by_name() -> dict[str, Protocol]:
    stems = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    offers = [importlib.import_module(f"{__name__}.{stem}").PROTOCOLS for stem in stems]
    for point in entry_points(__name__):
        try:
            offers.append(load(point, "plug-in of protocols"))
        except SchemaError as error:  # no reason to do without the others
            log.warning("%s", error)
    by_name: dict[str, Protocol] = {}
    for protocol in (protocol for offer in offers for protocol in offer):
        if protocol.name in by_name:
            raise SchemaError(f"protocol '{protocol.name}' is defined twice; rename one")
        by_name[protocol.name] = protocol
    return by_name


def names() -> list[str]:
    """Every protocol, ours first."""
    return sorted(_by_name(), key=lambda name: (name != "benchbench", name))


def get(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UnknownName: there is none; the message names the nearest.
    """
    if name not in _by_name():
        raise UnknownName(f"no protocol '{name}'{nearest(name, names())}")
    return _by_name()[name]


def without_range(protocol: Protocol) -> Protocol:
    """A protocol with only those metrics that make sense for data of unknown range.

    Raises:
        Unfit: there are none; the message names the protocols that have some.
    """
    try:
        return protocol.without_range()
    except Unfit as error:
        others = [
            name
            for name, other in _by_name().items()
            if not all(metric.statistic.needs_range for metric in other.metrics)
        ]
        raise Unfit(f"{error}: {', '.join(sorted(others))}") from None


def score(
    name: str,
    prediction: Tensor | npt.ArrayLike,
    target: Tensor | npt.ArrayLike,
    *,
    span: tuple[float, float] | None = (0.0, 1.0),
    axes: str | None = None,
) -> dict[str, npt.NDArray[np.float64]]:
    """Metric to (B, T) scores, one a predicted frame, of frames (B, T, C, H, W) or (B, T, H, W).

    `span` is the declared range of the data; other ranges are mapped to [0, 1] first. For data
    whose range is not known say None: what needs a range is then left out. Float64 frames are
    scored as such, all others as float32, the type of every predictor here. `axes` is the order of
    both arrays' axes, such as TCHW for one clip: a shape that may mean several needs it.

    Raises:
        UnknownName: no such protocol.
        Unfit: shapes differ or may mean several orders of axes, values are not finite or out of the
            declared range, integers come without one, or the frames do not suit the protocol.
        DataMissing: a weight file is absent.
    """
    from benchbench.scoring.arrays import from_arrays
    from benchbench.scoring.compute import compute, statistics_of

    protocol = get(name) if span is not None else without_range(get(name))
    stream = from_arrays(prediction, target, span=span, axes=axes, batch=sys.maxsize)
    protocol.check(stream.clip)
    (batch,) = stream.batches
    numbers = compute(statistics_of([protocol]), batch.prediction, batch.target)
    return {metric.name: numbers[metric.statistic] for metric in protocol.metrics}
