"""What a file of published numbers says: every number as printed, with the facts behind it.

A verdict (`benchbench.report.verdict`) is computed from these facts and those of our runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from benchbench.references.facts import Budget, Data, Evaluation, Network, Part, Size


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

Printed = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]*\.?[0-9]+$")]
"""A number's digits as they were printed, in quotes: 0.690 is not 0.69."""
Kind = Literal["code", "dataset", "data", "network", "budget", "protocol", "scale"]
"""What makes a published number incomparable."""


class Obstacle(Part):
    """Why a number can be compared with nothing of ours."""

    kind: Kind
    why: str


class Number(Part):
    """One published number."""

    printed: Printed
    by_frame: tuple[Printed, ...] = ()
    """The number of each predicted frame."""
    protocol: Evaluation | None = None
    """Where it is another than the row's."""
    obstacle: Obstacle | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The printed digits as a number."""
        return float(self.printed)


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options of theirs that are other ones of ours, each with both values."""
    for name, value in theirs.items():
        own = _plain(ours.get(name))
        if own != _plain(value):
            yield name, f"{own}, theirs {_plain(value)}"


def _plain(value: Any) -> str:
    """One text for a value, whether a tuple or a list holds it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _number(value: Any) -> Any:
    return {"printed": value} if isinstance(value, (str, float, int)) else value


class Row(Part):
    """A row of a published table."""

    label: str
    """The name of the row as printed."""
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

    def is_variant(self, options: Mapping[str, Any]) -> bool:
        """Whether a model of these options is what the row is about."""
        return not any(differing(options, self.variant))

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

    @property
    def comparable(self) -> Literal["yes", "partly", "no"]:
        """Whether its numbers can be compared with ours: `partly` where one cannot, or a fact that
        decides it is not sure."""
        open_numbers = [self.obstacle_to(metric) is None for metric in self.numbers]
        if self.model is None or not any(open_numbers):
            return "no"
        facts = (self.network, self.protocol, self.data)
        return "yes" if all(open_numbers) and all(f.sure == "yes" for f in facts) else "partly"

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
        rows = [
            {**defaults, **row, "caveats": [*row.get("caveats", ()), *value.get("caveats", ())]}
            if isinstance(row, dict)
            else row
            for row in value["rows"]
        ]
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
