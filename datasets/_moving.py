"""Moving images: generated from idx files, or read from the files published for comparison."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from benchbench.clip import Clip
from benchbench.data.copies import require_copy
from benchbench.data.digests import Stamp, stamp
from benchbench.data.download import DataFile
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.errors import DataMissing, OptionError
from benchbench.folder import data_folder, from_home
from benchbench.options import Count, Location

from ._arrays import idx_images, inspect_idx, inspect_npz, mapped, unpack, unpacked
from ._bouncing import GENERATOR, Bouncing, Images, check_options
from ._sequences import EXTENT, FRAMES, Slices, TimeMajor, inspect_clips, inspect_sequences

TestFrom = Literal["official", "generated"]
ValFrom = Literal["kept", "training"]
SIDE = 28


@dataclass(frozen=True)
class Idx:
    """A published file of images."""

    name: str
    urls: tuple[str, ...]
    md5: str
    """MD5 of the unpacked content."""


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
    """The published files of a dataset of this family."""

    folder: str
    """Where they lie in the data folder."""
    images: tuple[Idx, ...]
    """The first is the source of training clips unless another is asked for."""
    sequences: Sequences


@dataclass(kw_only=True)
class MovingImages(Dataset):
    """Images that move straight and bounce off the borders; the fields are the options.

    Args:
        digits: how many move in a clip.
        size: side of the square frames, pixels.
        context: frames read.
        horizon: frames to predict.
        train: clips of a fixed training set, 10,000 in PredRNN's; null never repeats a clip.
        val: clips of the validation set.
        val_from: images of validation clips, a tenth `kept` from training, or those of `training`,
            which then has all of them, as in the references.
        test: clips of the test set.
        test_from: the published `official` file, or `generated` from a further tenth of the images.
        source: another idx file of images, by name in the dataset's folder or by path.
        train_npz: training clips of the PredRNN project; its last `val` clips are validation's,
            of `training` too if val_from says so; the file does not tell which images they show.
        test_npz: test clips of the PredRNN project, of which the first `test` are tested.
        seed: of the generator.
    """

    published: ClassVar[Published]
    training_options = ("train", "train_npz", "val", "val_from")
    clip: Clip = field(init=False)
    digits: Count = 2
    size: Count = 64
    context: Count = 10
    horizon: Count = 10
    train: Count | None = None
    val: Count = 1000
    val_from: ValFrom = "kept"
    test: Count = 10_000
    test_from: TestFrom
    source: Location | None = None
    train_npz: Location | None = None
    test_npz: Location | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.clip = Clip(1, self.size, self.size, self.context, self.horizon)
        check_options(size=self.size, digit_size=SIDE, smallest=SIDE, seed=self.seed)
        if self.train_npz is not None and self.train_npz == self.test_npz:
            raise OptionError(test_npz="expected another file than train_npz")
        if self.train_npz is not None and self.train is not None:
            raise OptionError(train="expected nothing, as train_npz gives the clips")
        if self.test_from == "generated" and self.test_npz is not None:
            raise OptionError(test_npz="expected nothing where test_from is 'generated'")
        if self._tests_official:
            self._require_official_form()

    @property
    def _tests_official(self) -> bool:
        return self.test_from == "official" and self.test_npz is None

    def _require_official_form(self) -> None:
        count, frames = self.published.sequences.count, self.clip.frames
        other = "or test_from: generated"
        if self.size != EXTENT:
            raise OptionError(
                size=f"the official clips have {EXTENT} pixels; use {EXTENT}, {other}"
            )
        if frames > FRAMES:
            raise OptionError(
                horizon=f"the official clips have {FRAMES} frames, not {frames}; use fewer, {other}"
            )
        if self.digits != 2:
            raise OptionError(
                digits=f"the official clips have 2, not {self.digits}; use 2, {other}"
            )
        if self.test > count:
            raise OptionError(test=f"there are {count} official clips, not {self.test}")

    def split(self, name: SplitName) -> Split:
        """Generated clips, or those of a published file."""
        if name == "test" and self.test_npz is not None:
            return self._slices(self.test_npz, 0, min(self.test, self._count(self.test_npz)))
        if name == "test" and self._tests_official:
            return TimeMajor(self._sequences().path, self.test, self.clip.frames)
        if name != "test" and self.train_npz is not None:
            count = self._count(self.train_npz)
            fitted = count - self.val
            if fitted < 1:
                raise DataMissing(f"{self.train_npz}: {count} clips; expected more than val")
            trained = count if self.val_from == "training" else fitted
            span = (0, trained) if name == "train" else (fitted, self.val)
            return self._slices(self.train_npz, *span)
        tenths: dict[SplitName, bool] = {
            "val": self.val_from == "kept",
            "test": self.test_from == "generated",
        }
        kept = tuple(split for split, apart in tenths.items() if apart)
        images = functools.partial(images_of_split, self._source().path, name, kept)
        return Bouncing(images, name, getattr(self, name), self.seed, self.digits, self.clip)

    def _count(self, npz: str) -> int:
        return int(mapped(require_copy(unpacked(self._place(npz), "clips"))).shape[1])

    def _slices(self, npz: str, first: int, length: int) -> Split:
        return Slices.of(self._place(npz), first, length, self.clip.frames)

    def _place(self, name: str) -> Path:
        """A path as the options have it, or below the dataset's place in the data folder."""
        return data_folder() / self.published.folder / from_home(name)

    def _source(self) -> DataFile:
        """The idx file of images; one that lies there unpacked serves as well."""
        name = self.source or self.published.images[0].name
        path = self._place(name)
        for idx in self.published.images:
            if idx.name == name:
                look = functools.partial(inspect_idx, md5=idx.md5)
                plain = path.with_suffix("")
                if plain.exists() and not path.exists():
                    path = plain
                advice = f"get {idx.urls[0]} and put it there"
                return DataFile(
                    path, idx.urls, advice=advice, inspect=look, content=f"md5:{idx.md5}"
                )
        advice = f"give a path, or a name in {path.parent}, as 'source'"
        return DataFile(path, advice=advice, inspect=inspect_idx, held="own")

    def _sequences(self) -> DataFile:
        file = self.published.sequences
        content = f"it holds {file.count} clips, {file.count * FRAMES * EXTENT**2 / 1e6:.0f} MB"
        return DataFile(
            self._place(file.name),
            file.urls,
            file.digest,
            member=file.member,
            advice=f"get {file.urls[0]} and put it there ({content})",
            inspect=functools.partial(inspect_sequences, count=file.count),
        )

    def _npz(self, name: str) -> DataFile:
        advice = (
            "get it as the README of github.com/thuml/predrnn-pytorch says and put it there, or "
            "another .npz file with its arrays clips, dims, input_raw_data"
        )
        look = functools.partial(inspect_clips, clip=self.clip)
        return DataFile(self._place(name), advice=advice, inspect=look, held="own")

    def files(self) -> tuple[DataFile, ...]:
        """The files that the options ask for."""
        files = [self._npz(name) for name in (self.train_npz, self.test_npz) if name is not None]
        if self.train_npz is None or self.test_from == "generated":
            files.append(self._source())
        if self._tests_official:
            files.append(self._sequences())
        return tuple(files)

    def unpack(self) -> None:
        """Unpacks npz files, so that their arrays can be mapped."""
        for name in (self.train_npz, self.test_npz):
            if name is not None:
                path = self._place(name)
                for key in inspect_npz(path, keys=("clips", "input_raw_data")):
                    if key in ("clips", "input_raw_data", "output_raw_data"):
                        unpack(path, key)

    def notes(self) -> dict[str, Any]:
        """The generator's version, and where the validation and test clips are from."""
        return {
            "generator": GENERATOR,
            "test_from": self.test_npz or self.test_from,
            "validates_on_training": self.val_from == "training",
        }


def images_of_split(path: Path, split: SplitName, kept: tuple[SplitName, ...]) -> Images:
    """The images of a split; validation and test may each have a tenth, drawn once and for all.

    Args:
        path: the idx file.
        split: whose images.
        kept: the splits that have their part; all the others share the rest.
    """
    return _images_of_split(path, stamp(path), split, kept)


@functools.lru_cache(maxsize=8)
def _images_of_split(path: Path, _: Stamp, split: SplitName, kept: tuple[SplitName, ...]) -> Images:
    images = idx_images(path)
    order = np.argsort(np.random.Philox(key=0).random_raw(len(images)))
    tenth = len(images) // 10
    parts = {"val": order[:tenth], "test": order[tenth : 2 * tenth]}
    if split in kept:
        return images[np.sort(parts[split])]
    taken = [index for name in kept for index in parts[name]]
    rest: Images = images[np.setdiff1d(order, taken)]
    return rest
