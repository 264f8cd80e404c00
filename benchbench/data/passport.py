"""Passport: what a dataset's numbers depend on, for the record of a run.

A plain dict that JSON can hold. Two runs whose passports are equal saw the same clips.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.data.checksums import verify
from benchbench.data.digests import read_anew, sha256, sha256s

if TYPE_CHECKING:
    from benchbench.data.download import DataFile
    from benchbench.dataset import Dataset, Split

MANY = 20
"""Above this many files a passport keeps one checksum for all of them."""


def passport(dataset: Dataset, *, name: str, version: int) -> dict[str, Any]:
    """The passport of a prepared dataset, registered under a name and a version.

    Checksums of files are kept, so only the first call is slow.

    Raises:
        DataMissing: a file is absent.
    """
    hashes = file_hashes(dataset.files())
    train, val, test = dataset.split("train"), dataset.split("val"), dataset.split("test")
    return {
        "dataset": name,
        "version": version,
        "generator": None,
        "clip": dataclasses.asdict(dataset.clip),
        "files": hashes,
        "splits": {"train": train.length, "val": val.length, "test": test.length},
        "test_ids": names_hash(test),
        "test_first": clip_hash(test, 0),
        **dataset.notes(),
    }


def file_hashes(files: Sequence[DataFile]) -> dict[str, str]:
    """SHA-256 of each file by its name below their common folder; of many files, one of all.

    Raises:
        DataMissing: a file is absent.
    """
    if not files:
        return {}
    for file in files:
        file.require()
    common = os.path.commonpath([file.path.parent for file in files])
    sums = sha256s(file.path for file in files)
    hashes = {path.relative_to(common).as_posix(): digest for path, digest in sums.items()}
    if len(hashes) <= MANY:
        return hashes
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(hashes.items()))
    return {f"{len(hashes)} files": hashlib.sha256(lines.encode()).hexdigest()}


def names_hash(split: Split) -> str:
    """SHA-256 of the names of a split's clips in order, one a line."""
    digest = hashlib.sha256()
    for index in range(len(split)):
        digest.update(f"{split.name(index)}\n".encode())
    return digest.hexdigest()


def clip_hash(split: Split, index: int) -> str:
    """SHA-256 of one clip's float32 values, little-endian."""
    return hashlib.sha256(split[index].numpy().astype("<f4").tobytes()).hexdigest()


def reread(file: DataFile) -> str:
    """Reads a file anew; says in a few words what it was compared with.

    Raises:
        DataMissing: it is absent, or not the one expected.
    """
    file.require()
    file.inspect(file.path)
    if file.digest is not None:
        verify(file.path, file.digest, fresh=True)
        return f"{file.digest}, as published"
    if file.held_to_first:
        entry = verify(file.path, None, fresh=True)
        return f"sha256:{entry.sha256}, as when first prepared"
    source = "its content is the published one" if file.content else "your own file"
    with read_anew():
        return f"sha256:{sha256(file.path)}, {source}"
