"""Seals: what a run's files were when they were written. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchbench.digest import file_digest


@dataclass(frozen=True)
class Seal:
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str

    def fault(self, path: Path, *, whole: bool) -> str:
        """How the file at a path differs, empty if it does not.

        Its size is compared first, and its content too if `whole`.

        Raises:
            OSError: the file system does not give it.
        """
        if not path.is_file():
            return "not there" if not path.exists() else "not a file"
        if (size := path.stat().st_size) != self.bytes:
            return f"{size:,} bytes, {self.bytes:,} when it was written"
        if whole and (now := file_digest(path)) != self.sha256:
            return f"its sha256 is {now[:12]}…, {self.sha256[:12]}… when it was written"
        return ""


def seal(folder: Path, names: Iterable[str]) -> dict[str, Seal]:
    """The seals of files in a folder, by name."""
    paths = {name: folder / name for name in names}
    return {name: Seal(path.stat().st_size, file_digest(path)) for name, path in paths.items()}
