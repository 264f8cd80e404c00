"""A person's own recordings, made ready to be mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchbench.atomic import replacing
from benchbench.data.copies import copy_place, make_copy
from benchbench.data.npy import inspect_npy
from benchbench.data.opening import plain
from benchbench.errors import DataMissing

from ._arrays import inspect_npz, unpack, unpacked
from ._hdf5 import read_h5
from ._pictures import decode
from ._places import Place

DECODING = 2
"""Raised when frames are decoded otherwise, so that no copy of before is used."""


@dataclass(frozen=True)
class Reading:
    """How frames are read from places that are not arrays."""

    frame: tuple[int, int, int]
    """(C, H, W)"""
    resize: bool
    key: str | None
    """Which array of an npz or h5 file; needed where there are several."""


def ready(place: Place, reading: Reading) -> Path:
    """Where the array of a place lies as npy, once `make_ready` has been called."""
    if place.kind == "npy":
        return place.path
    if place.kind == "npz":
        return unpacked(place.path, _key(place.path, reading.key))
    how = f"{place.kind} {place.path.suffix.lower()} {reading} v{DECODING}"
    return copy_place(place.sources(), how, "frames.npy")


def make_ready(place: Place, reading: Reading) -> None:
    """Unpacks or decodes a place into the data folder, once.

    Raises:
        DataMissing: it cannot be read, or its frames have another size.
    """

    def write(to: Path) -> None:
        if place.kind == "h5":
            array = read_h5(place.path, reading.key)
        else:
            array = np.stack(list(decode(place, reading.frame, resize=reading.resize)))
        with replacing(to) as temporary, temporary.open("wb") as file:
            np.save(file, array)

    if place.kind == "npy":
        inspect_npy(place.path)
    elif place.kind == "npz":
        unpack(place.path, _key(place.path, reading.key))
    else:
        make_copy(ready(place, reading), write)


def _key(path: Path, key: str | None) -> str:
    shapes = inspect_npz(path, keys=(key,) if key else ())
    if key is None and len(shapes) != 1:
        raise DataMissing(f"{path}: holds {plain(*shapes) or 'none'}; name one as 'key'")
    return key or next(iter(shapes))
