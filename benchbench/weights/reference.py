"""Tensors of a reference implementation in one of our predictors."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchbench.errors import SchemaError
from benchbench.predictor import Built, Predictor
from benchbench.weights.certificate import Rule, Source, find_source, options_for
from benchbench.weights.sizes import belongs_to, sizes_of

# what the sources call the two tensors of a convolution or norm
_PARTS = {"kernel": "weight", "gamma": "weight", "s": "weight", "beta": "bias", "b": "bias"}


@dataclass(frozen=True)
class Loaded:
    """What becomes of a reference's tensors."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    """By our names."""
    used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Our names, by theirs."""
    dead: dict[str, str] = field(default_factory=dict)
    """Why, by the name of each tensor that the reference never uses."""
    differs: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Options that fit the tensors but not the source: (the source's, this predictor's)."""
    faults: list[str] = field(default_factory=list)
    """What has no place; empty once they are loaded."""


def load_reference(predictor: Predictor, source: str, state: Mapping[str, Any]) -> Loaded:
    """Copies the tensors of a reference implementation into a predictor, all or none.

    Args:
        predictor: from `build_model`, with the options of `options_for` and the sizes of the state.
        source: as in `bench weights sources`.
        state: names to tensors or arrays, as in the reference's `state_dict`, or TensorFlow
            variables with kernels HWIO or DHWIO.

    Raises:
        UnknownName: the model does not know the source.
        SchemaError: something did not fit; the message lists all of it, and the options that the
            source needs.
    """
    built = predictor.built_as
    if built is None:
        raise SchemaError("the predictor was not made by build_model; its sources are unknown")
    rules = find_source(built.model, source)
    ours = dict(predictor.state_dict())
    loaded = place(rules, state)
    for name, value in options_for(built.model, source).items():
        if built.options[name] != value:
            loaded.differs[name] = (value, built.options[name])
    where = f"{source} into {built.model}"
    loaded.faults.extend(_misfits(rules, loaded, ours))
    if loaded.faults:
        hint = _hint(built, source, state, loaded)
        what = f"{len(loaded.faults)} tensors do not fit, and nothing was loaded; {hint}"
        raise SchemaError("\n  ".join([f"{where}: {what}", *loaded.faults]))
    predictor.load_state_dict({**ours, **loaded.tensors})
    for name, (theirs, mine) in loaded.differs.items():
        logging.getLogger(__name__).warning(
            "%s: the source has %s=%r, the predictor %r", where, name, theirs, mine
        )
    return loaded


def place(source: Source, state: Mapping[str, Any]) -> Loaded:
    """A reference's tensors by our names, and what fits no rule."""
    loaded = Loaded()
    for name, value in state.items():
        plain = name.removesuffix(":0")
        dead = next((rule for rule in source.dead if re.fullmatch(rule.name, plain)), None)
        if dead is not None:
            loaded.dead[name] = dead.why
            continue
        hits = ((rule, re.fullmatch(rule.name, plain)) for rule in source.tensors)
        rule, match = next(((rule, match) for rule, match in hits if match), (None, None))
        if rule is None or match is None:
            loaded.faults.append(f"no rule for '{name}'")
            continue
        try:
            pieces = _convert(rule, match, value, source.first_layer)
        except ValueError as error:
            loaded.faults.append(f"'{name}': {error}")
            continue
        for ours in sorted(pieces.keys() & loaded.tensors.keys()):
            other = next(theirs for theirs, names in loaded.used.items() if ours in names)
            loaded.faults.append(f"'{name}' and '{other}' both give '{ours}'")
        loaded.tensors.update(pieces)
        loaded.used[name] = tuple(pieces)
    return loaded


def _misfits(source: Source, loaded: Loaded, ours: Mapping[str, Tensor]) -> Iterator[str]:
    """What of ours gets no tensor, and what gets one of another shape or has no place."""
    for name in ours:
        absent = any(re.fullmatch(rule.name, name) for rule in source.absent)
        if name not in loaded.tensors and not absent:
            yield f"no tensor for '{name}'"
    for theirs, names in loaded.used.items():
        for name in names:
            shape = _shape(loaded.tensors[name])
            if name not in ours:
                yield f"no place for '{theirs}', '{name}' of ours"
            elif shape != _shape(ours[name]):
                yield f"'{theirs}' gives '{name}' the shape {shape}, not {_shape(ours[name])}"


def _convert(rule: Rule, match: re.Match[str], value: Any, first_layer: int) -> dict[str, Tensor]:
    """Our names and tensors for one of theirs."""
    groups = {key: text for key, text in match.groupdict().items() if text is not None}
    part = groups.get("p")
    if part is not None:
        groups["p"] = _PARTS.get(part, part)
    if "layer" in groups:
        groups["layer"] = str(int(groups["layer"]) - first_layer)
    tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    if part == "kernel":
        spatial = range(tensor.ndim - 2)
        tensor = tensor.permute(tensor.ndim - 1, tensor.ndim - 2, *spatial)
    if rule.axes is not None:
        if len(rule.axes) != tensor.ndim:
            raise ValueError(f"expected {len(rule.axes)} axes, not {_shape(tensor)}")
        tensor = tensor.permute(*rule.axes)
    if rule.gates is not None:
        tensor = _reorder(tensor, rule.gates)
    names = (rule.to,) if isinstance(rule.to, str) else rule.to
    pieces = _parts(tensor, len(names))
    return {name.format(**groups): piece for name, piece in zip(names, pieces, strict=True)}


def _reorder(tensor: Tensor, gates: str) -> Tensor:
    """The parts of the first axis in the order that `theirs -> ours` asks."""
    theirs, ours = (side.split() for side in gates.split("->"))
    parts = dict(zip(theirs, _parts(tensor, len(theirs)), strict=True))
    return torch.cat([parts[gate] for gate in ours])


def _parts(tensor: Tensor, count: int) -> Sequence[Tensor]:
    if count > 1 and tensor.shape[0] % count:
        raise ValueError(f"the first axis of {_shape(tensor)} does not divide into {count} parts")
    return tensor.chunk(count) if count > 1 else (tensor,)


def _hint(built: Built, source: str, state: Mapping[str, Any], loaded: Loaded) -> str:
    """What would be right: other options, or another source."""
    others = [other for other in belongs_to(state) if other != f"'{source}' of {built.model}"]
    if not loaded.tensors:
        return f"its names are those of {' or '.join(others)}" if others else "another file"
    needed = {name: theirs for name, (theirs, _) in loaded.differs.items()}
    sizes = sizes_of(built.model, loaded.tensors)
    needed |= {name: size for name, size in sizes.items() if built.options.get(name) != size}
    if needed:
        return f"build it with {_written(needed)}"
    hint = "the patch or the frames of the file are others, or it is not whole"
    return f"{hint}, or it is of {' or '.join(others)}" if others else hint


def _written(options: Mapping[str, Any]) -> str:
    texts = (str(value).lower() if isinstance(value, bool) else value for value in options.values())
    return ", ".join(f"{name}={text}" for name, text in zip(options, texts, strict=True))


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
