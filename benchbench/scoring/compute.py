"""compute: frames to statistics, sharing what they have in common.

B batch, T predicted frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchbench.scoring.frames import Pair
from benchbench.scoring.protocol import Protocol, Statistic

Numbers = dict[Statistic, npt.NDArray[np.float64]]
"""Statistic to (B, T)."""


def statistics_of(protocols: Iterable[Protocol]) -> set[Statistic]:
    """All that has to be computed for some protocols, each once."""
    return {metric.statistic for protocol in protocols for metric in protocol.metrics}


def compute(statistics: Collection[Statistic], prediction: Tensor, target: Tensor) -> Numbers:
    """Statistic to (B, T) numbers of frames (B, T, C, H, W), on any device.

    Networks compute where the predicted frames are, all else is computed on the CPU.
    """
    if not statistics:
        return {}
    B, T = prediction.shape[:2]
    low, high = prediction.aminmax()
    inside = bool(low >= 0) and bool(high <= 1)
    alike: dict[tuple[bool, bool, bool], list[Statistic]] = defaultdict(list)
    for statistic in statistics:
        clip = statistic.clip and not inside
        alike[statistic.row.network, clip, statistic.quantised].append(statistic)
    numbers: Numbers = {}
    with torch.no_grad(), torch.autocast(prediction.device.type, enabled=False):
        for (network, clip, quantised), group in alike.items():
            x, y = (frames.flatten(0, 1) for frames in (prediction, target))
            x, y = (x, y.to(x.device)) if network else (x.cpu(), y.cpu())
            options = [dict(statistic.options) for statistic in group]
            spans = tuple(sorted({float(each["range"]) for each in options if "range" in each}))
            pair = Pair(x, y, clip=clip, quantised=quantised, spans=spans)
            for statistic, keywords in zip(group, options, strict=True):
                values = statistic.row.load()(pair, **keywords)
                numbers[statistic] = values.double().cpu().numpy().reshape(B, T)
    return numbers
