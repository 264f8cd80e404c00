"""The folder of data; imports nothing heavy, so that downloads need no torch."""

from __future__ import annotations

import os
from pathlib import Path

from benchbench.errors import SchemaError


def data_folder() -> Path:
    """Where downloaded data lies: `$BENCH_DATA`, or `benchbench` in the user's cache folder."""
    if folder := os.environ.get("BENCH_DATA"):
        return from_home(folder)
    return from_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "benchbench"


def from_home(text: str) -> Path:
    """A path that may begin with `~`.

    Raises:
        SchemaError: there is no such user, or this one has no home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SchemaError(
            f"{text}: no home folder is known; set HOME, or write the path without ~"
        ) from None
