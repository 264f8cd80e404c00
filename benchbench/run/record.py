"""Record and Store: what a run leaves behind. Files are the only store.

A run's folder holds a record if and only if the run is done. Scores lie beside it, one pair of
files for each protocol, so that scoring again under another protocol changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchbench import protocols
from benchbench.atomic import write_text
from benchbench.errors import SchemaError, UnknownName, nearest
from benchbench.scoring.summary import Summary, read_summaries
from benchbench.suite.spec import RunSpec

NAME = "record.json"
VERSION = 1
"""Version of the record's layout."""


@dataclass(frozen=True)
class Record:
    """A finished run."""

    spec: dict[str, Any]
    """All that decides the numbers: `RunSpec.to_dict`."""
    key: str
    """The spec's key."""
    parameters: int
    """Trainable parameters."""
    steps: int
    """Training iterations; 0 for a model that is not trained."""
    tested_step: int
    """Training iteration whose weights were tested."""
    validation_mse: float | None
    """Validation MSE of the tested weights; None if it is not a number, or nothing was trained."""
    train_seconds: float
    """Time of all training iterations in all attempts, validations apart."""
    test_seconds: float
    """Time of predicting and scoring the test set."""
    peak_bytes: int | None
    """Largest GPU memory allocated in the last attempt; None on a CPU."""
    dataset: dict[str, Any] = field(default_factory=dict)
    """The dataset's passport."""
    weights: str = ""
    """SHA-256 of `weights.safetensors`."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Code, versions, machine and attempts: see `provenance`."""
    version: int = VERSION


@dataclass(frozen=True)
class Store:
    """The results folder."""

    root: Path

    def folder(self, spec: RunSpec) -> Path:
        """Where a run lies, there or not."""
        return self.root / spec.folder

    def find(self, run: str) -> Path:
        """The folder of a run named by that folder, its key or the beginning of its key.

        Raises:
            UnknownName: no run, or several, have such a key.
        """
        if (Path(run) / "spec.yaml").is_file():
            return Path(run)
        folders = sorted(self.root.glob("runs/*/*/seed*-*"))
        keys = {folder: folder.name.rpartition("-")[2] for folder in folders}
        matches = [folder for folder, key in keys.items() if run and key.startswith(run)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            names = ", ".join(map(str, matches))
            raise UnknownName(f"'{run}' begins the keys of {len(matches)} runs: {names}; give more")
        raise UnknownName(
            f"no run '{run}' in {self.root}: neither a run's folder nor the beginning of a key"
            f"{nearest(run, keys.values()) if len(run) > 3 else ''}"
        )

    def record(self, spec: RunSpec) -> Record | None:
        """The record of a finished run.

        Raises:
            SchemaError: the file is not a record, or is of another run.
        """
        path = self.folder(spec) / NAME
        if (record := read_record(path)) is None:
            return None
        if record.key != spec.key:
            raise SchemaError(f"{path}: the record of run {record.key}; move it away to run again")
        return record

    def scores(self, spec: RunSpec) -> dict[str, Summary]:
        """Protocol name to the summary of a run's scores, none where it was not scored."""
        return read_summaries(self.folder(spec) / "scores")

    def unscored(self, spec: RunSpec, names: Sequence[str]) -> list[str]:
        """Names of the protocols whose present version has not scored a run."""
        scores = self.scores(spec)
        return [
            name
            for name in names
            if name not in scores or scores[name].version != protocols.get(name).version
        ]

    def done(self, spec: RunSpec, names: Sequence[str]) -> bool:
        """Whether a run has its record, and scores under all the protocols."""
        return self.record(spec) is not None and not self.unscored(spec, names)

    def write(self, spec: RunSpec, record: Record) -> None:
        """Declares the run done."""
        write_text(self.folder(spec) / NAME, json.dumps(asdict(record), indent=2, sort_keys=True))


def read_record(path: Path) -> Record | None:
    """The record in one JSON file; None where there is none.

    Raises:
        SchemaError: the file is not a record.
    """
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (TypeError, ValueError) as error:
        raise SchemaError(f"{path}: not a record, {error}; move it away to run again") from None
