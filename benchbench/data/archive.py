"""One file out of a zip or tar."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchbench.atomic import replacing
from benchbench.errors import DataMissing

# what reading a damaged archive raises, by its kind and compression
_FAULTS = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


def extract(archive: Path, member: str, to: Path) -> None:
    """Unpacks one file of a zip or tar, found by the end of its name.

    Raises:
        DataMissing: it is no archive, or has no such file.
    """
    try:
        with (
            replacing(to) as temporary,
            _opened(archive, member) as source,
            temporary.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
    except (*_FAULTS, EOFError) as error:
        raise DataMissing(f"gave no zip or tar that can be read ({error})") from None


@contextlib.contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with (
            zipfile.ZipFile(archive) as zipped,
            zipped.open(_find(zipped.namelist(), member)) as source,
        ):
            yield source
    else:
        with tarfile.open(archive) as tarred:
            name = _find(tarred.getnames(), member)
            unpacked = tarred.extractfile(name)
            if unpacked is None:
                raise DataMissing(f"'{name}' in the archive is no file")
            yield unpacked
            while tarred.fileobj and tarred.fileobj.read(1 << 20):
                pass  # the checksum of the whole is at its end


def _find(names: list[str], member: str) -> str:
    for name in names:
        if name == member or name.endswith(f"/{member}"):
            return name
    raise DataMissing(f"the archive holds no '{member}'; it holds {', '.join(names[:8])}")
