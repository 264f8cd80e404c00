"""Subject: what a run trains and tests, built."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchbench import registry
from benchbench.dataset import Dataset, SplitName
from benchbench.predictor import Predictor
from benchbench.scoring.evaluate import mean
from benchbench.scoring.protocol import mse
from benchbench.scoring.stream import Stream, predicted
from benchbench.suite.spec import RunSpec
from benchbench.training.trainer import Trainer

VALIDATION = mse(per="value").statistic
"""What selects weights: the squared error a pixel, predictions clipped to [0, 1]."""


@dataclass(frozen=True)
class Subject:
    """A predictor on its device, and the dataset that it is trained and tested on."""

    spec: RunSpec
    dataset: Dataset
    predictor: Predictor
    device: torch.device

    def predict(self, split: SplitName) -> Stream:
        """The predictions of a split by the predictor as it stands."""
        return predicted(
            self.predictor,
            self.dataset.split(split),
            self.dataset.clip,
            batch=self.spec.test_batch,
            device=self.device,
            precision=self.spec.precision,
        )

    def trainer(self) -> Trainer:
        """A fresh trainer of the predictor."""
        assert self.spec.train is not None
        split, clip = self.dataset.split("train"), self.dataset.clip
        return Trainer(self.predictor, split, clip, self.spec.train, self.spec.seed)

    def validate(self) -> float:
        """The validation MSE of the predictor as it stands."""
        return mean(VALIDATION, self.predict("val"))


def build(spec: RunSpec, dataset: Dataset, device: torch.device) -> Subject:
    """What a planned spec names, weights drawn anew; counts the device's memory from here."""
    predictor = registry.build_bound(spec.model, dataset.clip, spec.model_options)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return Subject(spec, dataset, predictor.to(device), device)
