"""One run, from its spec to its record: seed, build, train, score the test set once, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from benchbench import protocols, registry
from benchbench.atomic import write_text
from benchbench.data.passport import passport
from benchbench.dataset import Dataset
from benchbench.predictor import Predictor
from benchbench.run.job import Job
from benchbench.run.load import PREDICTIONS, load_predictions
from benchbench.run.provenance import provenance
from benchbench.run.record import Record
from benchbench.scoring.evaluate import evaluate, mean
from benchbench.scoring.protocol import mse
from benchbench.scoring.stream import Stream, keep, predicted
from benchbench.suite.schema import Train
from benchbench.suite.spec import RunSpec
from benchbench.training import checkpoint
from benchbench.training.events import Testing, Watch
from benchbench.training.trainer import Interrupted, Result, Trainer

VALIDATION = mse(per="value").statistic
"""What selects weights: the squared error a pixel, predictions clipped to [0, 1]."""


@dataclass(frozen=True)
class Execution:
    """One run on one device.

    Args:
        watch: told what happens.
        stop: asked between training iterations; True makes a checkpoint and raises Interrupted.
    """

    job: Job
    device: torch.device
    watch: Watch
    stop: Callable[[], bool] = lambda: False

    @property
    def spec(self) -> RunSpec:
        """All that decides the numbers."""
        return self.job.run.spec

    @property
    def folder(self) -> Path:
        """Where it leaves what it makes."""
        return self.job.folder

    def execute(self) -> None:
        """Brings the run to its record and its scores to the protocols asked; nothing twice.

        Raises:
            RunFailed: the run cannot be finished; its folder stays for the next attempt.
            Interrupted: `stop` said so.
        """
        record = self.job.store.record(self.spec)
        if record is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            spec = yaml.safe_dump(self.spec.to_dict(), sort_keys=False)
            write_text(self.folder / "spec.yaml", spec)
            self.job.store.write(self.spec, self.made())
            (self.folder / checkpoint.PREVIOUS).unlink(missing_ok=True)
        elif missing := self.unscored():
            dataset = registry.build_dataset(self.spec.dataset, **self.spec.dataset_options)
            batch = record.test_batch
            stream = load_predictions(
                self.folder, self.spec, dataset, batch=batch, device=self.device
            )
            self.score(stream, missing)

    def unscored(self) -> list[str]:
        """Protocols of the suite under which there are no scores yet."""
        return self.job.store.unscored(self.spec, self.job.settings.protocols)

    def made(self) -> Record:
        """Trains and scores the run; its record."""
        spec = self.spec
        dataset = registry.build_dataset(spec.dataset, **spec.dataset_options)
        train = Train.model_validate(spec.train) if spec.train else None
        _seed(spec.seed, deterministic=train is None or train.deterministic)
        predictor = registry.build_model(spec.model, dataset.clip, **spec.model_options)
        predictor.to(self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        result = self.trained(predictor, dataset, train) if train else self.imported(predictor)
        predictor.load_state_dict(result.weights)
        started = time.monotonic()
        batch = self.job.settings.test_batch
        stream = predicted(
            predictor,
            dataset.split("test"),
            dataset.clip,
            batch=batch,
            device=self.device,
            precision=spec.precision,
        )
        self.score(stream, self.job.settings.protocols)
        return Record(
            spec=spec.to_dict(),
            key=spec.key,
            parameters=sum(p.numel() for p in predictor.parameters() if p.requires_grad),
            steps=train.steps if train else 0,
            tested_step=result.step,
            validation_mse=result.validation_mse,
            train_seconds=result.seconds,
            test_seconds=time.monotonic() - started,
            peak_bytes=_peak_bytes(self.device),
            test_batch=batch,
            dataset=passport(dataset, name=spec.dataset, version=spec.dataset_version),
            provenance=provenance(str(self.device), self.folder),
        )

    def trained(self, predictor: Predictor, dataset: Dataset, train: Train) -> Result:
        """The weights after training, from the newest checkpoint on if there is one."""

        def validate() -> float:
            stream = predicted(
                predictor,
                dataset.split("val"),
                dataset.clip,
                batch=self.job.settings.test_batch,
                device=self.device,
                precision=train.precision,
            )
            return mean(VALIDATION, stream)

        return Trainer(
            predictor=predictor,
            train=train,
            clip=dataset.clip,
            seed=self.spec.seed,
            folder=self.folder,
            checkpoint_every=self.job.settings.checkpoint_every,
            workers=self.job.settings.workers,
            validate=validate,
            watch=self.watch,
            stop=self.stop,
        ).run(dataset.split("train"))

    def imported(self, predictor: Predictor) -> Result:
        """The weights of a file, or none for a model without any."""
        if self.job.run.weights is not None:
            from benchbench.weights import files

            files.load(self.job.run.weights).load_into(predictor)
        result = Result(predictor.state_dict(), step=0, validation_mse=None, seconds=0.0)
        checkpoint.save(self.folder, result.to_state())
        return result

    def score(self, stream: Stream, names: Sequence[str]) -> None:
        """Scores the test set under protocols, and stores its predictions if the suite asks.

        Raises:
            Interrupted: `stop` said so; the trained weights are kept, the scores are not.
        """

        def watch(done: int, total: int) -> None:
            self.watch(Testing(done, total))
            if done < total and self.stop():
                raise Interrupted(f"stopped at test sequence {done} of {total}")

        file = self.folder / PREDICTIONS
        if self.job.settings.store_predictions and not file.exists():
            stream = keep(stream, file)
        evaluate(
            stream,
            [protocols.get(name) for name in names],
            self.folder / "scores",
            workers=self.job.settings.workers,
            watch=watch,
        )


def _seed(seed: int, *, deterministic: bool) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic


def _peak_bytes(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
