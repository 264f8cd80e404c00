"""Measure: a few real steps of a run, and what the whole of it would then take."""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchbench import protocols, registry
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.precision import autocast
from benchbench.predictor import Predictor
from benchbench.run.job import Settings
from benchbench.scoring.score import score_batch
from benchbench.suite.plan import Run
from benchbench.suite.schema import Train
from benchbench.training.trainer import Trainer

WARM_STEPS = 2
STEPS = 20
SECONDS = 10.0
"""At most this long, and at most `STEPS` steps, are measured."""


@dataclass(frozen=True)
class Estimate:
    """What one run would take on this machine's device."""

    run: Run
    device: str
    step_seconds: float
    validation_seconds: float
    """Of one validation."""
    test_seconds: float
    peak_bytes: int
    """GPU memory allocated, or the whole process's memory on a CPU."""

    @property
    def hours(self) -> float:
        """Of the whole run."""
        train = self.run.spec.train
        if train is None:
            return self.test_seconds / 3600
        validations = -(-train["steps"] // train["validate_every"])
        training = train["steps"] * self.step_seconds + validations * self.validation_seconds
        return float(training + self.test_seconds) / 3600

    def warnings(self) -> list[str]:
        """What of the suite's `slurm` will not do."""
        asked, found = self.run.slurm, []
        if asked.timeout_min is not None:
            legs = self.hours * 60 / asked.timeout_min
            if legs > asked.max_num_timeout + 1:
                found.append(
                    f"needs {legs:.0f} legs of timeout_min {asked.timeout_min}, and "
                    f"max_num_timeout allows {asked.max_num_timeout + 1}"
                )
            elif legs > 0.9:
                found.append(f"will be requeued: timeout_min is {asked.timeout_min}")
            if self.validation_seconds > asked.signal_delay_s / 2:
                found.append(
                    f"a validation takes {self.validation_seconds:.0f} s: raise signal_delay_s "
                    "above twice that, or a signal in it costs the steps since the last checkpoint"
                )
        if self.device == "cpu" and asked.mem_gb and self.peak_bytes > 0.9 * asked.mem_gb * 2**30:
            found.append(f"needs {self.peak_bytes / 2**30:.1f} GB, mem_gb is {asked.mem_gb:g}")
        return found


def configurations(runs: Sequence[Run]) -> list[Run]:
    """One run of each configuration; seeds take the same time."""
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        first.setdefault((run.model, run.dataset), run)
    return list(first.values())


def measure(run: Run, settings: Settings) -> Estimate:
    """Runs a few steps here; nothing is kept."""
    spec, device = run.spec, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = registry.build_dataset(spec.dataset, **spec.dataset_options)
    predictor = registry.build_model(spec.model, dataset.clip, **spec.model_options).to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    step = validation = 0.0
    if spec.train is not None:
        train = Train.model_validate(spec.train)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                predictor=predictor,
                train=train,
                clip=dataset.clip,
                seed=spec.seed,
                folder=Path(folder),
                checkpoint_every=settings.checkpoint_every,
                workers=settings.workers,
                validate=lambda: 0.0,
                watch=lambda _: None,
            )
            step = _step_seconds(trainer, dataset.split("train"), device)
        validation = _pass_seconds(predictor, dataset, "val", settings, spec.precision)
    test = _pass_seconds(predictor, dataset, "test", settings, spec.precision)
    return Estimate(run, device.type, step, validation, test, _peak_bytes(device))


def _step_seconds(trainer: Trainer, split: Split, device: torch.device) -> float:
    """The median time of an iteration, loading included, after a few that warm up."""
    per_epoch = max(1, (split.length or 10_000) // trainer.train.batch)
    took: list[float] = []
    began = last = time.monotonic()
    for count, frames in enumerate(trainer.batches(split)):
        trainer.predictor.train()
        trainer.iterate(frames.to(device), per_epoch)
        trainer.step += 1
        _wait_for(device)
        now = time.monotonic()
        if count >= WARM_STEPS:
            took.append(now - last)
        if len(took) == STEPS or (took and now - began > SECONDS):
            break
        last = now
    return statistics.median(took) if took else time.monotonic() - began


@torch.inference_mode()
def _pass_seconds(
    predictor: Predictor, dataset: Dataset, name: SplitName, settings: Settings, precision: str
) -> float:
    """Time of a pass over a split, scoring included for the test set, from two batches."""
    split, clip = dataset.split(name), dataset.clip
    device = next((p.device for p in predictor.parameters()), torch.device("cpu"))
    names = settings.protocols if name == "test" else ()
    scored = [protocols.get(each) for each in names]
    length = split.length or 0
    predictor.eval()
    took = 0.0
    for start in (0, settings.test_batch):
        indices = range(start, min(start + settings.test_batch, length))
        if not indices:
            break
        began = time.monotonic()
        frames = torch.stack([split[index] for index in indices])
        with autocast(device, precision):
            prediction = predictor(frames[:, : clip.context].to(device), clip.horizon)
        prediction = prediction.float().cpu()
        if scored:
            score_batch(scored, prediction, frames[:, clip.context :])
        took = (time.monotonic() - began) / len(indices)
    return took * length


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
