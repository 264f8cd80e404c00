"""Scores of a finished run under other protocols, from its checkpoint, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchbench.errors import DataMissing, UnknownName, nearest
from benchbench.evaluate import evaluate
from benchbench.protocol import Protocol
from benchbench.run import load_run
from benchbench.summary import Summary, read_summary


def find(run: str, results: Path) -> Path:
    """The folder of a run, given by that folder, its key or the beginning of its key.

    Raises:
        UnknownName: no run, or several, have such a key.
    """
    if (Path(run) / "spec.yaml").is_file():
        return Path(run)
    folders = sorted(path.parent for path in results.glob("runs/*/*/seed*-*/spec.yaml"))
    keys = {folder: folder.name.rpartition("-")[2] for folder in folders}
    found = [folder for folder, key in keys.items() if run and key.startswith(run)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(folder) for folder in found)
        raise UnknownName(f"'{run}' begins the keys of {len(found)} runs: {names}; say more of it")
    raise UnknownName(
        f"no run '{run}' in {results}: neither a run's folder nor the beginning of a key"
        f"{nearest(run, keys.values()) if len(run) > 3 else ''}"
    )


def rescore(
    folder: Path,
    protocols: Sequence[Protocol],
    *,
    batch: int = 16,
    device: torch.device | None = None,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Summary]:
    """Protocol name to the scores of a finished run, those that are there already read only.

    Nothing that exists is written to.

    Raises:
        DataMissing: the run is not finished, or a file of it or a weight file is absent.
        Unfit: a protocol cannot score the run's data.
    """
    if not (folder / "record.json").is_file():
        raise DataMissing(f"{folder}: the run is not finished, it has no record.json; run it first")
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
            batch=batch,
            device=device,
            workers=workers,
            precision=spec.precision,
            on_progress=on_progress,
        )
    return {protocol.name: known[protocol.name] for protocol in protocols}
