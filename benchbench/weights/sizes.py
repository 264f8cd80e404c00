"""What a reference's tensors say about the network they are of."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchbench.registry import MODELS
from benchbench.weights.certificate import Size, Source, certificate


def sizes_of(
    model: str, placed: Mapping[str, Tensor], *, channels: int | None = None
) -> dict[str, Any]:
    """Options of the builder, as far as tensors by our names show them.

    Args:
        placed: our names to tensors.
        channels: of the frames; without it the side of a patch stays unknown.
    """
    numbers: dict[str, Any] = {}
    flags: dict[str, bool] = {}
    for option, size in certificate(model).sizes.items():
        if size.axis is None and "{n}" not in str(size.tensor):
            flags[option] = size.tensor in placed
        elif (number := _numbers(size, placed, channels)) is not None:
            numbers[option] = number
    return {**numbers, **flags} if numbers else {}


def _numbers(size: Size, placed: Mapping[str, Tensor], channels: int | None) -> Any:
    """The number that tensors show, or those of all layers; None where they show none."""
    names = (size.tensor,) if isinstance(size.tensor, str) else size.tensor
    if "{layer}" not in names[0]:
        return _number(size, names[0], placed, channels)
    numbers: list[float | None] = []
    for name in names:
        pattern = re.escape(name.replace("{n}", "0")).replace(re.escape("{layer}"), r"(\d+)")
        places = filter(None, (re.fullmatch(pattern, ours) for ours in placed))
        for n, layer in enumerate(sorted(int(place[1]) for place in places)):
            if layer > n and not size.gaps:
                break
            one = name.replace("{layer}", str(layer))
            numbers.append(_number(size, one, placed, channels))
    return numbers or None


def _number(
    size: Size, name: str, placed: Mapping[str, Tensor], channels: int | None
) -> float | None:
    """What one tensor shows: the length of its axis, or how many there are of its kind."""
    if "{n}" in name:
        tensors = (name.replace("{n}", str(n)) in placed for n in itertools.count())
        return sum(itertools.takewhile(bool, tensors)) or None
    assert size.axis is not None
    if name not in placed:
        return None
    beside = _numbers(size.less, placed, channels) if size.less else 0
    unit = _numbers(size.over, placed, channels) if size.over else 1
    if beside is None or unit is None:
        return None
    length: int = placed[name].shape[size.axis] // size.parts - beside
    if size.over is not None:
        ratio = length / unit
        return int(ratio) if ratio.is_integer() else ratio
    if not size.pixels:
        return length
    side = math.isqrt(length // channels) if channels else 0
    return side if channels and side**2 * channels == length else None


def belongs_to(names: Mapping[str, Any]) -> list[str]:
    """Sources whose rules know every one of the names, as `'source' of model`."""

    def fits(source: Source) -> bool:
        rules = [*(rule.name for rule in source.tensors), *(rule.name for rule in source.dead)]
        return all(any(re.fullmatch(rule, name) for rule in rules) for name in names)

    return [
        f"'{name}' of {model}"
        for model in MODELS.names()
        for name, source in certificate(model).sources.items()
        if fits(source)
    ]
