"""HDF5 files of others: their own arrays of numbers, within a limit."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from benchbench.data.npy import NO_NUMBERS
from benchbench.data.opening import parsing, plain, require_file, require_size
from benchbench.errors import DataMissing

if TYPE_CHECKING:
    import h5py


@contextlib.contextmanager
def open_h5(path: Path, expected: str = "get it again") -> Iterator[h5py.File]:
    """An HDF5 file whose arrays all lie in it and unpack to no more than a limit.

    Raises:
        DataMissing: it is none, damaged where it is read, or too large.
    """
    import h5py

    size = require_file(path)
    with parsing(path, "truncated or no HDF5 file", expected), h5py.File(path, "r") as file:
        for name in file:
            where = f"{path}: '{plain(name)}'"
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise DataMissing(f"{where} is a link; expected all arrays in the file")
            array = file[name]
            if isinstance(array, h5py.Dataset):
                if array.external or array.is_virtual:
                    raise DataMissing(f"{where} lies in other files; copy it into one")
                unpacked = math.prod(array.shape or ()) * array.dtype.itemsize
                require_size(where, packed=size, unpacked=unpacked)
        yield file


def read_h5(path: Path, key: str | None) -> NDArray[Any]:
    """The array of a key, or the only one.

    Raises:
        DataMissing: there is none, or it is not of numbers.
    """
    import h5py

    with open_h5(path) as file:
        keys = [name for name in file if isinstance(file[name], h5py.Dataset)]
        if key is None and len(keys) != 1:
            raise DataMissing(f"{path}: holds {plain(*keys) or 'none'}; name one as 'key'")
        if key is not None and key not in keys:
            raise DataMissing(f"{path}: holds no '{key}' but {plain(*keys) or 'no array'}")
        dataset = file[key or keys[0]]
        if dataset.shape is None or dataset.dtype.kind in NO_NUMBERS:
            kind = NO_NUMBERS.get(dataset.dtype.kind, "nothing")
            raise DataMissing(f"{path}: expected an array of numbers, not of {kind}")
        array: NDArray[Any] = dataset[()]
        return array
