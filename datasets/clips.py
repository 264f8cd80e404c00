"""A person's own clips: an array file, or a folder of array files, videos or folders of images.

Arrays have the axes named by `axes`: N clips, T frames, C channels, H, W; an array without N is
one recording. Longer recordings are cut into windows, `stride` frames apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.clip import Clip
from benchbench.data.download import DataFile, Watch, silent
from benchbench.data.passport import fingerprint
from benchbench.dataset import Dataset, Split, SplitName, data_folder
from benchbench.errors import DataMissing, OptionError
from benchbench.options import Count, Counts
from benchbench.registry import register_dataset

from ._arrays import inspect_npy
from ._recordings import Place, Reading, make_ready, places_in, ready
from ._windows import Cut, Cuts, Recording, Window, check_range

VERSION = 1
NAMES: tuple[SplitName, ...] = ("train", "val", "test")


@register_dataset("clips", version=VERSION)
def clips(
    *,
    path: str,
    frame: Counts,
    context: Count,
    horizon: Count,
    axes: str = "NTCHW",
    key: str | None = None,
    values: Sequence[float] | None = None,
    resize: bool = False,
    stride: Count | None = None,
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    lists: str | None = None,
) -> Dataset:
    """A person's own clips, cut from their recordings.

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
        shares: of the recordings, in the order of their names, for train, val and test, where
            `path` has no folders of these names and `lists` is null.
        lists: folder with train.txt, val.txt and test.txt: a name relative to `path`, or the
            number of a clip, a line.
    """
    if len(frame) != 3:
        raise OptionError(frame=f"expected [channels, height, width], not {list(frame)}")
    if sorted(axes.replace("C", "", 1)) not in (sorted("NTHW"), sorted("THW")):
        raise OptionError(axes=f"expected an order of N, T, C, H, W such as NTCHW, not '{axes}'")
    if "C" not in axes and frame[0] != 1:
        raise OptionError(axes=f"'{axes}' has no C, but frame asks for {frame[0]} channels")
    if values is not None and (len(values) != 2 or not values[0] < values[1]):
        raise OptionError(values=f"expected [lowest, highest], not {list(values)}")
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise OptionError(shares=f"expected three parts that sum to 1, not {list(shares)}")
    clip = Clip(frame[0], frame[1], frame[2], context, horizon)
    return Clips(
        clip=clip,
        path=data_folder() / Path(path).expanduser(),
        axes=axes,
        reading=Reading((frame[0], frame[1], frame[2]), resize, key),
        values=None if values is None else (values[0], values[1]),
        stride=stride or clip.frames,
        shares=(shares[0], shares[1], shares[2]),
        lists=None if lists is None else data_folder() / Path(lists).expanduser(),
    )


@dataclass(frozen=True)
class Clips:
    """Somebody's recordings under one choice of options."""

    clip: Clip
    path: Path
    axes: str
    reading: Reading
    values: tuple[float, float] | None
    stride: int
    shares: tuple[float, float, float]
    lists: Path | None

    def split(self, name: SplitName) -> Split:
        """All windows of the split's recordings."""
        windows = self.windows(self.shared()[name])
        if not windows:
            raise DataMissing(
                f"{self.path}: no recording of '{name}' has {self.clip.frames} frames; "
                "give it more recordings, or fewer frames"
            )
        return Split(Cut(windows, self.clip.frames, self.values), len(windows), id_of=Cuts(windows))

    def windows(self, recordings: Sequence[Recording]) -> tuple[Window, ...]:
        """Windows of whole clips, `stride` frames apart."""
        length = self.clip.frames
        return tuple(
            Window(recording, start)
            for recording in recordings
            for start in range(0, recording.frames - length + 1, self.stride)
        )

    def recordings(self) -> list[Recording]:
        """All of them, by name.

        Raises:
            DataMissing: an array has another shape.
        """
        found: list[Recording] = []
        for place in places_in(self.path):
            found.extend(self._recordings_of(place))
        return found

    def _recordings_of(self, place: Place) -> list[Recording]:
        array = ready(place, self.reading)
        axes = "TCHW" if place.kind in ("video", "images") else self.axes
        if not array.exists():
            raise DataMissing(f"{array}: no such file; prepare the dataset first")
        shape, _ = inspect_npy(array)
        if len(shape) == len(axes) - 1 and "N" in axes:
            axes = axes.replace("N", "")
        sizes = dict(zip(axes, shape, strict=False))
        wanted = {"C": self.clip.channels, "H": self.clip.height, "W": self.clip.width}
        if len(axes) != len(shape) or any(sizes.get(a, wanted[a]) != wanted[a] for a in wanted):
            raise DataMissing(
                f"{place.path}: an array of {shape}; expected the axes {axes} with "
                + ", ".join(f"{a} = {wanted[a]}" for a in wanted)
            )
        if "N" not in axes:
            return [Recording(place.name, array, axes, None, sizes["T"])]
        single = self.path.is_file()
        return [
            Recording(f"{i}" if single else f"{place.name}/{i}", array, axes, i, sizes["T"])
            for i in range(sizes["N"])
        ]

    def shared(self) -> dict[SplitName, list[Recording]]:
        """Recordings of each split.

        Raises:
            DataMissing: a list is absent, names what is not there, or names it twice.
        """
        recordings = self.recordings()
        if self.lists is not None:
            return listed(recordings, self.lists)
        inside = {r.name.partition("/")[0] for r in recordings}
        if inside == set(NAMES):
            return {n: [r for r in recordings if r.name.startswith(f"{n}/")] for n in NAMES}
        count = len(recordings)
        if count < 3:
            raise DataMissing(
                f"{self.path}: {count} recordings; expected at least 3, one for each of "
                "train, val and test"
            )
        tested = max(1, round(count * self.shares[2]))
        validated = max(1, round(count * self.shares[1]))
        first, last = count - tested - validated, count - tested
        return {
            "train": recordings[:first],
            "val": recordings[first:last],
            "test": recordings[last:],
        }

    def files(self) -> tuple[DataFile, ...]:
        """Every file of the recordings, and the lists."""
        paths = [path for place in places_in(self.path) for path in place.sources()]
        if self.lists is not None:
            paths += [self.lists / f"{name}.txt" for name in NAMES]
        return tuple(DataFile(path, held="own") for path in paths)

    def check(self) -> None:
        """Looks whether there are files of a known kind.

        Raises:
            DataMissing: there are none.
        """
        for file in self.files():
            file.check()
        for place in places_in(self.path):
            if place.kind == "npy":
                self._recordings_of(place)

    def prepare(self, _watch: Watch = silent, /) -> None:
        """Unpacks and decodes; checks shapes, ranges and splits.

        Raises:
            DataMissing: naming the first file that does not fit.
        """
        self.check()
        for place in places_in(self.path):
            make_ready(place, self.reading)
        for name in NAMES:
            self.split(name)
        for array in sorted({recording.array for recording in self.recordings()}):
            check_range(array, self.values)

    def fingerprint(self) -> dict[str, Any]:
        """Its passport."""
        return fingerprint("clips", VERSION, self, files=self.files())


def listed(recordings: Sequence[Recording], lists: Path) -> dict[SplitName, list[Recording]]:
    """Recordings as three lists of names share them out."""
    known = {recording.name: recording for recording in recordings}
    seen: dict[str, str] = {}
    shared: dict[SplitName, list[Recording]] = {}
    for split in NAMES:
        path = lists / f"{split}.txt"
        if not path.exists():
            raise DataMissing(f"{path}: no such file; expected a name of a recording a line")
        names = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
        for name in names:
            if name not in known:
                raise DataMissing(f"{path}: no recording '{name}'; one is '{next(iter(known))}'")
            if name in seen:
                raise DataMissing(f"{path}: '{name}' is in {seen[name]} too; expected it once")
            seen[name] = path.name
        shared[split] = [known[name] for name in names]
    return shared
