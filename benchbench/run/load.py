"""A finished run read back: its tested predictor and its test predictions."""

from __future__ import annotations

from pathlib import Path

import torch

from benchbench import registry
from benchbench.clip import Clip
from benchbench.dataset import Dataset
from benchbench.errors import DataMissing
from benchbench.predictor import Predictor
from benchbench.run.record import NAME, read_record
from benchbench.run.subject import Subject
from benchbench.scoring.stream import Stream, stored
from benchbench.suite.spec import RunSpec
from benchbench.training import weights

PREDICTIONS = "predictions.npy"
"""In a run's folder where the suite stores them: (N, horizon, C, H, W), float32, unclipped."""


def load_predictor(folder: Path, spec: RunSpec, clip: Clip) -> Predictor:
    """The tested predictor of a finished run, on the CPU.

    Raises:
        DataMissing: it is not finished, or its weights are missing or damaged.
    """
    predictor = registry.build_model(spec.model, clip, **spec.model_options)
    if (record := read_record(folder / NAME)) is None:
        raise DataMissing(f"{folder}: not a finished run, there is no {NAME}; run it first")
    predictor.load_state_dict(weights.load(folder, record.weights))
    return predictor


def load_predictions(folder: Path, spec: RunSpec, dataset: Dataset, device: torch.device) -> Stream:
    """The test predictions of a finished run: those it stored, or else made again.

    Raises:
        DataMissing: its stored predictions or its weights are damaged.
    """
    if (file := folder / PREDICTIONS).exists():
        return stored(file, dataset.split("test"), dataset.clip, batch=spec.test_batch)
    predictor = load_predictor(folder, spec, dataset.clip).to(device)
    return Subject(spec, dataset, predictor, device).predict("test")
