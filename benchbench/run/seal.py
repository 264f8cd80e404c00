"""Seals: what a run's files were when they were written. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = 1 << 20


@dataclass(frozen=True)
class Seal:
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str

    def fault(self, path: Path, *, whole: bool) -> str:
        """How the file at a path differs, empty if it does not.

        Its size is compared first, and its content too if `whole`.
        """
        try:
            if not path.is_file():
                return "not there" if not path.exists() else "not a file"
            if (size := path.stat().st_size) != self.bytes:
                return f"{size:,} bytes, {self.bytes:,} when it was written"
            if whole and (now := sha256(path)) != self.sha256:
                return f"its sha256 is {now[:12]}…, {self.sha256[:12]}… when it was written"
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return ""


def seal(folder: Path, names: Iterable[str]) -> dict[str, Seal]:
    """The seals of files in a folder, by name."""
    return {name: Seal((folder / name).stat().st_size, sha256(folder / name)) for name in names}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest(values: Mapping[str, Any]) -> str:
    """The SHA-256 of plain values as canonical JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
