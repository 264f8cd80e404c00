"""Record and Store: what a run leaves behind, sealed. Files are the only store.

A run's folder holds a record if and only if the run is done. The record answers for the run:

- `files` names every file that the run left, by its place in the folder, with its size and SHA-256.
  A file that is not named is none of the run's, and is not read. Scores under another protocol are
  added by writing their files first and a record that names them too last, each in one step.
- `key` is the spec's. The folder of a run ends in the same key, so that a folder copied over
  another's is told. The run's files carry it as well, each for whoever holds that file only: the
  summaries in a field, Parquet and safetensors files in their metadata, all by the name `key`.
- `digest`, the last, is the SHA-256 of all the other fields as canonical JSON.

Reading checks what it reads: tables and plans the record, the summaries and the sizes of all files;
a rescore the weights or predictions that it goes on from; `Store.check` everything. This is against
accident, as a bad disk, an editor or a copy to the wrong place, and not against a forger: whoever
writes another number can write its digest as well.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict

from benchbench import protocols
from benchbench.atomic import write_text
from benchbench.digest import values_digest
from benchbench.errors import Damaged, SchemaError, UnknownName, nearest
from benchbench.jsonfile import parse, read_content, typed
from benchbench.run.seal import Seal, seal
from benchbench.scoring.summary import Summary, read_summary
from benchbench.suite.spec import RunSpec

NAME = "record.json"
SPEC = "spec.yaml"
VERSION: Final = 2
"""Version of the record's layout."""
SCORES = "scores"
"""Folder of the scores in a run's."""
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npy"
"""Where the suite stores them: (N, horizon, C, H, W), float32, unclipped."""
FOLDER = re.compile("seed[0-9]+-[0-9a-f]{12}")
"""Names of the folders of runs."""
LARGE = (WEIGHTS, PREDICTIONS)
"""Files that a folder of results may be passed on without: no table needs them."""
AGAIN = "delete the run's folder and run its suite again"


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
    provenance: dict[str, Any] = field(default_factory=dict)
    """Code, versions, machine and attempts: see `provenance`."""
    files: dict[str, Seal] = field(default_factory=dict)
    """The seal of every file that the run left, by its place in the folder."""
    version: Literal[2] = VERSION

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def text(self) -> str:
        """The record's file: its fields as JSON, and their digest last."""
        return _sealed(asdict(self))

    def write(self, folder: Path) -> None:
        """Declares the run in a folder done, in one step."""
        write_text(folder / NAME, self.text())

    def reseal(self, folder: Path, names: Iterable[str]) -> None:
        """Declares the run done with further files, or with new ones of a name."""
        replace(self, files={**self.files, **seal(folder, names)}).write(folder)

    def mend(self, name: str) -> str:
        """What to do where one of its files is damaged."""
        if name == PREDICTIONS:
            return "delete it: predictions are made again when they are needed"
        if name.startswith(f"{SCORES}/"):
            protocol = Path(name).stem.rpartition("-v")[0]
            if protocol in protocols.names() and protocols.get(protocol).stem == Path(name).stem:
                return f"score it again: bench rescore {self.key} -p {protocol}"
        return AGAIN


@dataclass(frozen=True)
class Finished:
    """A finished run as tables read it: its record, and the scores that the record names."""

    record: Record
    scores: dict[str, Summary]
    """Protocol name to the summary of its newest version."""

    def unscored(self, names: Sequence[str]) -> list[str]:
        """Names of the protocols whose present version has not scored the run."""
        return [
            name
            for name in names
            if name not in self.scores or self.scores[name].version != protocols.get(name).version
        ]


