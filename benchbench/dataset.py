"""Dataset and Split: where clips come from.

A clip is (T, C, H, W), float32 in [0, 1]: the context frames, then the frames to predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.folder import data_folder as data_folder

if TYPE_CHECKING:
    from benchbench.data.download import DataFile

SplitName = Literal["train", "val", "test"]


class Split(torch.utils.data.Dataset[Tensor]):
    """Clips by index; the same index gives the same clip in every process.

    Args:
        clip_at: index to (T, C, H, W), float32 in [0, 1]; a pure function of the index.
        length: how many clips there are; None for training sets that never repeat a clip, whose
            index may be any non-negative integer.
        id_of: index to the name of the clip, as stored beside its scores.
    """

    def __init__(
        self,
        clip_at: Callable[[int], Tensor],
        length: int | None,
        *,
        id_of: Callable[[int], str] = str,
    ) -> None:
        self.clip_at = clip_at
        self.length = length
        self.id_of = id_of

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("an endless split has no length")
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        if self.length is not None and not 0 <= index < self.length:
            raise IndexError(index)
        return self.clip_at(index)


class Dataset(Protocol):
    """A named source of clips with three splits that share nothing."""

    @property
    def clip(self) -> Clip:
        """The shape of every clip."""

    def split(self, name: SplitName) -> Split:
        """The clips of one split; cheap to pickle, files are opened where they are read."""

    def prepare(self, watch: Callable[[str, int, int], None] = ..., /) -> None:
        """Downloads or generates what is missing, once; safe to repeat and to run twice at once.

        `watch` is told how it goes on: name of the file, bytes so far, bytes in all or 0.

        Raises:
            DataMissing: a file cannot be had; the message says what to put where.
        """

    def check(self) -> None:
        """Looks, without downloading, whether `prepare` can succeed offline or has; quick.

        Raises:
            DataMissing: a file is absent and has no download, or is not the one expected.
        """

    def files(self) -> Sequence[DataFile]:
        """All the files that it reads."""

    def fingerprint(self) -> dict[str, Any]:
        """Its passport: what the numbers depend on, as JSON holds it; see `passport.py`.

        Raises:
            DataMissing: it is not prepared.
        """
