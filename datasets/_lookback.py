"""What else is known of a predicted half hour: frames of days and weeks before, and factors.

They stand at the head of a context as `benchbench.clip.Clip` says. The factors are DeepST's 28:
weekday (7), whether it is a working day, whether a holiday; weather (17), wind, temperature.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchbench.clip import Clip
from benchbench.data.download import DataFile
from benchbench.data.opening import read_text
from benchbench.errors import DataMissing
from benchbench.folder import data_folder

from ._hdf5 import open_h5
from ._taxibj import SLOTS, Whole, Years, date_of, slot_of

CALENDAR, WEATHER = 9, 19
FACTORS = CALENDAR + WEATHER
SHAPES = {"date": (), "Temperature": (), "WindSpeed": (), "Weather": (WEATHER - 2,)}
"""What the weather's file holds of each half hour."""

Floats = NDArray[np.float32]


def earlier(years: Years, starts: Whole, clip: Clip) -> Whole:
    """(windows, horizon, trend + period) indices of frames before each predicted one.

    The farthest first; -1 where the same year's file has no such frame.
    """
    back = [SLOTS * 7 * n for n in range(clip.trend, 0, -1)]
    back += [SLOTS * n for n in range(clip.period, 0, -1)]
    predicted = starts[:, None] + clip.recent + np.arange(clip.horizon)
    slots = years.slots[predicted][..., None] - np.array(back, np.int64)
    places = np.minimum(np.searchsorted(years.slots, slots), len(years.slots) - 1)
    there = (years.slots[places] == slots) & (
        years.years[places] == years.years[predicted][..., None]
    )
    return np.where(there, places, -1)


def factor_files(advice: str) -> tuple[DataFile, ...]:
    """Weather and holidays, two further files of the DeepST project."""
    folder = data_folder() / "taxibj"
    return (
        DataFile(folder / "BJ_Meteorology.h5", advice=advice, inspect=_inspect_weather),
        DataFile(folder / "BJ_Holiday.txt", advice=advice, inspect=_read_holidays),
    )


def _inspect_weather(path: Path) -> None:
    with open_h5(path) as file:
        shapes = {key: file[key].shape for key in SHAPES if key in file}
    count = shapes.get("date", (0,))[:1]
    expected = {key: (*count, *shape) for key, shape in SHAPES.items()}
    if shapes != expected:
        raise DataMissing(f"{path}: expected {expected}, found {shapes}")


def _read_holidays(path: Path) -> set[str]:
    try:
        lines = read_text(path, expected="expected a date yyyymmdd on each line").split()
        for line in lines:
            datetime.datetime.strptime(line, "%Y%m%d")
    except ValueError as error:
        raise DataMissing(f"{path}: expected a date yyyymmdd on each line ({error})") from None
    return set(lines)


@dataclass(frozen=True)
class Factors:
    """What is known of every frame's half hour, scaled to [0, 1]."""

    calendar: Floats
    """(frames, 9)"""
    weather: Floats
    """(frames, 19)"""

    def of(self, predicted: int, last: int) -> Floats:
        """(28,) of a predicted frame.

        Its weather is that of the `last` frame read, as in DeepST, which predicts but one: later
        weather is not known yet.
        """
        return np.concatenate([self.calendar[predicted], self.weather[last]])


def read_factors(slots: Whole, fitted: int) -> Factors:
    """The factors of all frames; wind and temperature are scaled by the first `fitted` of them."""
    weather, holidays = (file.path for file in factor_files(""))
    return Factors(
        calendar(slots, _read_holidays(holidays)), _scaled(_read_weather(weather, slots), fitted)
    )


def calendar(slots: Whole, holidays: set[str]) -> Floats:
    """(frames, 9): weekday from Monday on, one of seven; a working day; a holiday."""
    weekdays = (slots // SLOTS + 6) % 7  # day 1 of the calendar is a Monday
    days = [date_of(int(slot))[:8] for slot in slots]
    columns = [np.eye(7)[weekdays], weekdays < 5, np.isin(days, list(holidays))]
    return np.column_stack(columns).astype(np.float32)


def _read_weather(path: Path, slots: Whole) -> NDArray[np.float64]:
    """(frames, 19) raw values, the latest that were recorded by each slot."""
    with open_h5(path) as file:
        recorded = np.array([slot_of(bytes(date).decode()) for date in file["date"][:]], np.int64)
        parts = [file[key][:] for key in ("Weather", "WindSpeed", "Temperature")]
    order = np.argsort(recorded, kind="stable")
    places = np.searchsorted(recorded[order], slots, side="right") - 1
    if len(places) and places.min() < 0:
        raise DataMissing(f"{path}: nothing by {date_of(int(slots.min()))}, the first frame")
    return np.column_stack(parts).astype(np.float64)[order][places]


def _scaled(weather: NDArray[np.float64], fitted: int) -> Floats:
    """Wind and temperature by their extremes; the weather is one of seventeen already."""
    low, high = weather[:fitted, -2:].min(axis=0), weather[:fitted, -2:].max(axis=0)
    weather[:, -2:] = (weather[:, -2:] - low) / np.maximum(high - low, 1e-12)
    return np.clip(weather, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Lookback:
    """The head of each window's context."""

    earlier: Whole
    """(windows, horizon, trend + period)"""
    factors: Factors | None

    def frames(
        self, predicted: range, scaled: NDArray[np.float64]
    ) -> Iterator[NDArray[np.float64]]:
        """The frames at the head of a window, in order.

        Args:
            predicted: the window's predicted frames.
            scaled: (horizon, trend + period, C, H, W), those of days and weeks before.
        """
        for t, frame in enumerate(predicted):
            if self.factors is not None:
                sheet = np.zeros(scaled.shape[2:])
                sheet.flat[:FACTORS] = self.factors.of(frame, predicted[0] - 1)
                yield sheet
            yield from scaled[t]
