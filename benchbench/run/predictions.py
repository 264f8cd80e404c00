"""Predictions kept on disk: written while a test set is predicted, read back to score again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchbench.errors import DataMissing
from benchbench.predictor import Predictor, Progress

NAME = "predictions.npy"
"""In a run's folder: (N, horizon, C, H, W), float32, unclipped, in the test set's order."""


class Recorder(Predictor):
    """Predicts as another does and keeps every prediction in a file.

    Args:
        predictor: whose predictions are kept.
        path: the `.npy` file, laid out at the first call.
        sequences: how many will be predicted, in order.
    """

    def __init__(self, predictor: Predictor, path: Path, sequences: int) -> None:
        super().__init__()
        self.predictor = predictor
        self.path = path
        self.sequences = sequences
        self.done = 0

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        prediction: Tensor = self.predictor(context, horizon).float()
        values = prediction.cpu().numpy()
        shape = (self.sequences, *values.shape[1:])
        mode = "r+" if self.done else "w+"
        kept = np.lib.format.open_memmap(self.path, mode=mode, dtype=np.float32, shape=shape)
        kept[self.done : self.done + len(values)] = values
        kept.flush()
        self.done += len(values)
        return prediction

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        return self.predictor.losses(context, target, progress)


class Replay(Predictor):
    """Gives the predictions of a file, in order, whatever the context.

    Raises:
        DataMissing: the file is not whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            self.kept = np.load(path, mmap_mode="r")
        except (ValueError, EOFError, OSError) as error:
            raise DataMissing(f"{path}: {error}; move it away to predict again") from None
        self.done = 0

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        next_ones = np.array(self.kept[self.done : self.done + len(context)])
        self.done += len(context)
        return torch.from_numpy(next_ones)[:, :horizon].to(context.device)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        return progress.criterion(self(context, target.shape[1]), target)
