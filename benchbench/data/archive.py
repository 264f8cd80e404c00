"""Archives of others, read to their checksums: zip, and tar in any packing.

Only what is asked for is unpacked, under a name of ours: no name in an archive is ever a path.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from benchbench.atomic import replacing
from benchbench.data.opening import open_file, parsing, plain, require_file, require_size
from benchbench.errors import DataMissing

PACKINGS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
}
"""How the streams of a packed file begin, and what unpacks one of them."""
BLOCK = 1 << 12
"""Packed bytes at a time: few, since each may unpack to twenty thousand."""
ZIP = b"PK"
END, END_BYTES = b"PK\x05\x06", 22
"""The last record of a zip; behind it is only a comment, whose length it says."""


class Unpacked(io.RawIOBase):
    """The content of a file, packed by gzip, bzip2 or xz, or as it is.

    It ends only where every checksum was right, and at a limit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packed = require_file(path)
        self.passed = 0
        self._blocks = self._inflate()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """True: there is nothing else to do with it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, as many as are at hand."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self.passed += len(block)
            require_size(self.path, packed=self.packed, unpacked=self.passed)
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _inflate(self) -> Iterator[bytes]:
        with open_file(self.path) as file:
            head = file.read(max(map(len, PACKINGS)))
            file.seek(0)
            start = next((new for magic, new in PACKINGS.items() if head.startswith(magic)), None)
            if start is None:
                yield from iter(lambda: file.read(1 << 20), b"")
                return
            stream = start()
            while block := file.read(BLOCK):
                while block:
                    if stream is None:  # streams may follow one another, and zeros fill up
                        block = block.lstrip(b"\0")
                        stream = start() if block else None
                        continue
                    yield stream.decompress(block)
                    block, stream = (stream.unused_data, None) if stream.eof else (b"", stream)
            if stream is not None:
                raise EOFError("it ends before its checksum")


def open_unpacked(path: Path) -> IO[bytes]:
    """The content of a file, whatever packs it, buffered."""
    return io.BufferedReader(Unpacked(path), 1 << 16)


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip whose members have one meaning each and unpack to no more than a limit.

    Raises:
        DataMissing: it is none, or one that is cut, encrypted, ambiguous or far too large.
    """
    with open_file(path) as file, zipfile.ZipFile(file) as zipped:
        file.seek(-END_BYTES - len(zipped.comment), io.SEEK_END)
        if not file.read(END_BYTES).startswith(END):
            raise zipfile.BadZipFile("bytes follow its end")
        members = zipped.infolist()
        _require_single(path, [member.filename for member in members])
        size = sum(member.file_size for member in members)
        require_size(path, packed=require_file(path), unpacked=size)
        if locked := [member.filename for member in members if member.flag_bits & 1]:
            raise DataMissing(
                f"{path}: '{plain(locked[0])}' in it is encrypted; unpack it yourself"
            )
        yield zipped


def extract(archive: Path, member: str, to: Path) -> None:
    """Unpacks one file of a zip or tar, identified by the end of its name.

    Raises:
        DataMissing: it is no archive, damaged anywhere up to its checksums, or has no such file.
    """
    with open_file(archive) as file:
        unpack = _extract_zip if file.read(len(ZIP)) == ZIP else _extract_tar
    with (
        parsing(archive, "gave no zip or tar that can be read", "get it again"),
        replacing(to) as temporary,
        temporary.open("wb") as target,
    ):
        unpack(archive, member, target)


def _extract_zip(archive: Path, member: str, target: IO[bytes]) -> None:
    with open_zip(archive) as zipped:
        name = _find(archive, zipped.namelist(), member)
        with zipped.open(name) as source:
            shutil.copyfileobj(source, target, 1 << 20)


def _extract_tar(archive: Path, member: str, target: IO[bytes]) -> None:
    names = []
    with (
        open_unpacked(archive) as content,
        tarfile.open(fileobj=content, mode="r|", errorlevel=2) as tarred,
    ):
        for entry in tarred:
            names.append(entry.name)
            if _ends(entry.name, member):
                source = tarred.extractfile(entry) if entry.isreg() else None
                if source is None:
                    kind = "a folder" if entry.isdir() else "a link, a device or a pipe"
                    raise DataMissing(
                        f"{archive}: '{plain(entry.name)}' in it is {kind}, not a file"
                    )
                shutil.copyfileobj(source, target, 1 << 20)
        while block := content.read(1 << 20):  # the checksum of the whole is at its end
            if block.strip(b"\0"):
                raise tarfile.ReadError("bytes follow its end")
    _require_single(archive, [name for name in names if _ends(name, member)])
    _find(archive, names, member)


def _ends(name: str, member: str) -> bool:
    return name == member or name.endswith(f"/{member}")


def _find(archive: Path, names: list[str], member: str) -> str:
    matches = [name for name in names if _ends(name, member)]
    if len(matches) > 1:
        raise DataMissing(f"{archive}: holds {plain(*matches)}; expected one '{member}'")
    if not matches:
        others = plain(*names) or "nothing"
        raise DataMissing(f"{archive}: the archive holds no '{member}'; it holds {others}")
    return matches[0]


def _require_single(path: Path, names: list[str]) -> None:
    """Asks that no name stand twice, since readers differ in which of the two they take."""
    if doubled := [name for name, count in Counter(names).items() if count > 1]:
        raise DataMissing(f"{path}: holds '{plain(doubled[0])}' twice; expected each name once")