@dataclass(frozen=True)
class Store:
    """The results folder."""

    root: Path

    def folder(self, spec: RunSpec) -> Path:
        """Where a run lies, there or not."""
        return self.root / spec.folder

    def folders(self) -> list[Path]:
        """The folders of all runs, and none that is a copy under another name."""
        paths = self.root.glob("runs/*/*/seed*-*")
        return sorted(path for path in paths if FOLDER.fullmatch(path.name))

    def find(self, run: str) -> Path:
        """The folder of a run named by that folder, its key or the beginning of its key.

        Raises:
            UnknownName: no run, or several, have such a key.
        """
        if (Path(run) / SPEC).is_file():
            return Path(run)
        keys = {folder: folder.name.rpartition("-")[2] for folder in self.folders()}
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

    def alike(
        self, specs: Iterable[RunSpec], besides: Iterable[RunSpec] = ()
    ) -> dict[str, list[RunSpec]]:
        """Finished runs that differ from some in nothing but their data, by the key of the one.

        Args:
            specs: the runs.
            besides: others, which are not looked for.
        """
        keys: dict[tuple[Path, str], list[str]] = {}
        for spec in (specs := list(specs)):
            keys.setdefault((self.folder(spec).parent, spec.question), []).append(spec.key)
        planned = {self.folder(spec) for spec in (*specs, *besides)}
        runs: dict[str, list[RunSpec]] = {}
        for parent in sorted({parent for parent, _ in keys}):
            for folder in sorted(set(parent.glob("seed*-*")) - planned):
                with contextlib.suppress(Damaged, SchemaError):  # those of other versions
                    if (record := read_record(folder)) is not None:
                        spec = RunSpec.from_dict(record.spec)
                        for key in keys.get((parent, spec.question), ()):
                            runs.setdefault(key, []).append(spec)
        return runs

    def read(self, spec: RunSpec) -> Finished | None:
        """A finished run, None where a run is not finished.

        Raises:
            Damaged: the record, a summary or the size of a file is not what was written.
        """
        return read_finished(self.folder(spec))

    def read_all(self, specs: Iterable[RunSpec]) -> dict[str, Finished | Damaged | None]:
        """Runs by key, each as its folder tells it: finished, damaged or neither."""
        results: dict[str, Finished | Damaged | None] = {}
        for spec in specs:
            try:
                results[spec.key] = self.read(spec)
            except Damaged as error:
                results[spec.key] = error
        return results


Results = Mapping[str, Finished | Damaged | None]
"""Runs by key; see `Store.read_all`."""


def read_finished(folder: Path) -> Finished | None:
    """The finished run in a folder, None where there is none.

    Raises:
        Damaged: the record, a summary or the size of a file is not what was written.
    """
    if (record := read_record(folder)) is None:
        return None
    for error in faults(folder, record):
        raise error
    summaries = [
        read_summary(folder / name, record.mend(name))
        for name in record.files
        if name.startswith(f"{SCORES}/") and name.endswith(".json")
    ]
    summaries.sort(key=lambda summary: summary.version)
    return Finished(record, {summary.protocol: summary for summary in summaries})


def read_record(folder: Path) -> Record | None:
    """The record of the run in a folder, None where there is none; its files are not looked at.

    Raises:
        Damaged: it is not what was written, or the record of a run of another folder.
    """
    path = folder / NAME
    if (content := read_content(path, AGAIN)) is None:
        return None
    values = parse(content.data, dict[str, Any], path, AGAIN)
    values.pop("digest", None)
    if content.data != _sealed(values).encode():
        raise Damaged(path, "its digest is not that of what it says", AGAIN)
    record = typed(values, Record, path, AGAIN)
    if not folder.absolute().name.endswith(f"-{record.key}"):
        rename = (
            f"if it is only another name of that run's, let it end in -{record.key} again; else "
        )
        raise Damaged(path, f"the record of run {record.key}, in another's folder", rename + AGAIN)
    return record


def _sealed(values: dict[str, Any]) -> str:
    """The text of a record; no other is one, as digits may change and a number stay the same."""
    sealed = {**values, "digest": values_digest(values)}
    return json.dumps(sealed, indent=2, ensure_ascii=False) + "\n"


def faults(folder: Path, record: Record, *, whole: bool = False) -> Iterator[Damaged]:
    """What is wrong with the files of a finished run.

    Every file that is read to the end is compared by its digest, the others by their size.

    Args:
        folder: the run's folder.
        record: its record.
        whole: read all files to the end, and not the summaries only; miss the large ones too.
    """
    for name in record.files:
        path = folder / name
        try:
            if name in LARGE and not path.exists() and (not whole or name == PREDICTIONS):
                continue
            _compare(folder, record, name, whole=whole or path.suffix == ".json")
        except Damaged as error:
            yield error
        except OSError as error:
            yield Damaged.unreadable(path, error)


def check_file(folder: Path, record: Record, name: str) -> None:
    """Reads a file of a finished run to the end.

    Raises:
        Damaged: it is not what was written.
    """
    try:
        _compare(folder, record, name, whole=True)
    except OSError as error:
        raise Damaged.unreadable(folder / name, error) from None


def _compare(folder: Path, record: Record, name: str, *, whole: bool) -> None:
    if fault := record.files[name].fault(folder / name, whole=whole):
        raise Damaged(folder / name, fault, record.mend(name))


def score_files(*stems: str) -> list[str]:
    """The files of scores under versions of protocols, by their place in the folder."""
    return [f"{SCORES}/{stem}.{ending}" for stem in stems for ending in ("parquet", "json")]
