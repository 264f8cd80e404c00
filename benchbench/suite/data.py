"""The data of a run: its dataset built again, and held to the content that it was planned with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import registry
from benchbench.atomic import write_text
from benchbench.data.content import Content, content
from benchbench.errors import DataMissing
from benchbench.suite.spec import RunSpec

if TYPE_CHECKING:
    from benchbench.dataset import Dataset

FOLDER = "data"
"""Below the results: the files of each content that runs were planned with, by its digest."""
SHOWN = 5
"""At most this many files that differ are named."""


def note(content: Content, results: Path) -> None:
    """Keeps the digests of a content's files, so that it can be said which of them has changed."""
    if _noted(content.digest, results) is None:
        write_text(_place(content.digest, results), content.text)


def open_data(spec: RunSpec, results: Path) -> Dataset:
    """The dataset of a planned spec, whose files are those that it was planned with."""
    dataset = registry.DATASETS.get(spec.dataset).build(**spec.dataset_options)
    note(check_data(spec, dataset, results), results)
    return dataset


def check_data(spec: RunSpec, dataset: Dataset, results: Path) -> Content:
    """The content of a dataset, which is that a run was planned with.

    Args:
        spec: the run's.
        dataset: its dataset.
        results: the results folder, in which the digest of each file may have been kept.

    Raises:
        DataMissing: a file is absent or another; the message says which, and what to do.
    """
    entry = registry.DATASETS.get(spec.dataset)
    try:
        now = content(entry, spec.dataset_options, dataset.files(), present=True)
    except DataMissing as error:
        raise DataMissing(f"{error}{_moved(spec)}") from None
    if now.digest == spec.data:
        return now
    before = _noted(spec.data, results)
    texts = ["they have changed"] if before is None else _differences(before, now.files, spec)
    raise DataMissing(
        f"{spec.name}: its data are not those it was planned with: {', '.join(texts)}; put them "
        "back, or run the suite again as it is: other data are another run"
    )


def _moved(spec: RunSpec) -> str:
    if not spec.places:
        return ""
    options = " or ".join(f"'{option}'" for option in spec.places if spec.dataset_options[option])
    return (
        f"\n  run {spec.key} read its data there; if they have moved, give the new place as "
        f"{options} in the suite and run it: the same content is the same run"
    )


def _differences(before: Mapping[str, str], now: Mapping[str, str], spec: RunSpec) -> list[str]:
    """In which files a content differs from another, a few words each."""
    words = dict.fromkeys(before.keys() - now.keys(), "is gone")
    words |= dict.fromkeys(now.keys() - before.keys(), "is new")
    both = before.keys() & now.keys()
    words |= {name: "has changed" for name in both if before[name] != now[name]}
    texts = [f"{_file(name, spec)} {words[name]}" for name in sorted(words)]
    return texts[:SHOWN] + ([f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else [])


def _file(name: str, spec: RunSpec) -> str:
    """The path of a file by its name in a content."""
    option, _, rest = name.partition(":")
    root = spec.dataset_options.get(option)
    if not isinstance(root, str):
        return rest or option
    return f"{root}/{rest}" if rest and not Path(root).is_file() else root


def _place(digest: str, results: Path) -> Path:
    return results / FOLDER / f"{digest[:16]}.json"


def _noted(digest: str, results: Path) -> dict[str, str] | None:
    """The files of a content, if they were kept and are what was kept."""
    try:
        text = _place(digest, results).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest() != digest:
        return None
    files: dict[str, str] = json.loads(text)
    return files
