"""Dataset and Split: where clips come from.

A clip is (T, C, H, W), float32 in [0, 1]: the context frames, then the frames to predict. Neither
needs torch before a clip is made, so that suites are planned without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from benchbench.clip import Clip
from benchbench.errors import DataMissing

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.data.download import DataFile, Watch

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

SHOWN = 10
"""At most this many missing or wrong files are told at once."""


class Split(ABC):
    """Clips by index; the same index gives the same clip in every process.

    Cheap to pickle: files are opened where a clip is read. torch's loaders take it as it is.
    """

    length: int | None
    """How many clips there are; None for training sets that never repeat a clip, whose index may
    be any non-negative integer."""

    @abstractmethod
    def clip(self, index: int) -> Tensor:
        """The clip of an index, (T, C, H, W), float32 in [0, 1]; a pure function of the index."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The name under which a clip's scores are stored; no other clip of the dataset has it."""

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("an endless split has no length")
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        if self.length is not None and not 0 <= index < self.length:
            raise IndexError(index)
        return self.clip(index)


class Dataset(ABC):
    """A source of clips with three splits that share nothing.

    To be written are `clip`, `split` and `files`; `unpack` and `notes` where they are needed.
    """

    clip: Clip
    """The shape of every clip."""
    training_options: tuple[str, ...] = ()
    """Options that change training and validation clips only; a suite's model may override them."""

    @abstractmethod
    def split(self, name: SplitName) -> Split:
        """The clips of one split of a prepared dataset."""

    @abstractmethod
    def files(self) -> Sequence[DataFile]:
        """All the files that the clips are read from; none where they are computed.

        What they hold is the data's part of a run's key.
        """

    def unpack(self) -> None:  # noqa: B027  (most datasets have nothing to unpack)
        """Makes the files, once they are there, ready to be read; safe to repeat.

        Raises:
            DataMissing: what they hold does not fit.
        """

    def notes(self) -> dict[str, Any]:
        """Further facts that decide the numbers, such as fitted extremes, for the passport.

        `validates_on_training`, where it is true, is told below tables.
        """
        return {}

    def check(self) -> None:
        """Looks, without downloading, whether `prepare` can succeed offline or has; quick.

        Raises:
            DataMissing: with one line for each file that is absent and has no download, or is not
                the one expected.
        """
        _attempt_all(file.check for file in self.files())

    def prepare(self, watch: Watch = lambda *_: None) -> None:
        """Downloads and unpacks what is missing, once; safe to repeat and to run twice at once.

        Args:
            watch: told how a download goes on: name of the file, bytes so far, bytes in all or 0.

        Raises:
            DataMissing: with one line for each file that cannot be had; it says what to put where.
        """
        self.check()
        _attempt_all(partial(file.prepare, watch) for file in self.files())
        self.unpack()


def prepare(datasets: Iterable[Dataset], watch: Watch = lambda *_: None) -> None:
    """Prepares every dataset; all that cannot be had is told at once.

    Raises:
        DataMissing: with the messages of each dataset.
    """
    _attempt_all(partial(dataset.prepare, watch) for dataset in datasets)


def _attempt_all(actions: Iterable[Callable[[], None]]) -> None:
    """Does every action, then raises what was missing in one message."""
    faults: list[str] = []
    for action in actions:
        try:
            action()
        except DataMissing as error:
            if str(error) not in faults:
                faults.append(str(error))
    if len(faults) > SHOWN:
        faults[SHOWN:] = [f"and {len(faults) - SHOWN} more"]
    if faults:
        raise DataMissing("\n".join(faults))
