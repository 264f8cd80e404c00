"""Array files as they are published: idx, npy and npz; headers looked at, bodies mapped."""

from __future__ import annotations

import functools
import gzip
import hashlib
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.atomic import replacing
from benchbench.errors import DataMissing
from benchbench.folder import data_folder

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


@functools.lru_cache(maxsize=4)
def idx_images(path: Path) -> NDArray[np.uint8]:
    """The images of an idx file, (N, side, side), kept in memory.

    Raises:
        DataMissing: it is no idx file of whole square images.
    """
    return _parse_idx(path, _idx_content(path))


def _idx_content(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        return gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except FileNotFoundError:
        raise DataMissing(f"{path}: no such file; {EXPECTED_IDX}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataMissing(f"{path}: truncated or damaged ({error}); {EXPECTED_IDX}") from None


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


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an npy file, read up to the end of its header.

    Raises:
        ValueError: it is no npy file.
    """
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"npy version {version}")
    shape, _, dtype = read(file)
    return shape, dtype


def inspect_npy(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an npy file whose length is the one its header announces.

    Raises:
        DataMissing: it is no npy file, or truncated.
    """
    with path.open("rb") as file:
        try:
            shape, dtype = npy_header(file)
        except (ValueError, EOFError) as error:
            raise DataMissing(f"{path}: expected an npy file ({error})") from None
        start = file.tell()
    if dtype.hasobject:
        raise DataMissing(f"{path}: expected an array of numbers, not of Python objects")
    announced = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    size = path.stat().st_size
    if size != announced:
        raise DataMissing(
            f"{path}: {size} bytes, truncated or too long; its header announces "
            f"{shape} of {dtype}, {announced} bytes"
        )
    return shape, dtype


@functools.lru_cache(maxsize=64)
def mapped(path: Path) -> NDArray[Any]:
    """An npy file, mapped into memory and read where it is looked at.

    Raises:
        DataMissing: it is not there.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataMissing(f"{path}: no such file; prepare the dataset first") from None
    return array


def inspect_npz(path: Path, *, keys: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in an npz file that has all of `keys`.

    Raises:
        DataMissing: it is no npz file, truncated, or lacks one.
    """
    shapes = {}
    try:
        with zipfile.ZipFile(path) as zipped:
            for name in zipped.namelist():
                if name.endswith(".npy"):
                    with zipped.open(name) as file:
                        shapes[name.removesuffix(".npy")], _ = npy_header(file)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise DataMissing(
            f"{path}: truncated or no npz file ({error}); expected the arrays {', '.join(keys)}"
        ) from None
    if lacking := [key for key in keys if key not in shapes]:
        raise DataMissing(
            f"{path}: lacks {', '.join(lacking)}; expected the arrays {', '.join(keys)}, "
            f"not {', '.join(shapes) or 'none'}"
        )
    return shapes


def unpacked(path: Path, key: str) -> Path:
    """Where one array of an npz file lies unpacked, so that it can be mapped."""
    stat = path.stat()
    mark = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    short = hashlib.sha256(mark.encode()).hexdigest()[:12]
    return data_folder() / "unpacked" / f"{path.stem}-{short}" / f"{key}.npy"


def unpack(path: Path, key: str) -> None:
    """Unpacks one array of an npz file into the data folder, once."""
    to = unpacked(path, key)
    if to.exists():
        return
    try:
        with (
            zipfile.ZipFile(path) as zipped,
            zipped.open(f"{key}.npy") as source,
            replacing(to) as temporary,
            temporary.open("wb") as target,
        ):
            while block := source.read(1 << 20):
                target.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataMissing(f"{path}: damaged ({error}); get it again") from None
    inspect_npy(to)
