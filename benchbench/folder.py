"""The folder of data; imports nothing heavy, so that downloads need no torch."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Where downloaded data lies: `$BENCH_DATA`, or `benchbench` in the user's cache folder."""
    if folder := os.environ.get("BENCH_DATA"):
        return Path(folder).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "benchbench"
