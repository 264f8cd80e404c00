"""Array files as they are published: idx, npy and npz; headers looked at, bodies mapped."""

from __future__ import annotations

import functools
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.data.archive import open_unpacked
from benchbench.data.copies import copy_place, make_copy
from benchbench.data.digests import Stamp, stamp
from benchbench.data.npy import inspect_npy, map_npy, open_npz
from benchbench.data.opening import parsing, plain
from benchbench.errors import DataMissing

IDX_IMAGES = 0x00000803
EXPECTED_IDX = "expected an idx3 file of square uint8 images"


def inspect_idx(path: Path, *, md5: str | None = None) -> None:
    """Looks whether an idx file, packed or not, holds whole square images.

    With `md5`, that of the unpacked content, whether it holds the very ones that were published:
    packing the same images again gives another file.

    Raises:
        DataMissing: it does not.
    """
    content = _idx_content(path)
    actual = hashlib.md5(content, usedforsecurity=False).hexdigest()
    _parse_idx(path, content)
    if md5 is not None and actual != md5:
        raise DataMissing(
            f"{path}: the md5 of its unpacked content is {actual}, of the published one {md5}; "
            "delete it and prepare again"
        )


def idx_images(path: Path) -> NDArray[np.uint8]:
    """The images of an idx file as it is now, (N, side, side), kept in memory.

    Raises:
        DataMissing: it is no idx file of whole square images.
    """
    try:
        return _idx_images(path, stamp(path))
    except FileNotFoundError:
        raise DataMissing(f"{path}: no such file; {EXPECTED_IDX}") from None


@functools.lru_cache(maxsize=4)
def _idx_images(path: Path, _: Stamp) -> NDArray[np.uint8]:
    return _parse_idx(path, _idx_content(path))


def _idx_content(path: Path) -> bytes:
    with parsing(path, "truncated or damaged", EXPECTED_IDX), open_unpacked(path) as content:
        return content.read()


def _parse_idx(path: Path, content: bytes) -> NDArray[np.uint8]:
    if len(content) < 16:
        raise DataMissing(f"{path}: only {len(content)} bytes; {EXPECTED_IDX}")
    magic, count, rows, columns = struct.unpack(">4I", content[:16])
    if magic != IDX_IMAGES:
        raise DataMissing(f"{path}: starts with {magic:#010x}; {EXPECTED_IDX} ({IDX_IMAGES:#010x})")
    if rows != columns or not rows or not count:
        raise DataMissing(f"{path}: {count} images of {rows}x{columns}; {EXPECTED_IDX}")
    if len(content) != 16 + count * rows * columns:
        raise DataMissing(
            f"{path}: {len(content)} bytes, truncated or too long; its header announces "
            f"{count} images of {rows}x{columns}, {16 + count * rows * columns} bytes"
        )
    return np.frombuffer(content, np.uint8, offset=16).reshape(count, rows, columns)


def mapped(path: Path) -> NDArray[Any]:
    """An npy file, mapped into memory and read where it is looked at; as it is now.

    Raises:
        DataMissing: it is not there.
    """
    try:
        now = stamp(path)
    except FileNotFoundError:
        raise DataMissing(f"{path}: no such file; prepare the dataset first") from None
    return _mapped(path, now)


@functools.lru_cache(maxsize=64)
def _mapped(path: Path, _: Stamp) -> NDArray[Any]:
    return map_npy(path)


def inspect_npz(path: Path, *, keys: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in an npz file that has all of `keys`.

    Raises:
        DataMissing: it is no npz file, truncated, or lacks one.
    """
    with open_npz(path) as npz:
        shapes = {name: header.shape for name, header in npz.headers.items()}
    if lacking := [key for key in keys if key not in shapes]:
        raise DataMissing(
            f"{path}: lacks {', '.join(lacking)}; expected the arrays {', '.join(keys)}, "
            f"not {plain(*shapes) or 'none'}"
        )
    return shapes


def unpacked(path: Path, key: str) -> Path:
    """Where one array of an npz file lies unpacked, so that it can be mapped.

    Its key is in the digest only: it may be `../../x`.
    """
    return copy_place([path], f"npz {key}", "array.npy")


def unpack(path: Path, key: str) -> None:
    """Unpacks one array of an npz file into the data folder, once."""

    def write(to: Path) -> None:
        with open_npz(path) as npz:
            npz.copy(key, to)
        inspect_npy(to)

    make_copy(unpacked(path, key), write)
