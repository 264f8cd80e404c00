"""Scores of finished runs under other protocols, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchbench import registry
from benchbench.dataset import Dataset
from benchbench.errors import DataMissing
from benchbench.run.load import load_predictions
from benchbench.run.record import NAME, Record, read_record
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.protocol import Protocol
from benchbench.scoring.summary import Summary, read_summary
from benchbench.suite.spec import RunSpec


def finished(folders: Sequence[Path]) -> dict[Path, Record]:
    """The records of runs, by folder.

    Raises:
        SchemaError: a record is damaged.
        DataMissing: naming every run that is not finished.
    """
    records = {folder: read_record(folder / NAME) for folder in folders}
    unfinished = [str(folder) for folder, record in records.items() if record is None]
    if unfinished:
        raise DataMissing(
            f"{', '.join(unfinished)}: not finished, there is no {NAME}; "
            "run it first, or leave it out"
        )
    return {folder: record for folder, record in records.items() if record is not None}


@dataclass(frozen=True)
class Rescoring:
    """A finished run and the protocols that it is to be scored under."""

    folder: Path
    spec: RunSpec
    dataset: Dataset
    protocols: Sequence[Protocol]

    @classmethod
    def of(cls, folder: Path, record: Record, protocols: Sequence[Protocol]) -> Rescoring:
        """The rescoring of a run, looked at before any data is read.

        Raises:
            Unfit: a protocol cannot score the run's data.
            DataMissing: a protocol's weight file is absent.
        """
        spec = RunSpec.from_dict(record.spec)
        dataset = registry.build_dataset(spec.dataset, **spec.dataset_options)
        rescoring = cls(folder, spec, dataset, protocols)
        for protocol in rescoring.missing:
            protocol.check(dataset.clip)
        return rescoring

    @property
    def missing(self) -> list[Protocol]:
        """The protocols under which there are no scores yet."""
        return [protocol for protocol in self.protocols if not self._path(protocol).is_file()]

    def score(
        self,
        *,
        batch: int | None = None,
        device: torch.device | None = None,
        workers: int = 0,
        watch: Callable[[int, int], None] = lambda *_: None,
    ) -> list[Summary]:
        """The scores under each protocol; files are added to the run's, and none is changed.

        Args:
            batch: sequences to predict at a time; as many as the run did, if not given.
            device: a GPU if there is one, if not given.

        Raises:
            DataMissing: the data is not prepared, or a file of the run is absent.
        """
        missing = self.missing
        scores = {
            protocol.name: read_summary(self._path(protocol))
            for protocol in self.protocols
            if protocol not in missing
        }
        if missing:
            spec = replace(self.spec, test_batch=batch or self.spec.test_batch)
            device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
            stream = load_predictions(self.folder, spec, self.dataset, device)
            folder = self.folder / "scores"
            scores |= evaluate(stream, missing, folder, workers=workers, watch=watch)
        return [scores[protocol.name] for protocol in self.protocols]

    def _path(self, protocol: Protocol) -> Path:
        return self.folder / "scores" / f"{protocol.stem}.json"
