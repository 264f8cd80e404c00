"""Scores of a finished run under other protocols, from its checkpoint, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchbench.errors import DataMissing
from benchbench.run.execute import load_run
from benchbench.run.record import NAME, Record, read_record
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.protocol import Protocol
from benchbench.scoring.summary import Summary, read_summary


def require_finished(folders: Sequence[Path]) -> list[Record]:
    """The records of runs.

    Raises:
        SchemaError: a record is damaged.
        DataMissing: naming every run that is not finished.
    """
    records = [read_record(folder / NAME) for folder in folders]
    found = [record for record in records if record is not None]
    if len(found) < len(folders):
        pairs = zip(folders, records, strict=True)
        open_ = [str(folder) for folder, record in pairs if record is None]
        raise DataMissing(
            f"{', '.join(open_)}: not finished, there is no {NAME}; run it first, or leave it out"
        )
    return found


def rescore(
    folder: Path,
    protocols: Sequence[Protocol],
    *,
    batch: int | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Summary]:
    """Protocol name to the scores of a finished run, those that are there already read only.

    Nothing that exists is written to. `batch` sequences are predicted at a time, as many as the
    run itself did unless given.

    Raises:
        SchemaError: the record is damaged.
        DataMissing: the run is not finished, or a file of it or a weight file is absent.
        Unfit: a protocol cannot score the run's data.
    """
    (record,) = require_finished([folder])
    scores = folder / "scores"
    known = {
        protocol.name: read_summary(path)
        for protocol in protocols
        if (path := scores / f"{protocol.stem}.json").is_file()
    }
    missing = [protocol for protocol in protocols if protocol.name not in known]
    if missing:
        predictor, dataset, spec = load_run(folder)
        for protocol in missing:
            protocol.check(dataset.clip)
        dataset.check()
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        known |= evaluate(
            predictor.to(device),
            dataset.split("test"),
            dataset.clip,
            missing,
            scores,
            batch=batch or record.test_batch,
            device=device,
            workers=workers,
            precision=spec.precision,
            on_progress=on_progress,
        )
    return {protocol.name: known[protocol.name] for protocol in protocols}
