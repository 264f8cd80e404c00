"""Facts that are declared of a published number, each with how sure it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from benchbench.options import Count

Sure = Annotated[
    Literal["yes", "likely", "unknown"],
    # an unquoted `yes` is True to YAML
    BeforeValidator(lambda value: "yes" if value is True else value),
]


class Part(BaseModel):
    """A frozen piece of a file; an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(Part):
    """Something declared of a published number, and how sure it is."""

    sure: Sure = "yes"
    note: str = ""


class Evaluation(Fact):
    """The protocol of ours that computes what was published; no name where its code is unknown."""

    name: str | None = None
    version: Count = 1


class Budget(Fact):
    """How long it was trained; what is not declared is not compared."""

    iterations: Count | None = None
    at_most: bool = False
    """Whether there may have been fewer."""
    batch: Count | None = None
    """Clips an iteration."""
    updates: Literal[1, 2] | None = None
    """Optimiser steps an iteration; 2 where each batch is played backwards too."""


class Frames(Part):
    """The shape of a clip."""

    channels: Count
    height: Count
    width: Count
    context: Count
    horizon: Count


class Data(Fact):
    """What it was trained and tested on."""

    dataset: str
    """Name of the dataset here."""
    frames: Frames
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the dataset here that give the published test and training clips."""
    train_clips: Count | Literal["endless"] | None = None
    """Clips of the training set; `endless` where none is seen twice, nothing where not told."""
    train_clips_here: Count | None = None
    """How many the dataset here has under these options, where that is another number."""


class Network(Fact):
    """Options of the model here that build the published network."""

    options: dict[str, Any] = Field(default_factory=dict)


class Size(Fact):
    """A published number of parameters, and what was counted."""

    printed: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]+\.?[0-9]* ?M$")]
    counts: Literal["weights", "weights and unused ones", "weights and Adam's moments"] = "weights"
    """`weights and Adam's moments`: two for each, and its step: three times the weights + 1."""
    unused: Count | None = None
    """Parameters that are registered and never used, which ours does not have."""
    of_other: str = ""
    """Why it is not the size of the network that was tested."""

    @model_validator(mode="after")
    def _says_how_many_are_unused(self) -> Size:
        if (self.unused is None) is (self.counts == "weights and unused ones"):
            raise ValueError("unused: a number if, and only if, the unused are counted")
        return self

    @property
    def digits(self) -> str:
        """The millions, without their sign."""
        return self.printed.removesuffix("M").strip()

    def count(self, parameters: int) -> int:
        """Trainable parameters as the publication counts them."""
        if self.counts == "weights and Adam's moments":
            return 3 * parameters + 1
        return parameters + (self.unused or 0)

    def agrees(self, parameters: int) -> bool:
        """Whether that many trainable parameters print as this, the last digit up or down."""
        unit = 10.0 ** -len(self.digits.partition(".")[2])
        return abs(self.count(parameters) / 1e6 - float(self.digits)) <= unit
