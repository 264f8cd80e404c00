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
    sizes = certificate(model).sizes
    shown = {
        option: value
        for option, size in sizes.items()
        if size.axis is not None and (value := _length(size, placed, channels)) is not None
    }
    flags = {option: size.tensor in placed for option, size in sizes.items() if size.axis is None}
    return {**shown, **flags} if shown else {}


def _length(size: Size, placed: Mapping[str, Tensor], channels: int | None) -> Any:
    """The length of a tensor's axis, or those of all layers; None where it is not shown."""
    assert size.axis is not None
    if "{layer}" in size.tensor:
        names = (size.tensor.format(layer=layer) for layer in itertools.count())
        layers = itertools.takewhile(lambda name: name in placed, names)
        return [placed[name].shape[size.axis] // size.parts for name in layers] or None
    if size.tensor not in placed:
        return None
    length = placed[size.tensor].shape[size.axis] // size.parts
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
