"""Where a person's own recordings lie: files and folders of images below a path, each once."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchbench.data.opening import reason, require_file
from benchbench.errors import DataMissing

Kind = Literal["npy", "npz", "h5", "video", "images"]

SUFFIXES: dict[str, Kind] = {
    ".npy": "npy",
    ".npz": "npz",
    ".h5": "h5",
    ".hdf5": "h5",
    **dict.fromkeys((".mp4", ".avi", ".mkv", ".mov", ".webm", ".gif", ".m4v"), "video"),
}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
UNPLAIN = {"Cc", "Cs", "Zl", "Zp"}
"""Control characters, bytes that are no UTF-8, ends of lines and paragraphs."""
NUMBER = re.compile(r"(\d+)")
REAL = re.compile(r"(?<![\d.])(?:(?<![^\W_])-)?\d+(?:\.\d+)?(?:e[+-]\d+)?(?!\.?\d)")
"""A number with its sign and decimals; dates such as 2020.1.31 and 2020-01-31 are none."""
DIGITS = 20
"""Longer numbers are hardly counted."""
DATES = 10**7
"""Numbers of frames from here on are dates, which leap."""


@dataclass(frozen=True)
class Place:
    """A file, or a folder of images, that holds recordings."""

    path: Path
    kind: Kind
    name: str
    """Relative to the dataset's path; what lists of splits name."""

    def sources(self) -> list[Path]:
        """The files themselves; images in the order of their numbers.

        Raises:
            DataMissing: which image follows which cannot be told.
        """
        return (
            in_order(self.path, _images(_entries(self.path)))
            if self.kind == "images"
            else [self.path]
        )


def places_in(path: Path) -> list[Place]:
    """All the places of a file or folder, by name and 2 before 10.

    Raises:
        DataMissing: there is none, or one that is there twice, cannot be read or has no plain name.
    """
    kinds = f"{', '.join(SUFFIXES)}, or folders of images"
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise DataMissing(f"{path}: cannot be read ({reason(error)})") from None
    if not is_folder:
        if not os.path.lexists(path):
            raise DataMissing(f"{path}: no such file or folder; give 'path' where your clips lie")
        require_file(path)
        if path.suffix.lower() not in SUFFIXES:
            raise DataMissing(f"{path}: '{path.suffix}' is not known; expected {kinds}")
        return [Place(path, SUFFIXES[path.suffix.lower()], path.name)]
    places = list(_walk(path, "", {}))
    if not places:
        raise DataMissing(f"{path}: holds no clips; expected files {kinds}")
    return sorted(places, key=lambda place: _natural(place.name))


def _walk(folder: Path, name: str, seen: dict[tuple[int, int], Path]) -> Iterator[Place]:
    """The places of a folder, called so below the root; `seen` has every one so far."""
    _require_first(folder, seen)
    entries = _entries(folder)
    if _images(entries):
        yield Place(folder, "images", name or ".")
    for entry in entries:
        kind, below = SUFFIXES.get(entry.suffix.lower()), f"{name}/{entry.name}".lstrip("/")
        if entry.is_dir():  # that the frames of `a.avi` lie in is often called so too
            inside = list(_walk(entry, below, seen))
            if kind is not None and not inside:
                require_file(entry)
            yield from inside
        elif kind is not None:
            require_file(entry)
            _require_first(entry, seen)
            yield Place(entry, kind, below)


def _require_first(path: Path, seen: dict[tuple[int, int], Path]) -> None:
    """Asks that no link lead to what was seen: its clips would count twice, in two splits."""
    status = path.stat()
    first = seen.setdefault((status.st_dev, status.st_ino), path)
    if first != path:
        raise DataMissing(f"{path}: leads to {first}, so its clips are there twice; remove one")


def _entries(folder: Path) -> list[Path]:
    try:
        listed = os.listdir(folder)  # noqa: PTH208 (no Path to sort for each of 100,000)
        names = sorted(name for name in listed if not name.startswith("."))
    except OSError as error:
        raise DataMissing(f"{folder}: cannot be read ({reason(error)})") from None
    for name in names:
        if not name.isprintable() and any(unicodedata.category(c) in UNPLAIN for c in name):
            raise DataMissing(
                f"{folder}: holds {name!a}, a name that no list and no terminal can show; rename it"
            )
    return [folder / name for name in names]


def _images(entries: Sequence[Path]) -> list[Path]:
    return [path for path in entries if path.suffix.lower() in IMAGES and not path.is_dir()]


def _natural(name: str) -> tuple[list[str], str]:
    """What sorts names by their numbers, 2 before 10, and else as they are."""
    return [part.zfill(DIGITS) if part.isdecimal() else part for part in NUMBER.split(name)], name


def in_order(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Images in the order of the numbers in their names: 2 before 10, in every part of the name.

    Raises:
        DataMissing: two have the same numbers, they are named for several recordings, or their
            numbers may be decimals or below zero.
    """
    parts = {path: NUMBER.split(path.stem) for path in images}
    numbered = [path for path in images if len(parts[path]) > 1]
    texts = {tuple(part[::2]): path for path, part in parts.items()}
    if numbered and len(texts) > 1:
        first, second = sorted(path.name for path in texts.values())[:2]
        raise DataMissing(
            f"{folder}: '{first}' and '{second}' are named for different recordings; expected one "
            "in a folder, its images alike but for their numbers"
        )
    places: dict[tuple[int | str, ...], Path] = {}
    for path, part in parts.items():
        numbers = tuple(map(int, part[1::2])) or (path.stem,)
        if numbers in places:
            raise DataMissing(
                f"{folder}: '{places[numbers].name}' and '{path.name}' are the same frame; remove "
                "one"
            )
        places[numbers] = path
    ordered = [places[numbers] for numbers in sorted(places)]
    _require_whole_numbers(folder, ordered)
    return ordered


def _require_whole_numbers(folder: Path, images: Sequence[Path]) -> None:
    """Asks that images be in the same order by decimals: `0.25` is a time, `1.10` counts to ten."""
    reals = {path: [float(text) for text in REAL.findall(path.stem)] for path in images}
    counts = any(re.search(r"\.[0-9]+0$", text) for p in images for text in REAL.findall(p.stem))
    for before, after in zip(images, sorted(images, key=reals.__getitem__), strict=True):
        if before != after and not counts:
            raise DataMissing(
                f"{folder}: '{before.name}' and '{after.name}': which comes first cannot be told; "
                "expected whole numbers from 0, or as many digits behind every point"
            )


def gaps(images: Sequence[Path]) -> str:
    """Where the numbers of images in order leap: `from 4 to 7`; empty where they do not."""
    numbers = [[int(part) for part in NUMBER.findall(path.stem)] for path in images]
    columns = zip(*numbers, strict=True)
    leaping = [column for column in columns if len(set(column)) > 1]
    if len(leaping) != 1 or max(leaping[0]) >= DATES:  # times and dates have other steps
        return ""
    pairs = list(zip(leaping[0], leaping[0][1:], strict=False))
    step = min(after - before for before, after in pairs)
    leaps = [f"from {before} to {after}" for before, after in pairs if after - before != step]
    return leaps[0] + (f", and {len(leaps) - 1} times more" if leaps[1:] else "") if leaps else ""
