"""A person's own clips: an array file, or a folder of array files, videos or folders of images.

Arrays have the axes named by `axes`: N clips, T frames, C channels, H, W; an array without N is
one recording. Longer recordings are cut into windows, `stride` frames apart.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchbench.clip import Clip
from benchbench.data.copies import require_copy
from benchbench.data.download import DataFile
from benchbench.data.npy import inspect_npy
from benchbench.data.opening import read_text
from benchbench.dataset import SPLITS, Dataset, Split, SplitName
from benchbench.errors import DataMissing, OptionError
from benchbench.folder import data_folder, from_home
from benchbench.options import Count, Counts, Location
from benchbench.registry import register_dataset

from ._places import Place, gaps, places_in
from ._recordings import Reading, make_ready, ready
from ._splits import share_by_name, share_in_order
from ._windows import Recording, RecordingWindows, Window, check_range, fitting_axes

log = logging.getLogger(__name__)

SHOWN = 5
"""At most so many recordings are named in one warning."""


@register_dataset("clips", version=1)
@dataclass(kw_only=True)
class Clips(Dataset):
    """A person's own clips, cut from their recordings; the fields are the options.

    Args:
        path: a file or folder, absolute or below the data folder.
        frame: [channels, height, width].
        context: frames read.
        horizon: frames to predict.
        axes: order of an array's axes, of N T C H W.
        key: name of the array in an npz or h5 file; needed where there are several.
        values: those that become 0 and 1; null is [0, 255] for whole numbers of 8 bits and
            [0, 1] for others.
        resize: scale frames of another size to `frame`.
        stride: frames between the starts of two clips of a recording; null is a clip's length.
        split_by: `names` of folders and files, such as train, clips-test or val_01.mp4, where any
            says a split; `shares` looks at no names.
        shares: of the recordings, by name and 2 before 10, for train, val and test, where no name
            says a split and `lists` is null.
        val_share: where names say train and test only, the part of train's recordings, the last by
            name, that becomes val.
        lists: folder with train.txt, val.txt and test.txt: a name relative to `path`, or the
            number of a clip, a line.
    """

    path: Location
    frame: Counts
    context: Count
    horizon: Count
    axes: str = "NTCHW"
    key: str | None = None
    values: Sequence[float] | None = None
    resize: bool = False
    stride: Count | None = None
    split_by: Literal["names", "shares"] = "names"
    shares: Sequence[float] = (0.8, 0.1, 0.1)
    val_share: float | None = None
    lists: Location | None = None
    clip: Clip = field(init=False)

    def __post_init__(self) -> None:
        frame, axes, values, shares = self.frame, self.axes, self.values, self.shares
        if len(frame) != 3:
            raise OptionError(frame=f"expected [channels, height, width], not {list(frame)}")
        if sorted(axes.replace("C", "", 1)) not in (sorted("NTHW"), sorted("THW")):
            raise OptionError(
                axes=f"expected an order of N, T, C, H, W such as NTCHW, not '{axes}'"
            )
        if "C" not in axes and frame[0] != 1:
            raise OptionError(axes=f"'{axes}' has no C, but frame asks for {frame[0]} channels")
        if values is not None and (
            len(values) != 2 or not -math.inf < values[0] < values[1] < math.inf
        ):
            raise OptionError(values=f"expected [lowest, highest], not {list(values)}")
        if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise OptionError(shares=f"expected three parts that sum to 1, not {list(shares)}")
        if self.val_share is not None and not 0 < self.val_share < 1:
            raise OptionError(val_share=f"expected a part between 0 and 1, not {self.val_share}")
        if self.val_share is not None and (self.split_by == "shares" or self.lists is not None):
            raise OptionError(val_share="expected nothing beside lists or split_by: shares")
        self.clip = Clip(frame[0], frame[1], frame[2], self.context, self.horizon)

    @property
    def _root(self) -> Path:
        return data_folder() / from_home(self.path)

    @property
    def _reading(self) -> Reading:
        clip = self.clip
        return Reading((clip.channels, clip.height, clip.width), self.resize, self.key)

    @property
    def _range(self) -> tuple[float, float] | None:
        return None if self.values is None else (self.values[0], self.values[1])

    def split(self, name: SplitName) -> Split:
        """All windows of the split's recordings."""
        return self._windows(name, self.shared()[name])

    def _windows(self, name: SplitName, recordings: Sequence[Recording]) -> Split:
        frames = self.clip.frames
        windows = tuple(
            Window(recording, start)
            for recording in recordings
            for start in range(0, recording.frames - frames + 1, self.stride or frames)
        )
        if not windows:
            raise DataMissing(
                f"{self._root}: no recording of '{name}' has {frames} frames; "
                "give it more recordings, or fewer frames"
            )
        return RecordingWindows(windows, len(windows), frames, self._range)

    def recordings(self) -> list[Recording]:
        """All the recordings, by name.

        Raises:
            DataMissing: an array has another shape.
        """
        return [each for place in places_in(self._root) for each in self._recordings_of(place)]

    def _recordings_of(self, place: Place) -> list[Recording]:
        array = ready(place, self._reading)
        axes = "TCHW" if place.kind in ("video", "images") else self.axes
        if array != place.path:
            require_copy(array)
        shape = inspect_npy(array).shape
        if len(shape) == len(axes) - 1 and "N" in axes:
            axes = axes.replace("N", "")
        sizes = dict(zip(axes, shape, strict=False))
        expected = {"C": self.clip.channels, "H": self.clip.height, "W": self.clip.width}
        if len(axes) != len(shape) or expected | sizes != sizes | expected:
            raise DataMissing(
                f"{place.path}: an array of {shape}; expected the axes {axes} with "
                + ", ".join(f"{a} = {expected[a]}" for a in expected)
                + fitting_axes(shape, expected)
            )
        single = self._root.is_file()
        source = "" if single else place.name
        if place.kind == "images":
            source += f"/{place.sources()[0].name}"
        if "N" not in axes:
            return [Recording(place.name, source, array, axes, None, sizes["T"])]
        return [
            Recording(f"{i}" if single else f"{place.name}/{i}", source, array, axes, i, sizes["T"])
            for i in range(sizes["N"])
        ]

    def shared(self) -> dict[SplitName, list[Recording]]:
        """Recordings of each split; those too short for a clip are not used.

        Raises:
            DataMissing: a list is absent, names what is not there, or names it twice; or names of
                folders and files do not say which split each is of.
        """
        return self._share(self.recordings())

    def _share(self, recordings: list[Recording]) -> dict[SplitName, list[Recording]]:
        shared: dict[SplitName, list[Recording]] = {}
        if recordings and not self._usable(recordings):
            raise DataMissing(
                f"{self._root}: no recording has {self.clip.frames} frames; give it longer ones, "
                "or fewer frames"
            )
        if self.lists is not None:
            shared = listed(recordings, self._lists(self.lists))
        elif self.split_by == "names":
            shared = share_by_name(recordings, self._root, self.val_share)
        if not shared:
            shared = share_in_order(self._usable(recordings), self._root, self.shares)
        return {name: self._usable(each) for name, each in shared.items()}

    def _usable(self, recordings: Sequence[Recording]) -> list[Recording]:
        return [each for each in recordings if each.frames >= self.clip.frames]

    def _warn(self, places: Sequence[Place], recordings: Sequence[Recording]) -> None:
        """Says which recordings are too short, and which images have gaps between them."""
        short = [f"{each.name} ({each.frames})" for each in recordings if not self._usable([each])]
        if short:
            log.warning(
                "%s: %d of %d recordings have fewer than %d frames and are not used: %s",
                *(self._root, len(short), len(recordings), self.clip.frames),
                _few(short),
            )
        leaps = [
            f"{place.name} ({leap})"
            for place in places
            if place.kind == "images" and (leap := gaps(place.sources()))
        ]
        if leaps:
            log.warning(
                "%s: numbers of images leap in %s; each folder is read as one recording without a "
                "gap: give every part a folder of its own if it is none",
                *(self._root, _few(leaps)),
            )

    def files(self) -> tuple[DataFile, ...]:
        """Every file of the recordings, and the lists."""
        files = []
        for place in places_in(self._root):
            if place.kind == "npy":
                look = functools.partial(self._inspect, place)
                files.append(DataFile(place.path, held="own", inspect=look))
            else:
                files += [DataFile(path, held="own") for path in place.sources()]
        if self.lists is not None:
            advice = "expected a name of a recording a line"
            paths = self._lists(self.lists).values()
            files += [DataFile(path, held="own", advice=advice) for path in paths]
        return tuple(files)

    def _inspect(self, place: Place, _path: Path) -> None:
        self._recordings_of(place)

    @staticmethod
    def _lists(folder: str) -> dict[SplitName, Path]:
        place = data_folder() / from_home(folder)
        return {name: place / f"{name}.txt" for name in SPLITS}

    def unpack(self) -> None:
        """Unpacks and decodes; checks shapes, ranges and splits.

        Raises:
            DataMissing: naming the first file that does not fit.
        """
        places = places_in(self._root)
        for place in places:
            make_ready(place, self._reading)
        recordings = self.recordings()
        self._warn(places, recordings)
        shared = self._share(recordings)
        for name in SPLITS:
            self._windows(name, shared[name])
        for array in sorted({recording.array for recording in recordings}):
            check_range(array, self._range)


def _few(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")


def listed(
    recordings: Sequence[Recording], lists: dict[SplitName, Path]
) -> dict[SplitName, list[Recording]]:
    """Recordings as three lists of names share them out."""
    by_name = {recording.name: recording for recording in recordings}
    seen: dict[str, str] = {}
    shared: dict[SplitName, list[Recording]] = {}
    for split, path in lists.items():
        text = read_text(path, expected="expected a name of a recording a line")
        names = [line.strip() for line in text.splitlines() if line.strip()]
        for name in names:
            if name not in by_name:
                raise DataMissing(f"{path}: no recording '{name}'; one is '{next(iter(by_name))}'")
            if name in seen:
                raise DataMissing(f"{path}: '{name}' is in {seen[name]} too; expected it once")
            seen[name] = path.name
        shared[split] = [by_name[name] for name in names]
    return shared
