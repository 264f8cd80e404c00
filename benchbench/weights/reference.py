"""Tensors of a reference implementation in one of our predictors."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchbench.errors import SchemaError
from benchbench.predictor import Predictor
from benchbench.weights.certificate import Rule, Source, find_source
from benchbench.weights.sizes import belongs_to, sizes_of

# what the sources call the two tensors of a convolution or norm
_PARTS = {"kernel": "weight", "gamma": "weight", "s": "weight", "beta": "bias", "b": "bias"}


@dataclass(frozen=True)
class Loaded:
    """What became of a reference's tensors."""

    used: dict[str, tuple[str, ...]]
    """Our names, by theirs."""
    dead: dict[str, str]
    """Why, by the name of each tensor that the reference never uses."""
    differs: dict[str, tuple[Any, Any]]
    """Options that fit the tensors but not the source: (the source's, this predictor's)."""


def load_reference(
    predictor: Predictor, source: str, state: Mapping[str, Any], *, model: str | None = None
) -> Loaded:
    """Copies the tensors of a reference implementation into a predictor, all or none.

    Args:
        predictor: from `build_model`, with the options of `options_for` and the sizes of the state.
        source: as in `bench weights sources`.
        state: names to tensors or arrays, as in the reference's `state_dict`, or TensorFlow
            variables with kernels HWIO or DHWIO.
        model: registered name; needed only for predictors that `build_model` did not make.

    Raises:
        UnknownName: the model does not know the source.
        SchemaError: something did not fit; the message lists all of it, and the options that the
            source needs.
    """
    if model is None:
        if predictor.built_as is None:
            raise SchemaError("the predictor was not made by build_model; name its 'model'")
        model = predictor.built_as[0]
    found = find_source(model, source)
    ours = dict(predictor.state_dict())
    placed, loaded, faults = place(found, state)
    absent = {
        name for name in ours for rule in found.absent if re.fullmatch(rule.name, name)
    } - placed.keys()
    faults += [f"no tensor for '{name}'" for name in ours if name not in placed.keys() | absent]
    for name, (theirs, tensor) in placed.items():
        if name not in ours:
            faults.append(f"no place for '{theirs}', '{name}' of ours")
        elif tensor.shape != ours[name].shape:
            faults.append(
                f"'{theirs}' gives '{name}' the shape {_shape(tensor)}, not {_shape(ours[name])}"
            )
    differs = _differences(found, predictor)
    if faults:
        count = f"{len(faults)} tensors do not fit, and nothing was loaded"
        hint = _hint(predictor, state, placed, differs)
        raise SchemaError("\n  ".join([f"{source} into {model}: {count}; {hint}", *faults]))
    predictor.load_state_dict({**ours, **{name: tensor for name, (_, tensor) in placed.items()}})
    for name, (wanted, given) in differs.items():
        logging.getLogger(__name__).warning(
            "%s into %s: the source has %s=%r, the predictor %r", source, model, name, wanted, given
        )
    return Loaded(loaded.used, loaded.dead, differs)


def place(
    source: Source, state: Mapping[str, Any]
) -> tuple[dict[str, tuple[str, Tensor]], Loaded, list[str]]:
    """A reference's tensors by our names, beside their own; what was used; what fits no rule."""
    placed: dict[str, tuple[str, Tensor]] = {}
    loaded = Loaded({}, {}, {})
    faults = []
    for name, value in state.items():
        plain = name.removesuffix(":0")
        dead = next((rule for rule in source.dead if re.fullmatch(rule.name, plain)), None)
        if dead is not None:
            loaded.dead[name] = dead.why
            continue
        hits = ((rule, re.fullmatch(rule.name, plain)) for rule in source.tensors)
        rule, match = next(((rule, match) for rule, match in hits if match), (None, None))
        if rule is None or match is None:
            faults.append(f"no rule for '{name}'")
            continue
        try:
            pieces = _convert(rule, match, value, source.first_layer)
        except ValueError as error:
            faults.append(f"'{name}': {error}")
            continue
        for ours, tensor in pieces.items():
            if ours in placed:
                faults.append(f"'{name}' and '{placed[ours][0]}' both give '{ours}'")
            placed[ours] = (name, tensor)
        loaded.used[name] = tuple(pieces)
    return placed, loaded, faults


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


def _differences(source: Source, predictor: Predictor) -> dict[str, tuple[Any, Any]]:
    if predictor.built_as is None:
        return {}
    built = predictor.built_as[1]
    return {
        name: (wanted, built[name])
        for name, wanted in source.options.items()
        if built[name] != wanted
    }


def _hint(
    predictor: Predictor,
    state: Mapping[str, Any],
    placed: Mapping[str, tuple[str, Tensor]],
    differs: Mapping[str, tuple[Any, Any]],
) -> str:
    """What would be right: another source, or other options."""
    if not placed:
        others = belongs_to(state)
        return f"its names are those of {' or '.join(others)}" if others else "another file"
    needed = {name: wanted for name, (wanted, _) in differs.items()}
    built = predictor.built_as[1] if predictor.built_as else {}
    sizes = sizes_of({name: tensor for name, (_, tensor) in placed.items()})
    needed |= {name: size for name, size in sizes.items() if built.get(name, size) != size}
    if needed:
        return f"build it with {_written(needed)}"
    return "the patch or the frames of the file are others, or it is not whole"


def _written(options: Mapping[str, Any]) -> str:
    texts = {True: "true", False: "false"}
    return ", ".join(
        f"{name}={texts[value] if isinstance(value, bool) else value}"
        for name, value in options.items()
    )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
