"""Content: what a dataset reads, which is what a run's key has of its data, and no path.

The same bytes elsewhere are the same data; another file under the same name is other data. All of
it follows from the dataset's `files()` and its options. Names count below the folder that an option
names, since recordings are shared out and put in order by them.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from benchbench.data.checksums import verify
from benchbench.data.digests import reading_anew, sha256s
from benchbench.errors import DataMissing
from benchbench.folder import data_folder, from_home
from benchbench.options import locations

if TYPE_CHECKING:
    from benchbench.data.download import DataFile
    from benchbench.dataset import Dataset
    from benchbench.registry import Entry

LIKELY = {"path", "paths", "file", "files", "folder", "folders", "dir", "directory", "root"}
"""Options that are places where something lies there, though their type may not say so."""


@dataclass(frozen=True)
class Content:
    """The digest of each file that a dataset reads, by option and name below its place."""

    files: Mapping[str, str]
    places: tuple[str, ...] = ()
    """Options of the dataset that only say where its files lie."""

    @property
    def text(self) -> str:
        """One line a file, in the order of their names."""
        return json.dumps(self.files, indent=0, sort_keys=True)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Inventory:
    """What there is of the files that a dataset reads."""

    places: list[str]
    """Options of the dataset that only say where they lie."""
    content: Content | None = None
    """None while files of which nothing was published are not there."""
    missing: str = ""
    """Those that nobody but a person can get, and how; none if empty."""
    downloads: tuple[str, ...] = ()
    """Those that `bench run` downloads."""

    @property
    def absent(self) -> list[str]:
        """What is not there, and how to get it."""
        return [*self.missing.splitlines(), *self.downloads]


def inventory(
    entry: Entry[Any], options: Mapping[str, Any], dataset: Dataset, folder: Path
) -> Inventory:
    """What there is of a dataset's files; `folder` is where its places were looked for first."""
    data, missing = None, ""
    downloads: tuple[str, ...] = ()
    try:
        files = list(dataset.files())
        downloads = tuple(
            f"{file.path}: no such file; bench run downloads it from {file.urls[0]}"
            for file in files
            if file.urls and not file.path.exists()
        )
        try:
            data = content(entry, options, files)
        except DataMissing as error:
            missing = "" if downloads else str(error)
        _check(entry, options, dataset, data if all(not file.urls for file in files) else None)
    except DataMissing as error:  # it plans without them
        missing = str(error)
    if missing:
        missing = "\n".join([missing, *_elsewhere(entry, options, folder)])
    places = data.places if data else locations(entry.build)
    return Inventory(sorted(places), data, missing, downloads)


def _check(
    entry: Entry[Any], options: Mapping[str, Any], dataset: Dataset, data: Content | None
) -> None:
    """Checks a dataset, unless this very content was found to be right before."""
    asked = json.dumps([entry.name, entry.version, options, data and data.digest], sort_keys=True)
    name = hashlib.sha256(asked.encode()).hexdigest()[:32]
    mark = data_folder() / "checked" / name
    if data is None or reading_anew() or not mark.exists():
        dataset.check()
        if data is not None:
            with contextlib.suppress(OSError):  # a cache and no more
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()


