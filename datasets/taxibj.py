"""J. Zhang, Y. Zheng, D. Qi, "Deep Spatio-Temporal Residual Networks …", AAAI 2017: TaxiBJ.

In- and outflow of taxis on a 32x32 grid of Beijing, every half hour, 2013 to 2016; 4 -> 4 frames.
Values are vehicles scaled to [0, 1] by the extremes of all frames but the last `test`.

The published loaders (MIM, PDE-Driven) store each window newest first, so their models predict
backwards in time. Here time runs forwards unless `order: as_published` is asked for.

Validation: the references validate on the test set. Here it is the last `val` windows before the
test; windows that would share a frame with a later split are dropped from the earlier one, unless
`val_from: training` has validation's trained on as well.

ST-ResNet reads more than the last frames: `period`, `trend` and `factors` put frames of days and
weeks before, and what is known of a half hour, at the head of the context.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchbench.clip import Clip
from benchbench.data.download import DataFile
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.errors import DataMissing, OptionError
from benchbench.folder import data_folder
from benchbench.options import Count
from benchbench.registry import register_dataset

from ._arrays import mapped
from ._lookback import FACTORS, Lookback, earlier, factor_files, read_factors
from ._openstl import OpenSTLTaxiBJ, ValFrom
from ._taxibj import (
    SLOTS,
    Whole,
    Years,
    date_of,
    inspect_h5,
    load_years,
    prepare_years,
    prepared,
    window_starts,
)

if TYPE_CHECKING:
    from torch import Tensor

Whiles = Annotated[int, Field(ge=1, le=52)]

YEARS = ("BJ13", "BJ14", "BJ15", "BJ16")
WHERE = (
    "get them from https://1drv.ms/f/s!Akh6N7xv3uVmhOhDKwx3bm5zpHkDOQ (TaxiBJ of the DeepST "
    "project) and put them there"
)
OR_ELSE = ", or use source: openstl, which can be downloaded"


@register_dataset("taxibj", version=1)
def taxibj(
    *,
    context: Count = 4,
    horizon: Count = 4,
    order: Literal["forward", "as_published"] = "forward",
    counting: Literal["published", "every"] = "published",
    source: Literal["raw", "openstl"] = "raw",
    val: Count = 1344,
    val_from: ValFrom = "kept",
    test: Count | None = None,
    period: Whiles | None = None,
    trend: Whiles | None = None,
    factors: bool = False,
) -> Dataset:
    """Taxi inflow and outflow of Beijing, half an hour a frame.

    Args:
        context: frames read.
        horizon: frames to predict.
        order: time runs `forward`, or newest first, `as_published`.
        counting: `published` wants the half hour after a window to exist too, which gives 19,560
            and 1,344 windows; `every` takes them all.
        source: the four `raw` h5 files, or `openstl`'s dataset.npz, whose clips are 4 + 4 frames.
        val: windows of the validation set, the last before the test set.
        val_from: whether they are `kept` from training, or windows of `training` as well.
        test: windows of the test set; null is the last 1,344 of the raw files, all of OpenSTL's.
        period: days before, of which the frames at each predicted time are read as well; null:
            none.
        trend: weeks before, likewise; windows that lack any of these frames are dropped.
        factors: weekday, holiday and weather are read as well; they take two further files.
    """
    days, weeks = period or 0, trend or 0
    aside = horizon * (days + weeks + factors)
    clip = Clip(
        2, 32, 32, context + aside, horizon, factors=FACTORS * factors, trend=weeks, period=days
    )
    if aside and (source == "openstl" or order == "as_published"):
        raw = "source: raw and order: forward"
        raise OptionError(
            {
                name: f"frames of other times stand in the raw files, and time must run; {raw}"
                for name, value in (("period", period), ("trend", trend), ("factors", factors))
                if value
            }
        )
    reach = SLOTS if days else 7 * SLOTS
    if (days or weeks) and horizon > reach:
        raise OptionError(
            horizon=f"frames of the day or week before reach {reach} predicted ones, not {horizon}"
        )
    if source == "openstl":
        if counting != "published":
            raise OptionError(counting="OpenSTL's file has its windows cut; leave it out")
        return OpenSTLTaxiBJ(clip, order, val, test, val_from)
    return TaxiBJ(clip, order, counting, val, 1344 if test is None else test, val_from)


@dataclass(frozen=True)
class Spans:
    """First frames of the windows of each split, and how many a reference would count."""

    train: Whole
    val: Whole
    test: Whole
    published: int
    """Windows before the test, those dropped or validated on included."""


def share(starts: Whole, length: int, val: int, test: int, val_from: ValFrom) -> Spans:
    """Splits windows in time; no frame is in two splits, but for validation's of training.

    Raises:
        DataMissing: there are too few.
    """
    if len(starts) <= val + test + 2 * length:
        raise DataMissing(
            f"taxibj: {len(starts)} windows; expected more than val + test = {val + test}"
        )
    tested = starts[-test:]
    before = starts[:-test]
    apart = before[before + length <= tested[0]]
    validated = apart[-val:]
    trained = apart if val_from == "training" else apart[apart + length <= validated[0]]
    return Spans(trained, validated, tested, len(before))


@dataclass(frozen=True)
class TaxiBJ(Dataset):
    """The raw files under one choice of options."""

    clip: Clip
    order: Literal["forward", "as_published"]
    counting: Literal["published", "every"]
    val: int
    test: int
    val_from: ValFrom = "kept"

    training_options = ("val", "val_from")

    def split(self, name: SplitName) -> Split:
        """Windows of a prepared dataset, in time."""
        years = load_years(self._paths())
        starts: Whole = getattr(self.spans(years), name)
        frames = prepared(self._paths(), "frames")
        low, high = extremes(frames, self.test)
        factors = read_factors(years.slots, -self.test) if self.clip.factors else None
        return TaxiWindows(
            frames,
            starts,
            np.asarray(years.slots[starts]),
            length=len(starts),
            shape=self.clip,
            low=low,
            high=high,
            backwards=self.order == "as_published",
            lookback=Lookback(earlier(years, starts, self.clip), factors),
        )

    def spans(self, years: Years) -> Spans:
        """Which windows each split has."""
        length, anchored = self.clip.recent + self.clip.horizon, self.counting == "published"
        starts = window_starts(years.slots, years.years, length, anchored=anchored)
        starts = starts[(earlier(years, starts, self.clip) >= 0).all(axis=(1, 2))]
        return share(starts, length, self.val, self.test, self.val_from)

    def _paths(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self._years())

    def files(self) -> tuple[DataFile, ...]:
        """The four raw files, one a year, and those of weather and holidays if they are read."""
        return self._years() + (factor_files(WHERE) if self.clip.factors else ())

    def _years(self) -> tuple[DataFile, ...]:
        frame = (self.clip.channels, self.clip.height, self.clip.width)
        look = functools.partial(inspect_h5, frame=frame)
        folder = data_folder() / "taxibj"
        names = (f"{year}_M32x32_T30_InOut.h5" for year in YEARS)
        return tuple(DataFile(folder / name, advice=self._advice, inspect=look) for name in names)

    @property
    def _advice(self) -> str:
        return WHERE if self.clip.aside else WHERE + OR_ELSE

    def check(self) -> None:
        """Looks at the form of the files; names all that are absent in one line."""
        if absent := [file.path for file in self.files() if not file.path.exists()]:
            names = ", ".join(path.name for path in absent)
            raise DataMissing(f"{absent[0].parent}: no {names}; {self._advice}")
        super().check()

    def unpack(self) -> None:
        """Takes the whole days out of the files, once.

        Raises:
            DataMissing: a date is wrong, or there are too few windows.
        """
        prepare_years(self._paths())
        self.spans(load_years(self._paths()))

    def notes(self) -> dict[str, Any]:
        """How the windows were counted; the extremes turn errors back into vehicles."""
        years = load_years(self._paths())
        low, high = extremes(prepared(self._paths(), "frames"), self.test)
        return {
            "order": self.order,
            "frames": len(years.frames),
            "runs": 1 + int(np.count_nonzero((np.diff(years.slots) != 1) | np.diff(years.years))),
            "published_train": self.spans(years).published,
            "minimum": low,
            "maximum": high,
            "validates_on_training": self.val_from == "training",
        }


@functools.lru_cache(maxsize=4)
def extremes(frames: Path, test: int) -> tuple[float, float]:
    """The least and the greatest value of all frames but the last `test`."""
    fitted = mapped(frames)[:-test]
    return float(fitted.min()), float(fitted.max())


@dataclass(frozen=True)
class TaxiWindows(Split):
    """Clips that are windows in time, named by the date and slot of the earliest frame."""

    path: Path
    starts: Whole
    slots: Whole
    length: int
    shape: Clip
    low: float
    high: float
    backwards: bool
    lookback: Lookback

    def clip(self, index: int) -> Tensor:
        import torch

        start = int(self.starts[index])
        first = start + self.shape.recent  # predicted frame
        predicted = range(first, first + self.shape.horizon)
        window = self._scaled(slice(start, predicted.stop))
        if self.backwards:
            window = window[::-1]
        before = self._scaled(self.lookback.earlier[index])
        head = list(self.lookback.frames(predicted, before))
        frames = np.concatenate([np.stack(head), window]) if head else window
        return torch.from_numpy(frames.astype(np.float32))

    def _scaled(self, which: slice | Whole) -> NDArray[np.float64]:
        """In [0, 1]; values of the test frames may exceed the extremes that were fitted."""
        frames = mapped(self.path)[which].astype(np.float64)
        return np.clip((frames - self.low) / (self.high - self.low), 0, 1)

    def name(self, index: int) -> str:
        return date_of(int(self.slots[index]))
