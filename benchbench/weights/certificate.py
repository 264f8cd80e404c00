"""Certificates: what a model was proved equal to, and how reference tensors enter it.

Beside `models/x.py` lies `models/x.yaml`, read here without torch: the arrays it was compared with
and the largest differences, parameter counts, known bugs of the original, departures, and for each
reference implementation the builder options it needs and the rules that rename its tensors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchbench.errors import SchemaError, UnknownName, nearest
from benchbench.registry import MODELS


class Part(BaseModel):
    """A frozen piece of a certificate; an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(Part):
    """Tensors whose whole name matches `name` become ours named `to`.

    `to` may use the groups of the regular expression; `{layer}` is counted from 0, and `{p}` is
    `weight` or `bias` whatever the source calls it. Several names in `to` share the tensor's first
    axis in equal parts. A group `p` that matched `kernel` turns TensorFlow's layout into torch's.
    """

    name: str
    to: str | tuple[str, ...]
    gates: str | None = None
    """`theirs -> ours`: order of the equal parts of the first axis, as in `i f g o -> i g f o`."""
    axes: tuple[int, ...] | None = None
    """Order in which ours takes their axes."""


class Dead(Part):
    """Tensors, by a regular expression of the whole name, that are left out, and why."""

    name: str
    why: str


class Recording(Part):
    """Which recorded arrays are a source's, and what their network needs beside its sizes.

    The tests find the arrays by this; a file of arrays describes itself in `meta`, a JSON mapping.
    """

    meta: dict[str, str]
    """A regular expression for each field of `meta` that tells them, found anywhere in its text."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Builder options beside the source's."""
    criterion: dict[str, Any] = Field(default_factory=dict)
    """Fields of the `Criterion` of the recorded losses."""
    ignores_mask: bool = False
    """The recorded code always feeds its own predictions after the context."""


class Size(Part):
    """What an option of the builder is, as a tensor of ours shows it.

    That there is such a tensor, where it has neither `axis` nor `{n}`.
    """

    tensor: str | tuple[str, ...]
    """Our name. With `{layer}` in it, the option is a list, a number for each layer, of all the
    names one after the other; with `{n}`, the number is how many such tensors there are."""
    axis: int | None = None
    """The axis whose length it is."""
    parts: int = 1
    """The axis holds so many equal parts, each of that length."""
    pixels: bool = False
    """The axis holds the pixels of a patch of all channels, and the option is the patch's side."""
    over: Size | None = None
    """What the length is divided by."""
    less: Size | None = None
    """What the axis holds beside the option."""
    gaps: bool = False
    """Layers are not numbered one after the other, there are others between them."""


class Source(Part):
    """A reference implementation."""

    cite: str
    options: dict[str, Any] = Field(default_factory=dict)
    """What the builder needs beside its `source` and what the tensors show."""
    ask: dict[str, str] = Field(default_factory=dict)
    """Options that no tensor shows, and what each is: whoever imports weights must give them."""
    first_layer: int = 0
    tensors: tuple[Rule, ...] = ()
    """How its tensors are called here; the first rule that matches counts."""
    dead: tuple[Dead, ...] = ()
    absent: tuple[Dead, ...] = ()
    """Parameters of ours that the source does not have."""
    recordings: tuple[Recording, ...] = ()
    """The first that matches counts."""
    refused: str | None = None
    """Why nothing of it can be loaded."""


class Proof(Part):
    """Recorded arrays that the port meets, with the largest absolute difference of each kind.

    Gradient norms and losses are relative differences. `tensorflow` arrays are float32.
    """

    source: str
    arrays: tuple[str, ...]
    what: str
    predictions: float
    losses: float | None = None
    gradients: float | None = None
    tolerance: str


class Count(Part):
    """Parameters of one configuration on frames of (channels, height, width)."""

    what: str
    options: dict[str, Any] = Field(default_factory=dict)
    frames: tuple[int, int, int] = (1, 64, 64)
    context: int = 10
    """Frames read, for models that have weights for each."""
    parameters: int
    without_gradient: int = 0
    """Those of them that no gradient can change: kept because the original counts them."""
    left_out: int = 0
    """Parameters that the original registers and never uses, and that ours does not have."""
    published: str = ""


class Recipe(Part):
    """A published training, as a suite's `train` says it."""

    what: str
    """Whose, and on which data."""
    train: dict[str, Any]
    """Fields of a suite's `train`."""
    unsaid: str = ""
    """What of it these fields cannot say."""


class Certificate(Part):
    """What is known about a port."""

    proofs: tuple[Proof, ...] = ()
    counts: tuple[Count, ...] = ()
    bugs: tuple[str, ...] = ()
    """Known bugs of the original, and what ours does about each."""
    departures: tuple[str, ...] = ()
    not_followed: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    """What no reference exists for."""
    training: tuple[str, ...] = ()
    """How the sources train it."""
    recipes: tuple[Recipe, ...] = ()
    sources: dict[str, Source] = Field(default_factory=dict)
    sizes: dict[str, Size] = Field(default_factory=dict)
    """Options of the builder that tensors of ours show."""
    tiny: dict[str, Any] = Field(default_factory=dict)
    """Options with which the contract tests build the model small enough to train in a second."""
    variants: tuple[dict[str, Any], ...] = ()
    """Options that wire the model differently: the contract tests build it with each as well."""


@cache
def certificate(model: str) -> Certificate:
    """The certificate of a registered model; an empty one where it has no file.

    Raises:
        UnknownName: no such model.
        SchemaError: the file does not say what a certificate says.
    """
    file = MODELS.path(model)
    path = file and file.with_name(f"{model}.yaml")
    if path is None or not path.is_file():
        return Certificate()
    try:
        return Certificate.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()
        ]
        raise SchemaError(
            "\n  ".join([f"{path}: {len(faults)} fault{'s' * (len(faults) > 1)}", *faults])
        ) from error


def find_source(model: str, name: str) -> Source:
    """One reference implementation of a model.

    Raises:
        UnknownName: the model has no such source; the message names those it has.
        SchemaError: it has, and the source cannot be loaded for the reason told.
    """
    sources = certificate(model).sources
    if name not in sources:
        hint = nearest(name, sources) if sources else "; none is known for it"
        raise UnknownName(f"{model}: no source '{name}'{hint}")
    source = sources[name]
    if source.refused is not None:
        raise SchemaError(f"{name} into {model}: {source.refused}")
    return source


def options_for(model: str, source: str) -> dict[str, Any]:
    """The builder options that a reference implementation needs, its own name as `source` first.

    Widths, kernel, patch and norm are not among them: they are the checkpoint's, not the source's.
    """
    options = find_source(model, source).options
    return {**({"source": source} if "source" in MODELS.get(model).options else {}), **options}
