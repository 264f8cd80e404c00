"""A person's own recordings, made ready to be mapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from benchbench.atomic import replacing
from benchbench.data.copies import copy_place, make_copy
from benchbench.data.npy import inspect_npy
from benchbench.errors import DataMissing

from ._arrays import inspect_npz, unpack, unpacked
from ._places import Place


@dataclass(frozen=True)
class Reading:
    """How frames are read from places that are not arrays."""

    frame: tuple[int, int, int]
    """(C, H, W)"""
    resize: bool
    key: str | None
    """Which array of an npz or h5 file; needed where there are several."""


def ready(place: Place, reading: Reading) -> Path:
    """Where the array of a place lies as npy, once `make_ready` has been called."""
    if place.kind == "npy":
        return place.path
    if place.kind == "npz":
        return unpacked(place.path, _key(place.path, reading.key))
    how = f"{place.kind} {place.path.suffix.lower()} {reading}"
    return copy_place(place.sources(), how, "frames.npy")


def make_ready(place: Place, reading: Reading) -> None:
    """Unpacks or decodes a place into the data folder, once.

    Raises:
        DataMissing: it cannot be read, or its frames have another size.
    """

    def write(to: Path) -> None:
        if place.kind == "h5":
            array = _read_h5(place.path, reading.key)
        else:
            array = np.stack(list(_decode(place, reading)))
        with replacing(to) as temporary, temporary.open("wb") as file:
            np.save(file, array)

    if place.kind == "npy":
        inspect_npy(place.path)
    elif place.kind == "npz":
        unpack(place.path, _key(place.path, reading.key))
    else:
        make_copy(ready(place, reading), write)


def _key(path: Path, key: str | None) -> str:
    shapes = inspect_npz(path, keys=(key,) if key else ())
    if key is None and len(shapes) != 1:
        raise DataMissing(f"{path}: holds {', '.join(shapes)}; name one as 'key'")
    return key or next(iter(shapes))


def _read_h5(path: Path, key: str | None) -> NDArray[Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            keys = [name for name in file if isinstance(file[name], h5py.Dataset)]
            if key is None and len(keys) != 1:
                raise DataMissing(f"{path}: holds {', '.join(keys)}; name one as 'key'")
            if key is not None and key not in keys:
                raise DataMissing(f"{path}: holds no '{key}' but {', '.join(keys)}")
            array: NDArray[Any] = file[key or keys[0]][:]
            return array
    except OSError as error:
        raise DataMissing(f"{path}: truncated or no HDF5 file ({error})") from None


def _decode(place: Place, reading: Reading) -> Iterator[NDArray[np.uint8]]:
    """Frames (C, H, W) of a video or a folder of images."""
    try:
        if place.kind == "images":
            for path in place.sources():
                with Image.open(path) as image:
                    yield _fit(image, reading, path)
        elif place.path.suffix.lower() == ".gif":
            with Image.open(place.path) as animation:
                for picture in ImageSequence.Iterator(animation):
                    yield _fit(picture, reading, place.path)
        else:
            import av

            with av.open(place.path) as container:
                for frame in container.decode(video=0):
                    rgb = frame.to_ndarray(format="rgb24")
                    yield _fit(Image.fromarray(rgb), reading, place.path)
    except DataMissing:
        raise
    except (OSError, ValueError) as error:  # PyAV's errors are one of the two
        raise DataMissing(f"{place.path}: cannot be read ({error})") from None


def _fit(image: Image.Image, reading: Reading, path: Path) -> NDArray[np.uint8]:
    channels, height, width = reading.frame
    if image.mode[0] in "IF":  # I, I;16, F: more than 8 bits a channel
        raise DataMissing(f"{path}: expected images of 8 bits, not of Pillow's mode {image.mode}")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        if not reading.resize:
            raise DataMissing(
                f"{path}: expected frames of {height}x{width}, not "
                f"{image.size[1]}x{image.size[0]}; give its size, or resize: true"
            )
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)
