"""What a run reports while it goes on, from the training loop to the person who watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from benchbench.errors import BenchError


@dataclass(frozen=True)
class Training:
    """Where training stands after an iteration."""

    step: int
    """Iterations done."""
    steps: int
    """Iterations in all."""
    loss: float
    validation: float | None = None
    """Validation MSE, the newest one."""
    seconds_a_step: float | None = None
    """Pace of this attempt, validations included; None until it has done two iterations."""

    phase: ClassVar[Literal["train"]] = "train"

    def __str__(self) -> str:
        text = f"step {self.step}/{self.steps}, loss {self.loss:.4g}"
        if self.validation is not None:
            text += f", val MSE {self.validation:.4g}"
        if self.seconds_a_step is not None:
            text += f", {clock(self.seconds_a_step * (self.steps - self.step))} left"
        return text


@dataclass(frozen=True)
class Testing:
    """How much of the test set is predicted and scored."""

    done: int
    total: int

    phase: ClassVar[Literal["test"]] = "test"

    def __str__(self) -> str:
        return f"testing {self.done}/{self.total}"


@dataclass(frozen=True)
class Note:
    """A turn in a run's life, in words where there is something to say."""

    phase: Literal["start", "held", "interrupted", "failed", "done"]
    message: str = ""

    def __str__(self) -> str:
        name = "held by another" if self.phase == "held" else self.phase
        return f"{name}: {self.message}" if self.message else name


class Interrupted(BenchError):
    """A run stopped when asked to; what it had reached is kept."""


Event = Training | Testing | Note
Watch = Callable[[Event], None]


def to_plain(event: Event) -> dict[str, Any]:
    """An event's phase and fields, for JSON."""
    return {"phase": event.phase, **asdict(event)}


def from_plain(values: Mapping[str, Any]) -> Event:
    """The event in a mapping that may hold more than its fields."""
    kinds: dict[str, type[Event]] = {"train": Training, "test": Testing}
    kind = kinds.get(values["phase"], Note)
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def clock(seconds: float) -> str:
    """`45s`, `12m`, `3h20m`."""
    if seconds < 100:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02d}m"
