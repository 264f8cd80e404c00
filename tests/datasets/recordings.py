"""A person's own recordings for tests: laid out below a folder, and read as `clips`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchbench.registry import build_dataset


def lay_out(root: Path, names: list[str]) -> None:
    """Recordings of three frames, each in a file of its own value, counted from 1."""
    for number, name in enumerate(names, start=1):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((3, 1, 8, 8), number, np.uint8))


def build_own(path: str, **options: Any) -> Any:
    """The prepared dataset of clips of three frames of 8x8."""
    frame = {"frame": [1, 8, 8], "context": 2, "horizon": 1, "axes": "TCHW"}
    dataset = build_dataset("clips", path=path, **{**frame, **options})
    dataset.check()
    dataset.prepare()
    return dataset
