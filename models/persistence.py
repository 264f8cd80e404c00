"""Persistence: the last frame seen, repeated; the floor that every trained model must beat."""

from __future__ import annotations

from torch import Tensor

from benchbench.clip import Clip
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model


class Persistence(Predictor):
    """Repeats the last context frame."""

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        return progress.criterion(self(context, target.shape[1]), target)


@register_model("persistence", trains=False)
def persistence(clip: Clip) -> Predictor:  # noqa: ARG001  it fits any clip
    """The last frame seen, for every clip."""
    return Persistence()
