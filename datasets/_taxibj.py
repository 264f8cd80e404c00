"""The four raw files of TaxiBJ: days that are whole, frames, and windows without a gap."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchbench.atomic import replacing
from benchbench.data.copies import copy_place, make_copy, require_copy
from benchbench.data.npy import map_npy
from benchbench.errors import DataMissing

from ._hdf5 import open_h5

SLOTS = 48
"""Half hours of a day."""
PARTS = ("frames", "slots", "years")

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Years:
    """The frames of the whole days of all years, one after the other."""

    frames: NDArray[np.float32]
    """(N, 2, H, W), vehicles; inflow, outflow."""
    slots: Whole
    """(N,) half hours since the beginning of the calendar."""
    years: Whole
    """(N,) which file each frame is of."""


def inspect_h5(path: Path, *, frame: tuple[int, int, int]) -> None:
    """Looks whether a file holds `date` (N,) and `data` (N, 2, 32, 32).

    Raises:
        DataMissing: it does not.
    """
    expected = f"expected an HDF5 file with date (N,) and data (N, {', '.join(map(str, frame))})"
    with open_h5(path, expected) as file:
        shapes = {key: file[key].shape for key in ("date", "data") if key in file}
    count = shapes.get("date", (0,))[0]
    if shapes.get("date") != (count,) or shapes.get("data") != (count, *frame):
        raise DataMissing(f"{path}: {expected}, found {shapes}")


def whole_days(dates: Sequence[str]) -> Whole:
    """Indices of the records of days whose slot 01 is followed, 47 records later, by slot 48.

    As in remove_incomplete_days of DeepST and MIM: dates are `yyyymmddss`.
    """
    whole = set()
    i = 0
    while i < len(dates):
        last = i + SLOTS - 1
        if dates[i][8:] == "01" and last < len(dates) and dates[last][8:] == f"{SLOTS}":
            whole.add(dates[i][:8])
            i += SLOTS
        else:
            i += 1
    return np.array([i for i, date in enumerate(dates) if date[:8] in whole], np.int64)


def slot_of(date: str) -> int:
    """`yyyymmddss` as half hours since the beginning of the calendar."""
    day = datetime.date(int(date[:4]), int(date[4:6]), int(date[6:8]))
    return day.toordinal() * SLOTS + int(date[8:]) - 1


def date_of(slot: int) -> str:
    """Half hours since the beginning of the calendar as `yyyymmddss`."""
    day = datetime.date.fromordinal(slot // SLOTS)
    return f"{day:%Y%m%d}{slot % SLOTS + 1:02}"


def window_starts(slots: Whole, years: Whole, length: int, *, anchored: bool) -> Whole:
    """Indices of the first frames of all windows of `length` half hours without a gap.

    With `anchored`, as in the published loaders, a window counts only if the half hour after it
    is there too: N frames in R runs without a gap give N - length R windows instead of
    N - (length - 1) R. For the published N = 21,360 (445 days) and R = 57: 20,904 and 20,961.
    """
    reach = length if anchored else length - 1
    if len(slots) <= reach:
        return np.empty(0, np.int64)
    together = (slots[reach:] - slots[:-reach] == reach) & (years[reach:] == years[:-reach])
    return np.flatnonzero(together)


def read_years(paths: Sequence[Path]) -> Years:
    """The whole days of all files; negative values become 0.

    Raises:
        DataMissing: a file's dates are not in order or not of the form `yyyymmddss`.
    """
    frames, slots, years = [], [], []
    for number, path in enumerate(paths):
        with open_h5(path) as file:
            dates = [bytes(date).decode() for date in file["date"][:]]
            data = file["data"][:, :2]
        keep = whole_days(dates)
        try:
            mine = np.array([slot_of(dates[i]) for i in keep], np.int64)
        except ValueError as error:
            raise DataMissing(f"{path}: a date is not yyyymmddss ({error})") from None
        if np.any(np.diff(mine) <= 0):
            raise DataMissing(f"{path}: expected dates in increasing order, each once")
        frames.append(np.maximum(data[keep], 0).astype(np.float32))
        slots.append(mine)
        years.append(np.full(len(keep), number, np.int64))
    return Years(np.concatenate(frames), np.concatenate(slots), np.concatenate(years))


def prepared(paths: Sequence[Path], name: str) -> Path:
    """Where `frames`, `slots` or `years` of these very files lie, ready to be mapped."""
    return copy_place(paths, "whole days", f"{name}.npy")


def prepare_years(paths: Sequence[Path]) -> None:
    """Writes frames, slots and years as npy files, once."""
    years = functools.cache(lambda: read_years(paths))

    def write(to: Path) -> None:
        with replacing(to) as temporary, temporary.open("wb") as file:
            np.save(file, getattr(years(), to.stem))

    for name in PARTS:
        make_copy(prepared(paths, name), write)


def load_years(paths: Sequence[Path]) -> Years:
    """What `prepare_years` wrote, mapped.

    Raises:
        DataMissing: it has not been called for these files, or what it wrote was damaged.
    """
    return Years(*(map_npy(require_copy(prepared(paths, name))) for name in PARTS))
