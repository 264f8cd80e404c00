"""A finished run read back: its tested predictor and its test predictions, checked as it is."""

from __future__ import annotations

from pathlib import Path

import torch

from benchbench import registry
from benchbench.dataset import Dataset
from benchbench.predictor import Predictor
from benchbench.run.record import PREDICTIONS, WEIGHTS, Record, check_file
from benchbench.run.subject import Subject
from benchbench.scoring.stream import Stream, stored
from benchbench.suite.spec import RunSpec
from benchbench.training import weights


def load_predictor(folder: Path, record: Record, dataset: Dataset) -> Predictor:
    """The tested predictor of a finished run, on the CPU.

    Raises:
        Damaged: its weights are not there, or not those that were tested.
    """
    spec = RunSpec.from_dict(record.spec)
    predictor = registry.build_model(spec.model, dataset.clip, **spec.model_options)
    check_file(folder, record, WEIGHTS)
    tensors = weights.load(folder / WEIGHTS, record.key, record.mend(WEIGHTS))
    predictor.load_state_dict(tensors)
    return predictor


def load_predictions(
    folder: Path, record: Record, spec: RunSpec, dataset: Dataset, device: torch.device
) -> Stream:
    """The test predictions of a finished run: those it stored, or else made again.

    Args:
        folder: the run's folder.
        record: its record.
        spec: says how many sequences to predict at a time, and in which precision.
        dataset: the run's.
        device: where the predictor computes.

    Raises:
        Damaged: its stored predictions or its weights are not what was written.
    """
    if PREDICTIONS in record.files and (file := folder / PREDICTIONS).exists():
        check_file(folder, record, PREDICTIONS)
        return stored(file, dataset.split("test"), dataset.clip, batch=spec.test_batch)
    predictor = load_predictor(folder, record, dataset).to(device)
    return Subject(spec, dataset, predictor, device).predict("test")
