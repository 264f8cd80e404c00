"""Scores of finished runs under other protocols, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchbench import registry
from benchbench.dataset import Dataset
from benchbench.errors import BenchError, Damaged, DataMissing
from benchbench.run.claim import claimed
from benchbench.run.load import load_predictions
from benchbench.run.provenance import under
from benchbench.run.record import NAME, SCORES, Record, check_file, read_record, score_files
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.protocol import Protocol
from benchbench.scoring.summary import Summary, read_summary
from benchbench.suite.code import code_of
from benchbench.suite.data import check_data
from benchbench.suite.spec import RunSpec


def records(folders: Sequence[Path]) -> tuple[dict[Path, Record], list[BenchError]]:
    """The records of finished runs, by folder, and what is wrong with the damaged ones.

    Raises:
        DataMissing: naming every run that is not finished.
    """
    whole: dict[Path, Record] = {}
    errors: list[BenchError] = []
    unfinished = []
    for folder in folders:
        try:
            if (record := read_record(folder)) is None:
                unfinished.append(folder)
            else:
                whole[folder] = record
        except Damaged as error:
            errors.append(error)
    if unfinished:
        raise _unfinished(*unfinished)
    return whole, errors


def _unfinished(*folders: Path) -> DataMissing:
    names = ", ".join(map(str, folders))
    return DataMissing(f"{names}: not finished, there is no {NAME}; run it first, or leave it out")


@dataclass(frozen=True)
class Rescoring:
    """A finished run and the protocols that it is to be scored under."""

    folder: Path
    record: Record
    spec: RunSpec
    dataset: Dataset
    protocols: Sequence[Protocol]
    missing: Sequence[Protocol]
    """The protocols under which there are no scores yet, or damaged ones."""

    @classmethod
    def of(cls, folder: Path, record: Record, protocols: Sequence[Protocol]) -> Rescoring:
        """The rescoring of a run, looked at before any data is read.

        Raises:
            Unfit: a protocol cannot score the run's data.
            DataMissing: a protocol's weight file is absent, or a file of the data is not what the
                run was made with.
        """
        spec = RunSpec.from_dict(record.spec)
        dataset = registry.build_dataset(spec.dataset, **spec.dataset_options)
        missing = [protocol for protocol in protocols if not _scored(folder, record, protocol)]
        for protocol in missing:
            protocol.check(dataset.clip)
        if missing:
            check_data(spec, dataset, folder.absolute() / "../../../..")
        return cls(folder, record, spec, dataset, protocols, missing)

    def score(
        self,
        *,
        batch: int | None = None,
        device: torch.device | None = None,
        workers: int = 0,
        watch: Callable[[int, int], None] = lambda *_: None,
    ) -> list[Summary]:
        """The scores under each protocol; those that are sound stay as they are.

        The files are written first, and the record that names them last: killed in between, it is
        the run that it was.

        Args:
            batch: sequences to predict at a time; as many as the run did, if not given.
            device: a GPU if there is one, if not given.

        Raises:
            Held: another process is at work on the run.
            Damaged: a file of the run is not what was written.
            DataMissing: the data is not prepared.
        """
        scores: dict[str, Summary] = {}
        if self.missing:
            spec = replace(self.spec, test_batch=batch or self.spec.test_batch)
            device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
            with claimed(self.folder):
                stream = load_predictions(self.folder, self.record, spec, self.dataset, device)
                scores = evaluate(
                    stream,
                    self.missing,
                    self.folder / SCORES,
                    key=self.record.key,
                    workers=workers,
                    watch=watch,
                )
                # as it is now: another rescore may have added to it since ours was read
                if (record := read_record(self.folder)) is None:
                    raise _unfinished(self.folder)
                facts = under(record.provenance, code_of(self.spec))
                files = score_files(*(p.stem for p in self.missing))
                replace(record, provenance=facts).reseal(self.folder, files)
        return [
            scores.get(protocol.name) or _read(self.folder, self.record, protocol)
            for protocol in self.protocols
        ]


def _scored(folder: Path, record: Record, protocol: Protocol) -> bool:
    """Whether a run has whole scores under a protocol."""
    names = score_files(protocol.stem)
    if not all(name in record.files for name in names):
        return False
    try:
        for name in names:
            check_file(folder, record, name)
    except Damaged:
        return False
    return True


def _read(folder: Path, record: Record, protocol: Protocol) -> Summary:
    name = score_files(protocol.stem)[1]
    return read_summary(folder / name, record.mend(name))
