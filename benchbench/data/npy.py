"""Arrays of numpy, npy and npz: headers looked at before anything is read, no pickle ever run."""

from __future__ import annotations

import ast
import contextlib
import math
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchbench.atomic import replacing
from benchbench.data.archive import open_zip
from benchbench.data.opening import open_file, parsing, plain, require_file
from benchbench.errors import DataMissing

MAGIC = b"\x93NUMPY"
LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
"""How each version of the format writes the length of its header."""
HEADER_BYTES = 10_000
AXES = 32
"""Numpy has no more."""
NO_NUMBERS = {
    "O": "Python objects, which are never unpickled",
    "S": "bytes",
    "U": "text",
    "V": "records",
    "M": "dates",
    "m": "spans of time",
    "c": "complex numbers",
}
AGAIN = "get it or make it again"


@dataclass(frozen=True)
class Header:
    """What an npy file announces."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    start: int
    """Bytes of the header."""

    @property
    def bytes(self) -> int:
        """Size of the whole file."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def require(self, where: Path | str, size: int) -> None:
        """Asks for numbers, and for a file of so many bytes.

        Raises:
            DataMissing: it announces something else.
        """
        if self.dtype.kind in NO_NUMBERS:
            content = NO_NUMBERS[self.dtype.kind]
            raise DataMissing(f"{where}: expected an array of numbers, not of {content}")
        if size != self.bytes:
            raise DataMissing(
                f"{where}: {size} bytes, truncated or too long; its header announces "
                f"{self.shape} of {self.dtype}, {self.bytes} bytes"
            )


def read_header(file: IO[bytes]) -> Header:
    """What an npy file announces, read up to the end of its header.

    Raises:
        ValueError: it is no npy file; Python's parser raises other errors too.
    """
    magic, version = file.read(len(MAGIC)), file.read(2)
    if magic != MAGIC or version[0] not in LENGTHS:
        raise ValueError("it does not start as one, in version 1 to 3")
    size = struct.calcsize(LENGTHS[version[0]])
    (length,) = struct.unpack(LENGTHS[version[0]], file.read(size))
    text = file.read(min(length, HEADER_BYTES)).decode("utf-8" if version[0] == 3 else "latin1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is no good Python
        fields = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", text))  # Python 2 wrote 10L
        dtype = np.lib.format.descr_to_dtype(fields["descr"])
    shape = fields["shape"]
    if not all(type(extent) is int and extent >= 0 for extent in shape) or len(shape) > AXES:
        raise ValueError(f"a shape of {str(shape)[:60]}")
    start = len(MAGIC) + len(version) + size + length
    return Header(tuple(shape), dtype, "F" if fields["fortran_order"] is True else "C", start)


def inspect_npy(path: Path) -> Header:
    """The header of an npy file of numbers, whose length is the one it announces.

    Raises:
        DataMissing: it is no npy file, or truncated.
    """
    with parsing(path, "not an array of numpy", "expected an npy file"), open_file(path) as file:
        header = read_header(file)
    header.require(path, require_file(path))
    return header


def map_npy(path: Path) -> NDArray[Any]:
    """An npy file, mapped into memory and read where it is looked at.

    Raises:
        DataMissing: it is no npy file of numbers, or truncated.
    """
    header = inspect_npy(path)
    if header.bytes == header.start:  # nothing cannot be mapped
        return np.empty(header.shape, header.dtype)
    with parsing(path, "cannot be mapped", AGAIN):
        return np.memmap(path, header.dtype, "r", header.start, header.shape, header.order)


@dataclass(frozen=True)
class Npz:
    """An open npz file."""

    path: Path
    zipped: zipfile.ZipFile
    headers: dict[str, Header]

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """One of its npy files, as it lies there, once what it announces is its length."""
        info = self.zipped.getinfo(f"{name}.npy")
        self.headers[name].require(f"{self.path}: '{plain(name)}'", info.file_size)
        with (
            parsing(self.path, f"'{plain(name)}' is damaged", AGAIN),
            self.zipped.open(info) as file,
        ):
            yield file

    def read(self, name: str) -> NDArray[Any]:
        """One of its arrays, in memory."""
        header = self.headers[name]
        with self.open(name) as file:
            content = file.read()
        flat = np.frombuffer(bytearray(content), header.dtype, offset=header.start)
        return flat.reshape(header.shape, order=header.order)

    def copy(self, name: str, to: Path) -> None:
        """Unpacks one of its arrays to an npy file, whole or not at all."""
        with self.open(name) as source, replacing(to) as temporary, temporary.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[Npz]:
    """An npz file with the headers of all its arrays.

    Raises:
        DataMissing: it is none, damaged, or unpacks to far more than its size.
    """
    with contextlib.ExitStack() as stack:
        with parsing(path, "truncated or no npz file", "expected arrays of numpy.savez"):
            zipped = stack.enter_context(open_zip(path))
        headers = {}
        for member in zipped.namelist():
            if member.endswith(".npy"):
                name = member.removesuffix(".npy")
                with (
                    parsing(path, f"'{plain(name)}' is damaged", AGAIN),
                    zipped.open(member) as file,
                ):
                    headers[name] = read_header(file)
        yield Npz(path, zipped, headers)
