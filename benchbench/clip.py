"""The shape of one example."""

from __future__ import annotations

from dataclasses import dataclass

from benchbench.errors import SchemaError


@dataclass(frozen=True)
class Clip:
    """What a predictor reads and writes: `context` frames in, `horizon` frames out.

    Raises:
        SchemaError: a number is not a positive integer.
    """

    channels: int
    height: int
    width: int
    context: int
    horizon: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SchemaError(f"{name}: expected a whole number of at least 1, not {value!r}")

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
        return f"{self.context} -> {self.horizon} frames of {size}"
