"""One file out of a zip or tar."""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchbench.atomic import replacing
from benchbench.errors import DataMissing


def extract(archive: Path, member: str, to: Path) -> None:
    """Unpacks one file of a zip or tar, found by the end of its name.

    Raises:
        DataMissing: it is no archive, or has no such file.
    """
    try:
        with (
            _opened(archive, member) as source,
            replacing(to) as temporary,
            temporary.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataMissing(f"gave no zip or tar that can be read ({error})") from None


@contextlib.contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield zipped.open(_find(zipped.namelist(), member))
    else:
        with tarfile.open(archive) as tarred:
            name = _find(tarred.getnames(), member)
            source = tarred.extractfile(name)
            if source is None:
                raise DataMissing(f"'{name}' in the archive is no file")
            yield source


def _find(names: list[str], member: str) -> str:
    for name in names:
        if name == member or name.endswith(f"/{member}"):
            return name
    raise DataMissing(f"the archive holds no '{member}'; it holds {', '.join(names[:8])}")
