"""Measure: a few real steps of a run, and what the whole of it would then take."""

from __future__ import annotations

import contextlib
import functools
import itertools
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchbench import protocols, registry
from benchbench.run.job import Settings
from benchbench.run.subject import VALIDATION, Subject, build
from benchbench.scoring.evaluate import evaluate, mean
from benchbench.scoring.stream import Batch, Stream
from benchbench.suite.plan import Run
from benchbench.training.events import Interrupted
from benchbench.training.loop import Journal, train

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
    """Time of one validation."""
    test_seconds: float
    peak_bytes: int
    """GPU memory allocated, or the whole process's memory on a CPU."""

    @property
    def hours(self) -> float:
        """Time of the whole run."""
        train = self.run.spec.train
        if train is None:
            return self.test_seconds / 3600
        validations = -(-train.iterations // train.validate_every)
        training = train.iterations * self.step_seconds + validations * self.validation_seconds
        return float(training + self.test_seconds) / 3600

    def warnings(self) -> list[str]:
        """What the run needs and the suite's `slurm` does not grant, in words."""
        slurm, warnings = self.run.slurm, []
        if slurm.timeout_min is not None:
            jobs = self.hours * 60 / slurm.timeout_min
            if jobs > slurm.max_num_timeout + 1:
                warnings.append(
                    f"needs {jobs:.0f} jobs of timeout_min {slurm.timeout_min}, and "
                    f"max_num_timeout allows {slurm.max_num_timeout + 1}"
                )
            elif jobs > 0.9:
                warnings.append(f"will be requeued: timeout_min is {slurm.timeout_min}")
            if self.validation_seconds > slurm.signal_delay_s / 2:
                warnings.append(
                    f"a validation takes {self.validation_seconds:.0f} s: raise signal_delay_s "
                    "above twice that, or a signal in it costs the steps since the last checkpoint"
                )
        if self.device == "cpu" and slurm.mem_gb and self.peak_bytes > 0.9 * slurm.mem_gb * 2**30:
            warnings.append(f"needs {self.peak_bytes / 2**30:.1f} GB, mem_gb is {slurm.mem_gb:g}")
        return warnings


def configurations(runs: Sequence[Run]) -> list[Run]:
    """One run of each configuration; seeds take the same time."""
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        first.setdefault((run.model, run.dataset), run)
    return list(first.values())


def measure(run: Run, settings: Settings) -> Estimate:
    """Trains and tests for a few seconds here; nothing is kept."""
    spec, device = run.spec, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = registry.DATASETS.get(spec.dataset).build(**spec.dataset_options)
    subject = build(spec, dataset, device)
    step = validation = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if spec.train is not None:
            step = _step_seconds(subject, settings, folder)
            validation = _pass_seconds(subject.predict("val"), functools.partial(mean, VALIDATION))
        chosen = [protocols.get(each) for each in settings.protocols]
        test = _pass_seconds(subject.predict("test"), lambda some: evaluate(some, chosen, folder))
    return Estimate(run, device.type, step, validation, test, _peak_bytes(device))


class Clock:
    """Seconds of one thing after another, since it was made."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.laps: list[float] = []

    def tick(self, *_: object) -> None:
        """Notes that one thing more is done."""
        now = time.monotonic()
        self.laps.append(now - self.last)
        self.last = now

    def enough(self) -> bool:
        """Whether it has seen enough iterations."""
        measured = len(self.laps) - WARM_STEPS
        return measured >= STEPS or (measured > 0 and self.last - self.began > SECONDS)


def _step_seconds(subject: Subject, settings: Settings, folder: Path) -> float:
    """The median time of a training iteration, loading included, after a few that warm up."""
    clock = Clock()
    with contextlib.suppress(Interrupted):
        train(
            subject.trainer(),
            Journal(folder, subject.spec.key, settings.checkpoint_every),
            lambda: 0.0,
            watch=clock.tick,
            stop=clock.enough,
            workers=settings.workers,
        )
    return statistics.median(clock.laps[WARM_STEPS:] or clock.laps)


def _pass_seconds(stream: Stream, consume: Callable[[Stream], object]) -> float:
    """Time of a pass over a whole stream, from its second batch; the first warms up."""
    clock, sizes = Clock(), []

    def two() -> Generator[Batch, None, None]:
        with contextlib.closing(stream.batches):
            for batch in itertools.islice(stream.batches, 2):
                yield batch
                sizes.append(len(batch.ids))
                clock.tick()

    consume(replace(stream, batches=two()))
    return clock.laps[-1] / sizes[-1] * stream.length


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