def beside(entry: Entry[Any], options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Options in which a relative place that is there below a folder is an absolute one."""

    def look(value: Any) -> Any:
        if isinstance(value, list):
            return [look(item) for item in value]
        if not _is_relative(value) or not (folder / value).exists():
            return value
        return os.path.normpath(folder.absolute() / value)

    names = locations(entry.build) | LIKELY
    return {key: look(value) if key in names else value for key, value in options.items()}


def _elsewhere(entry: Entry[Any], options: Mapping[str, Any], folder: Path) -> list[str]:
    """Where else the relative places that options name were looked for, a sentence each."""
    texts = (pair for key in locations(entry.build) for pair in _texts(key, options.get(key)))
    return [
        f"  (the option {option}, '{text}', was looked for below {folder.absolute()} first)"
        for option, text in sorted(texts)
        if _is_relative(text)
    ]


def _is_relative(value: Any) -> TypeGuard[str]:
    text = isinstance(value, str) and value != "" and "\0" not in value
    return text and not value.startswith("~") and not Path(value).is_absolute()


def content(
    entry: Entry[Any],
    options: Mapping[str, Any],
    files: Sequence[DataFile],
    *,
    present: bool = False,
) -> Content:
    """The content of a dataset with these files, which are read unless noted as unchanged.

    Args:
        entry: its builder.
        options: what it was built with.
        files: all that it reads.
        present: asks that published files be there, and the ones published; their digests are taken
            at their word otherwise.

    Raises:
        DataMissing: a file is absent, or not the one published.
    """
    paths = sorted(os.fspath(file.path) for file in files)
    roots, places = _roots(options, locations(entry.build), paths)
    digests: dict[str, str] = {}
    for root, members in _groups(files, roots).items():
        own = []
        for name, file in members:
            if (published := file.digest or file.content) is not None:
                digests[name] = _published(file, published, present=present)
            else:
                own.append((name, file))
        digests |= _own(own, root)
    return Content(digests, tuple(sorted(places)))


def _published(file: DataFile, published: str, *, present: bool) -> str:
    if present or (reading_anew() and file.path.exists()):
        file.require()
        if file.digest is not None:
            verify(file.path, file.digest)
        else:
            file.inspect(file.path)
    return published


def _own(members: list[tuple[str, DataFile]], root: str) -> dict[str, str]:
    try:
        sums = sha256s((file.path for _, file in members), root=Path(root))
    except DataMissing:
        for _, file in members:
            file.require()  # whose message says how to get it
        raise
    return {name: f"sha256:{sums[file.path]}" for name, file in members}


def _roots(
    options: Mapping[str, Any], declared: Collection[str], files: list[str]
) -> tuple[dict[str, str], set[str]]:
    """The place that each text of an option names; and the options that are nothing but places."""
    roots: dict[str, str] = {}
    places = set(declared)
    for option, value in options.items():
        texts = dict(_texts(option, value))
        named = option in declared, option in LIKELY
        mine = {name: _root(text, *named, files) for name, text in texts.items()}
        roots |= {name: root for name, root in mine.items() if root is not None}
        if mine and None not in mine.values():
            places.add(option)
    return roots, places


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts(f"{name}.{index}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(f"{name}.{key}", item)


def _root(text: str, declared: bool, likely: bool, files: list[str]) -> str | None:
    """The place that a text names: of files that the dataset tells, or of others that are there."""
    if "\0" in text or not Path(text).name:
        return None
    plain = from_home(text)
    places = (plain, plain.absolute(), data_folder() / plain)
    spellings = [str(place) for place in places] + [os.path.realpath(place) for place in places]
    for spelling in spellings:
        for sought in (spelling, spelling + os.sep):
            place = bisect.bisect_left(files, sought)
            if place < len(files) and _inside(files[place], spelling):
                return spelling
    if declared:
        middle = f"{os.sep}{Path(text)}{os.sep}"
        for path in files:
            before, found, _ = f"{path}{os.sep}".partition(middle)
            if found:
                return before + middle.rstrip(os.sep)
    if declared or likely:
        return next((str(place) for place in places[1:] if place.exists()), None)
    return str(plain) if plain.is_absolute() and plain.is_file() else None


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root + os.sep)


def _groups(
    files: Sequence[DataFile], roots: Mapping[str, str]
) -> dict[str, list[tuple[str, DataFile]]]:
    """The files with their names, by the place below which they lie; a deeper place comes first."""
    groups: dict[str, list[tuple[str, DataFile]]] = {}
    others, reached = [], set()
    for file in files:
        path = os.fspath(file.path)
        inside = {option: root for option, root in roots.items() if _inside(path, root)}
        deepest = max(map(len, inside.values()), default=0)
        for option, root in inside.items():
            if len(root) == deepest:
                reached.add(option)
                groups.setdefault(root, []).append((_name(option, file, root), file))
        if not inside:
            others.append(file)
    for option in roots.keys() - reached:  # named by an option, and not told by the dataset
        root = roots[option]
        groups.setdefault(root, []).extend(
            (_name(option, file, root), file) for file in _walk(root)
        )
    if others:
        root = os.path.commonpath([file.path.parent for file in others])
        groups.setdefault(root, []).extend((_name("", file, root), file) for file in others)
    return groups


def _walk(root: str) -> Iterable[DataFile]:
    from benchbench.data.download import DataFile

    paths = [Path(root)]
    if paths[0].is_dir():
        paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    return [DataFile(path, held="own") for path in paths if path.is_file()]


def _name(option: str, file: DataFile, root: str) -> str:
    """`path:train/a.npy`; of a file that the option itself names, how it ends: `path:.npy`.

    Where the content was published, a packed file and the plain one are the same.
    """
    path = os.fspath(file.path)
    if file.content is not None:
        path, root = path.removesuffix(".gz"), root.removesuffix(".gz")
    if path == root:
        return f"{option}:{Path(path).suffix.lower()}"
    return f"{option}:{path[len(root) :].lstrip(os.sep)}"
