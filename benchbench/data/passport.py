"""Passport: what a dataset's numbers depend on, for the record of a run.

A plain dict that JSON can hold. Two runs whose passports are equal saw the same clips.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

from benchbench.clip import Clip
from benchbench.data.checksums import checksums, checksums_of, verify
from benchbench.data.download import DataFile, Watch, silent
from benchbench.dataset import Dataset, Split
from benchbench.errors import DataMissing

MANY = 20
"""Above this many files a passport keeps one checksum for all of them."""


def fingerprint(
    name: str,
    version: int,
    dataset: Dataset,
    *,
    files: Sequence[DataFile] = (),
    generator: int | None = None,
    notes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The passport of a prepared dataset.

    Args:
        files: all that it reads; their checksums are kept, so only the first call is slow.
        generator: version of the code that makes its clips, where any does.
        notes: further facts that decide its numbers, such as fitted extremes.

    Raises:
        DataMissing: a file is absent.
    """
    test = dataset.split("test")
    return {
        "dataset": name,
        "version": version,
        "generator": generator,
        "clip": vars_of(dataset.clip),
        "files": file_hashes(files),
        "splits": {part: dataset.split(part).length for part in ("train", "val", "test")},
        "test_ids": ids_hash(test),
        "test_first": clip_hash(test, 0),
        **(notes or {}),
    }


def vars_of(clip: Clip) -> dict[str, int]:
    """A clip as JSON holds it."""
    return {
        "channels": clip.channels,
        "height": clip.height,
        "width": clip.width,
        "context": clip.context,
        "horizon": clip.horizon,
    }


def file_hashes(files: Sequence[DataFile]) -> dict[str, str]:
    """SHA-256 of each file by its name below their common folder; of many files, one of all.

    Raises:
        DataMissing: a file is absent.
    """
    if not files:
        return {}
    for file in files:
        if not file.path.exists():
            raise DataMissing(file.missing("no such file"))
    common = os.path.commonpath([file.path.parent for file in files])
    known = checksums_of(file.path for file in files)
    found = {path.relative_to(common).as_posix(): sums.sha256 for path, sums in known.items()}
    if len(found) <= MANY:
        return found
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(found.items()))
    return {f"{len(found)} files": hashlib.sha256(lines.encode()).hexdigest()}


def ids_hash(split: Split) -> str:
    """SHA-256 of a split's ids in order, one a line."""
    digest = hashlib.sha256()
    for index in range(len(split)):
        digest.update(f"{split.id_of(index)}\n".encode())
    return digest.hexdigest()


def clip_hash(split: Split, index: int) -> str:
    """SHA-256 of one clip's float32 values, little-endian."""
    return hashlib.sha256(split[index].numpy().astype("<f4").tobytes()).hexdigest()


def prepare(datasets: Iterable[Dataset], watch: Watch = silent) -> None:
    """Prepares every dataset; all that cannot be had is told at once.

    Raises:
        DataMissing: with one message for each file.
    """
    faults = []
    for dataset in datasets:
        try:
            dataset.prepare(watch)
        except DataMissing as error:
            if str(error) not in faults:
                faults.append(str(error))
    if faults:
        raise DataMissing("\n".join(faults))


def reread(file: DataFile) -> str:
    """Reads a file anew; says in a few words what is known of it.

    Raises:
        DataMissing: it is absent, or not the one expected.
    """
    if not file.path.exists():
        raise DataMissing(file.missing("no such file"))
    file.inspect(file.path)
    if file.digest is not None:
        verify(file.path, file.digest, fresh=True)
        return f"{file.digest}, as published"
    if file.held == "first":
        found = verify(file.path, None, fresh=True)
        return f"sha256:{found.sha256}, as when first prepared"
    said = "its content is the published one" if file.held == "content" else "your own file"
    return f"sha256:{checksums(file.path, fresh=True).sha256}, {said}"
