"""The shape of one example."""

from __future__ import annotations

from dataclasses import dataclass

from benchbench.errors import SchemaError


@dataclass(frozen=True)
class Clip:
    """What a predictor reads and writes: `context` frames in, `horizon` frames out.

    A few datasets put frames of other times at the head of the context, for models that look back
    (`Predictor.looks_back`). There are as many for each predicted frame, and in this order: one
    whose first values, row after row, are the `factors` of that time, such as the weekday; those of
    the same time `trend`, …, 1 weeks before; those of `period`, …, 1 days before. The `recent`
    frames follow, up to the first predicted one.

    Raises:
        SchemaError: a number is not a positive integer, or no recent frame is left.
    """

    channels: int
    height: int
    width: int
    context: int
    horizon: int
    factors: int = 0
    trend: int = 0
    period: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("factors", "trend", "period") else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SchemaError(
                    f"{name}: expected a whole number of at least {least}, not {value!r}"
                )
        if self.recent < 1:
            raise SchemaError(
                f"context: expected more than the {self.horizon * self.aside} frames of other "
                f"times, not {self.context}"
            )

    @property
    def aside(self) -> int:
        """Frames of the context for each predicted frame that are of other times."""
        return bool(self.factors) + self.trend + self.period

    @property
    def recent(self) -> int:
        """Frames of the context that follow each other up to the first predicted one."""
        return self.context - self.horizon * self.aside

    @property
    def frames(self) -> int:
        """Frames of a whole example."""
        return self.context + self.horizon

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, C, H, W) of a whole example."""
        return (self.frames, self.channels, self.height, self.width)

    def __str__(self) -> str:
        size = f"{self.channels}x{self.height}x{self.width}"
        context = f"{self.recent}"
        if self.aside:
            context += f" (and {self.horizon} x {self.aside} of other times)"
        return f"{context} -> {self.horizon} frames of {size}"
