"""Tiny files in the layout of the published ones, in a data folder of their own."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import struct
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from benchbench.datasets import moving_fashion_mnist, moving_mnist

NOWHERE = "http://127.0.0.1:9/x"
CLIPS = 6
"""Clips in the small stand-in for an official test file."""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder


def idx(count: int, *, side: int = 28, seed: int = 0) -> bytes:
    """An idx file of images, each of its own grey."""
    images = np.random.default_rng(seed).integers(1, 256, (count, side, side), np.uint8)
    return struct.pack(">4I", 0x803, count, side, side) + images.tobytes()


def sequences(clips: int = CLIPS, *, dtype: type = np.uint8) -> Any:
    return np.random.default_rng(1).integers(0, 256, (20, clips, 64, 64)).astype(dtype)


@pytest.fixture
def moving_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both Moving MNISTs with 50 images and 6 test clips, which the code takes for published."""
    for dataset in (moving_mnist.MovingMNIST, moving_fashion_mnist.MovingFashionMNIST):
        published = dataset.published
        folder = data / published.folder
        folder.mkdir()
        content = idx(50)
        (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
        first, second = published.images
        images = (dataclasses.replace(first, md5=hashlib.md5(content).hexdigest()), second)
        official = published.sequences
        np.save(folder / official.name, sequences())
        clips = dataclasses.replace(official, digest=None, count=CLIPS, urls=(NOWHERE,))
        stand_in = dataclasses.replace(published, images=images, sequences=clips)
        monkeypatch.setattr(dataset, "published", stand_in)
    return data / "moving_mnist"


def days(first: str, count: int) -> list[str]:
    start = date(int(first[:4]), int(first[4:6]), int(first[6:]))
    return [f"{start + timedelta(days=i):%Y%m%d}" for i in range(count)]


def write_h5(path: Path, dates: list[str], *, frame: tuple[int, ...] = (2, 32, 32)) -> Any:
    """One raw year: values that tell their place, some of them negative."""
    rng = np.random.default_rng([int(d) for d in dates[:1]])
    values = rng.integers(-5, 1200, (len(dates), *frame)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["date"] = np.array([d.encode() for d in dates])
        file["data"] = values
    return values


def slots(day: str, which: range = range(1, 49)) -> list[str]:
    return [f"{day}{slot:02}" for slot in which]


@pytest.fixture
def taxi_files(data: Path) -> Path:
    """Four raw years of two whole days each; BJ14 lacks the day between, BJ15 a half hour."""
    folder = data / "taxibj"
    plans: dict[str, list[str]] = {
        "BJ13": [s for d in days("20130701", 2) for s in slots(d)],
        "BJ14": [s for d in ("20140301", "20140303") for s in slots(d)],
        "BJ15": [*slots("20150301"), *slots("20150302", range(1, 20)), *slots("20150303")],
        "BJ16": [s for d in days("20160101", 2) for s in slots(d)],
    }
    for year, dates in plans.items():
        write_h5(folder / f"{year}_M32x32_T30_InOut.h5", dates)
    return folder


@pytest.fixture
def own_clips(data: Path) -> Path:
    """An array file of 10 clips of 6 frames of 1x8x8."""
    path = data / "mine.npy"
    rng = np.random.default_rng(3)
    np.save(path, rng.integers(0, 256, (10, 6, 1, 8, 8)).astype(np.uint8))
    return path


Build = Callable[..., Any]
