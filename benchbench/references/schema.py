"""What a file of published numbers says: every number as printed, every fact with how sure it is.

A verdict (`benchbench.report.verdict`) is computed from these facts and those of our runs.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from benchbench.options import Count


class Scale(NamedTuple):
    """How a metric's numbers are read."""

    label: str
    units: tuple[str, ...]
    least: float
    most: float


METRICS = {
    "psnr": Scale("PSNR", ("dB",), 0, 100),
    "ssim": Scale("SSIM", ("index",), -1, 1),
    "mse": Scale("MSE", ("sum per frame",), 0, math.inf),
    "mae": Scale("MAE", ("sum per frame",), 0, math.inf),
    "lpips": Scale("LPIPS", ("distance",), 0, math.inf),
}
"""What may be published here: label, units, and the numbers that it can be."""

Sure = Annotated[
    Literal["yes", "likely", "unknown"],
    # an unquoted `yes` is True to YAML
    BeforeValidator(lambda value: "yes" if value is True else value),
]
Printed = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]*\.?[0-9]+$")]
"""A number's digits as they were printed, in quotes: 0.690 is not 0.69."""
Kind = Literal["code", "dataset", "data", "network", "budget", "protocol", "scale"]
"""What makes a published number incomparable."""


class Part(BaseModel):
    """A frozen piece of a file; an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(Part):
    """Something declared of a published number, and how sure it is."""

    sure: Sure = "yes"
    note: str = ""


class Obstacle(Part):
    """Why a number can be compared with nothing of ours."""

    kind: Kind
    why: str


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
    counts: Literal["weights", "weights and unused", "weights and moments"] = "weights"
    """`weights and moments`: both of Adam's for each, and its step: three times the weights + 1."""
    unused: Count | None = None
    """Parameters that are registered and never used, which ours does not have."""
    of_other: str = ""
    """Why it is not the size of the network that was tested."""

    @model_validator(mode="after")
    def _says_how_many_are_unused(self) -> Size:
        if (self.unused is None) is (self.counts == "weights and unused"):
            raise ValueError("unused: a number if, and only if, the unused are counted")
        return self

    def count(self, parameters: int) -> int:
        """Trainable parameters as the publication counts them."""
        if self.counts == "weights and moments":
            return 3 * parameters + 1
        return parameters + (self.unused or 0)

    def agrees(self, parameters: int) -> bool:
        """Whether that many trainable parameters print as this, the last digit up or down."""
        digits = self.printed.removesuffix("M").strip()
        unit = 10.0 ** -len(digits.partition(".")[2])
        return abs(self.count(parameters) / 1e6 - float(digits)) <= unit


class Number(Part):
    """One published number."""

    printed: Printed
    by_frame: tuple[Printed, ...] = ()
    """The same for each predicted frame."""
    protocol: Evaluation | None = None
    """Where it is another than the row's."""
    obstacle: Obstacle | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The printed digits as a number."""
        return float(self.printed)


def _number(value: Any) -> Any:
    return {"printed": value} if isinstance(value, (str, float, int)) else value


class Row(Part):
    """A row of a published table."""

    label: str
    """As printed."""
    backbone: str = ""
    """Model in whose block of the table it stands, where the label alone does not tell."""
    setting: str = ""
    """What else tells it from a row of the same label."""
    cite: str = ""
    """Whose model or number it is, as the table cites it."""
    model: str | None = None
    """Name of the model here."""
    variant: dict[str, Any] = Field(default_factory=dict)
    """Options without which a run of ours is no run of this row."""
    network: Network = Network()
    size: Size | None = None
    protocol: Evaluation
    budget: Budget
    data: Data
    numbers: dict[str, Annotated[Number, BeforeValidator(_number)]] = Field(min_length=1)
    obstacle: Obstacle | None = None
    """Why none of its numbers can be compared."""
    caveats: tuple[str, ...] = ()
    """What a verdict has to tell."""
    notes: tuple[str, ...] = ()
    """What else is known, such as where the numbers contradict each other."""

    @property
    def name(self) -> str:
        """The label, its block before it and its setting behind: `PredRNN: w CE, w SE`."""
        block = f"{self.backbone}: " if self.backbone else ""
        return block + self.label + (f", {self.setting}" if self.setting else "")

    def evaluation(self, metric: str) -> Evaluation:
        """The protocol of one of its numbers."""
        return self.numbers[metric].protocol or self.protocol

    def obstacle_to(self, metric: str) -> Obstacle | None:
        """Why one of its numbers can be compared with nothing; None where it can."""
        own = self.obstacle or self.numbers[metric].obstacle
        evaluation = self.evaluation(metric)
        if own is None and evaluation.name is None:
            return Obstacle(kind="code", why=evaluation.note or "which code computed it is unknown")
        return own

    @field_validator("numbers")
    @classmethod
    def _are_of_their_metric(cls, numbers: dict[str, Number]) -> dict[str, Number]:
        for metric, number in numbers.items():
            if metric not in METRICS:
                raise ValueError(f"no metric '{metric}'; one of {', '.join(METRICS)}")
            scale = METRICS[metric]
            for printed in (number.printed, *number.by_frame):
                if not scale.least <= float(printed) <= scale.most:
                    raise ValueError(f"{metric} {printed}; from {scale.least:g} to {scale.most:g}")
        return numbers


class Table(Part):
    """A published table."""

    name: str
    """Name of its file."""
    title: str
    source: str
    """Where it is published."""
    seeds: Annotated[str, Field(min_length=1)]
    """How many runs are behind a number."""
    units: dict[str, str]
    """Metric to its unit, for every metric of the table."""
    caveats: tuple[str, ...] = ()
    """What every verdict on its rows has to tell."""
    notes: tuple[str, ...] = ()
    defaults: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """Keys of a row where it does not have them itself."""
    rows: tuple[Row, ...]

    @model_validator(mode="before")
    @classmethod
    def _fill_rows(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("rows"), list):
            return value
        defaults = value.get("defaults") or {}
        rows = [{**defaults, **row} if isinstance(row, dict) else row for row in value["rows"]]
        return {**value, "rows": rows}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Table:
        metrics = {metric for row in self.rows for metric in row.numbers}
        if not metrics:
            raise ValueError("rows: at least one")
        if metrics != set(self.units):
            raise ValueError(f"units are of {', '.join(self.units)}; rows of {', '.join(metrics)}")
        for metric, unit in self.units.items():
            if unit not in METRICS[metric].units:
                raise ValueError(f"{metric} in '{unit}'; in {' or '.join(METRICS[metric].units)}")
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError(f"two rows have one name: {', '.join(names)}")
        return self
