"""TaxiBJ as the OpenSTL project distributes it: `dataset.npz`, windows of 4 + 4 frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchbench.clip import Clip
from benchbench.data.copies import require_copy
from benchbench.data.download import DataFile
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.errors import DataMissing, OptionError
from benchbench.folder import data_folder

from ._arrays import inspect_npz, mapped, unpack, unpacked

if TYPE_CHECKING:
    from torch import Tensor

KEYS = ("X_train", "Y_train", "X_test", "Y_test")
HALF = 4
"""Frames of X, and of Y."""
URL = "https://github.com/chengtan9907/OpenSTL/releases/download/v0.1.0/taxibj_dataset.zip"

ValFrom = Literal["kept", "training"]
Stored = Literal["oldest_first", "newest_first", "unknown"]


@dataclass(frozen=True)
class OpenSTLTaxiBJ(Dataset):
    """OpenSTL's file; no checksum was published, so it is trusted when first seen."""

    clip: Clip
    order: Literal["forward", "as_published"]
    val: int
    test: int | None
    val_from: ValFrom = "kept"

    training_options = ("val", "val_from")

    def __post_init__(self) -> None:
        for name, frames in (("context", self.clip.context), ("horizon", self.clip.horizon)):
            if frames != HALF:
                raise OptionError({name: f"OpenSTL's file has {HALF} frames, not {frames}"})

    @property
    def _path(self) -> Path:
        return data_folder() / "taxibj" / "dataset.npz"

    def files(self) -> tuple[DataFile, ...]:
        """The one file."""
        return (
            DataFile(
                self._path,
                (URL,),
                member="dataset.npz",
                advice=f"get {URL}, unpack it and put dataset.npz there",
                inspect=self._inspect,
            ),
        )

    def _inspect(self, path: Path) -> None:
        shapes = inspect_npz(path, keys=KEYS)
        frame = (HALF, self.clip.channels, self.clip.height, self.clip.width)
        for part in ("train", "test"):
            count = shapes[f"X_{part}"][0]
            for key in (f"X_{part}", f"Y_{part}"):
                if shapes[key] != (count, *frame):
                    raise DataMissing(
                        f"{path}: expected {key} of {(count, *frame)}, not {shapes[key]}"
                    )
        if self.test is not None and shapes["X_test"][0] < self.test:
            raise DataMissing(f"{path}: {shapes['X_test'][0]} test clips; asked for {self.test}")
        if shapes["X_train"][0] <= self.val + self.clip.frames:
            raise DataMissing(f"{path}: {shapes['X_train'][0]} training clips; val is {self.val}")

    def unpack(self) -> None:
        """Unpacks the arrays, so that they can be mapped.

        Raises:
            DataMissing: which way time runs in them cannot be told.
        """
        for key in KEYS:
            unpack(self._path, key)
        if self.order == "forward":
            self._must_turn()

    def split(self, name: SplitName) -> Split:
        """Clips in the file's order; validation is the end of its training clips.

        As many clips as a window is long, less one, are dropped between training and validation:
        neighbouring windows of the file overlap. None is where validation is of training.
        """
        part: Literal["train", "test"] = "test" if name == "test" else "train"
        total = len(self._array(f"X_{part}"))
        first, length = 0, self.test or total
        if name == "train":
            kept = self.val_from == "kept"
            length = total - self.val - self.clip.frames + 1 if kept else total
        elif name == "val":
            first, length = total - self.val, self.val
        turn = self.order == "forward" and self._must_turn()
        halves = tuple(require_copy(unpacked(self._path, f"{half}_{part}")) for half in "XY")
        return Halves(halves, part, first, length, turn)

    def _array(self, key: str) -> NDArray[np.float32]:
        return mapped(require_copy(unpacked(self._path, key)))

    def stored(self) -> Stored:
        """Which frame comes first in a clip of the file, told from its neighbours' overlap."""
        return stored_order(self._array("X_test"), self._array("Y_test"))

    def _must_turn(self) -> bool:
        stored = self.stored()
        if stored == "unknown":
            raise DataMissing(
                f"{self._path}: neighbouring test clips do not overlap, so which way time runs in "
                "them cannot be told; use order: as_published to take them as they are"
            )
        return stored == "newest_first"

    def notes(self) -> dict[str, Any]:
        """Which way time runs in the clips and in the file."""
        return {
            "order": self.order,
            "stored": self.stored(),
            "source": "openstl",
            "validates_on_training": self.val_from == "training",
        }


def stored_order(context: NDArray[np.float32], target: NDArray[np.float32]) -> Stored:
    """Whether clips, cut one frame apart and kept in time, have their oldest frame first.

    Where most neighbours overlap one way and not the other, that way is the answer. That the
    clips themselves follow one another forwards in time is assumed.
    """
    some = np.concatenate([context[:200], target[:200]], axis=1)
    here, following = some[:-1], some[1:]
    shifts = {
        "oldest_first": (here[:, 1:] == following[:, :-1]),
        "newest_first": (here[:, :-1] == following[:, 1:]),
    }
    shares = {way: float(equal.all(axis=(1, 2, 3, 4)).mean()) for way, equal in shifts.items()}
    if shares["oldest_first"] > 0.5 > shares["newest_first"]:
        return "oldest_first"
    if shares["newest_first"] > 0.5 > shares["oldest_first"]:
        return "newest_first"
    return "unknown"


@dataclass(frozen=True)
class Halves(Split):
    """Clips of the file, each in two halves; its [-1, 1] becomes [0, 1]."""

    halves: tuple[Path, ...]
    """The arrays of the first and of the last frames."""
    part: Literal["train", "test"]
    first: int
    length: int
    turn: bool

    def clip(self, index: int) -> Tensor:
        import torch

        halves = [mapped(half)[self.first + index] for half in self.halves]
        frames = (np.concatenate(halves).astype(np.float32) + 1) / 2
        if self.turn:
            frames = frames[::-1].copy()
        return torch.from_numpy(np.clip(frames, 0, 1))

    def name(self, index: int) -> str:
        return f"openstl-{self.part}-{self.first + index}"
