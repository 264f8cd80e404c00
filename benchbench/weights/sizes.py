"""What a reference's tensors say about the network they are of."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchbench.registry import MODELS
from benchbench.weights.certificate import Source, sources

# the convolution of h, or of x and h together, in our recurrent cells
_OF_H = re.compile(r"stack\.cells\.(\d+)\.(?:cell\.|step\.)*(of_h|of_xh)\.(0|1|conv|norm)\.weight")


def sizes_of(placed: Mapping[str, Tensor], *, channels: int | None = None) -> dict[str, Any]:
    """Options of the recurrent models, as far as tensors by our names show them.

    Args:
        placed: our names to tensors.
        channels: of the frames; without it the patch stays unknown.
    """
    widths: dict[int, int] = {}
    found: dict[str, Any] = {}
    for name, tensor in placed.items():
        match = _OF_H.fullmatch(name)
        if match is None:
            continue
        layer, of, part = match.groups()
        if part in ("1", "norm"):
            found.update({"norm": True} if of == "of_h" else {})
            continue
        widths[int(layer)] = tensor.shape[1] if of == "of_h" else tensor.shape[0] // 4
        found.setdefault("kernel", tensor.shape[-1])
        if of == "of_h":
            found.setdefault("norm", False)
    if widths:
        found["hidden"] = [widths[layer] for layer in sorted(widths)]
        found["cell_conv"] = "stack.cells.0.of_c.0.weight" in placed
    query = placed.get("stack.cells.0.memory.query.weight")
    if query is not None:
        found["attention"] = query.shape[0]
    head = placed.get("stack.head.weight")
    if head is not None and channels and head.shape[0] % channels == 0:
        patch = math.isqrt(head.shape[0] // channels)
        if patch**2 * channels == head.shape[0]:
            found["patch"] = patch
    return found


def belongs_to(names: Mapping[str, Any]) -> list[str]:
    """Sources whose rules know every one of the names, as `'source' of model`."""

    def known(source: Source) -> bool:
        rules = [rule.name for rule in source.tensors] + [rule.name for rule in source.dead]
        return all(any(re.fullmatch(rule, name) for rule in rules) for name in names)

    return [
        f"'{name}' of {model}"
        for model in MODELS.names()
        for name, source in sources(model).items()
        if known(source)
    ]
