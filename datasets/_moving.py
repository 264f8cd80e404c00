"""Moving images: generated from idx files, or read from the files published for comparison."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchbench.clip import Clip
from benchbench.data.download import DataFile, Watch, silent
from benchbench.data.passport import fingerprint
from benchbench.dataset import Split, SplitName, data_folder
from benchbench.errors import DataMissing, OptionError

from ._arrays import idx_images, inspect_idx, inspect_npz, mapped, unpack, unpacked
from ._bouncing import GENERATOR, Bouncing, Images, Naming, check_options
from ._sequences import (
    EXTENT,
    FRAMES,
    Numbered,
    Slices,
    TimeMajor,
    inspect_clips,
    inspect_sequences,
)

TestFrom = Literal["official", "generated"]
SIDE = 28


@dataclass(frozen=True)
class Idx:
    """A published file of images."""

    name: str
    urls: tuple[str, ...]
    md5: str
    """Of the unpacked content."""


@dataclass(frozen=True)
class Sequences:
    """A published file of test clips, (20, N, 64, 64)."""

    name: str
    urls: tuple[str, ...]
    digest: str | None
    member: str | None = None
    count: int = 10_000


@dataclass(frozen=True)
class Published:
    """What the datasets of this family differ in."""

    name: str
    version: int
    images: tuple[Idx, ...]
    """The first is the source of training clips unless another is asked for."""
    sequences: Sequences


@dataclass(frozen=True)
class MovingImages:
    """A dataset of this family, for one choice of options."""

    published: Published
    clip: Clip
    digits: int
    train: int | None
    val: int
    test: int
    test_from: TestFrom
    source: str | None
    train_npz: str | None
    test_npz: str | None
    seed: int

    def __post_init__(self) -> None:
        size = self.clip.height
        check_options(size=size, digit_size=SIDE, smallest=SIDE, seed=self.seed)
        if self.train_npz is not None and self.train_npz == self.test_npz:
            raise OptionError(test_npz="expected another file than train_npz")
        if self.train_npz is not None and self.train is not None:
            raise OptionError(train="expected nothing, as train_npz gives the clips")
        if self.test_from == "generated" and self.test_npz is not None:
            raise OptionError(test_npz="expected nothing where test_from is 'generated'")
        if self.test_from == "official" and self.test_npz is None:
            self._fits_official()

    def _fits_official(self) -> None:
        also = f"use {EXTENT}, or test_from: generated"
        if self.clip.height != EXTENT:
            raise OptionError(size=f"the official test clips have {EXTENT} pixels; {also}")
        if self.clip.frames > FRAMES:
            raise OptionError(
                horizon=f"the official test clips have {FRAMES} frames, not {self.clip.frames}; "
                "use fewer, or test_from: generated"
            )
        if self.digits != 2:
            raise OptionError(
                digits=f"the official test clips have 2, not {self.digits}; "
                "use 2, or test_from: generated"
            )
        if self.test > self.published.sequences.count:
            raise OptionError(
                test=f"there are {self.published.sequences.count} official clips, not {self.test}"
            )

    def split(self, name: SplitName) -> Split:
        """Generated clips, or those of a published file."""
        if name == "test" and self.test_npz is not None:
            return self._slices(self.test_npz, 0, min(self.test, self._length(self.test_npz)))
        if name == "test" and self.test_from == "official":
            path = self._sequences().path
            return Split(TimeMajor(path, self.clip.frames), self.test, id_of=Numbered(path.stem))
        if name != "test" and self.train_npz is not None:
            length = self._length(self.train_npz)
            fitted = length - self.val
            if fitted < 1:
                raise DataMissing(f"{self.train_npz}: {length} clips; expected more than val")
            span = (0, fitted) if name == "train" else (fitted, self.val)
            return self._slices(self.train_npz, *span)
        share = functools.partial(images_of, self._source().path, name, self._shares())
        clip_at = Bouncing(share, name, self.seed, self.digits, self.clip)
        length_of: int | None = getattr(self, name)
        return Split(clip_at, length_of, id_of=Naming(name, self.seed))

    def _shares(self) -> int:
        """How many tenths of the images are kept from training."""
        return 2 if self.test_from == "generated" else 1

    def _length(self, npz: str) -> int:
        return int(mapped(unpacked(self._place(npz), "clips")).shape[1])

    def _slices(self, npz: str, first: int, length: int) -> Split:
        path = self._place(npz)
        clip_at = Slices(path, first, self.clip)
        return Split(clip_at, length, id_of=Numbered(path.stem, first))

    def _place(self, name: str) -> Path:
        """A path as given, or below the dataset's place in the data folder."""
        return data_folder() / self.published.name / Path(name).expanduser()

    def _source(self) -> DataFile:
        """The idx file of images; one that lies there unpacked serves as well."""
        wanted = self.source or self.published.images[0].name
        path = self._place(wanted)
        for idx in self.published.images:
            if idx.name == wanted:
                look = functools.partial(inspect_idx, md5=idx.md5)
                plain = path.with_suffix("")
                if plain.exists() and not path.exists():
                    path = plain
                advice = f"get {idx.urls[0]} and put it there"
                return DataFile(path, idx.urls, advice=advice, inspect=look, held="content")
        advice = f"give a path, or a name in {path.parent}, as 'source'"
        return DataFile(path, advice=advice, inspect=inspect_idx, held="own")

    def _sequences(self) -> DataFile:
        wanted = self.published.sequences
        what = f"it holds {wanted.count} clips, {wanted.count * FRAMES * EXTENT**2 / 1e6:.0f} MB"
        return DataFile(
            self._place(wanted.name),
            wanted.urls,
            wanted.digest,
            member=wanted.member,
            advice=f"get {wanted.urls[0]} and put it there ({what})",
            inspect=functools.partial(inspect_sequences, count=wanted.count),
        )

    def _npz(self, name: str) -> DataFile:
        advice = "expected an .npz file of the PredRNN project: clips, dims, input_raw_data"
        look = functools.partial(inspect_clips, clip=self.clip)
        return DataFile(self._place(name), advice=advice, inspect=look, held="own")

    def files(self) -> tuple[DataFile, ...]:
        """Those that the options ask for."""
        found = [self._npz(name) for name in (self.train_npz, self.test_npz) if name is not None]
        if self.train_npz is None or self.test_from == "generated":
            found.append(self._source())
        if self.test_from == "official" and self.test_npz is None:
            found.append(self._sequences())
        return tuple(found)

    def check(self) -> None:
        """Looks at the form of the files that are there.

        Raises:
            DataMissing: naming all that is absent or wrong.
        """
        _all(self.files(), DataFile.check)

    def prepare(self, watch: Watch = silent, /) -> None:
        """Downloads what is absent, checks checksums, unpacks npz files.

        Raises:
            DataMissing: naming all that cannot be had or is wrong.
        """
        _all(self.files(), lambda file: file.prepare(watch))
        for name in (self.train_npz, self.test_npz):
            if name is not None:
                path = self._place(name)
                for key in inspect_npz(path, keys=("clips", "input_raw_data")):
                    if key in ("clips", "input_raw_data", "output_raw_data"):
                        unpack(path, key)

    def fingerprint(self) -> dict[str, Any]:
        """Its passport."""
        published = self.published
        return fingerprint(
            published.name,
            published.version,
            self,
            files=self.files(),
            generator=GENERATOR,
            notes={"test_from": self.test_npz or self.test_from},
        )


def _all(files: tuple[DataFile, ...], action: Callable[[DataFile], None]) -> None:
    faults = []
    for file in files:
        try:
            action(file)
        except DataMissing as error:
            faults.append(str(error))
    if faults:
        raise DataMissing("\n".join(faults))


@functools.lru_cache(maxsize=8)
def images_of(path: Path, split: SplitName, shares: int) -> Images:
    """The images of a split: of ten shares, drawn once and for all, one is validation's.

    With `shares` of 2 another is the test's; with 1 the test's is training's.
    """
    images = idx_images(path)
    order = np.argsort(np.random.Philox(key=0).random_raw(len(images)))
    tenth = len(images) // 10
    first, last = {
        "val": (0, tenth),
        "test": (tenth, 2 * tenth),
        "train": (shares * tenth, len(images)),
    }[split]
    return images[np.sort(order[first:last])]
