"""SHA-256 of files and of plain values, in hex. No torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, read to its end."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def values_digest(values: Any) -> str:
    """The SHA-256 of plain values as canonical JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
