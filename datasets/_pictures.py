"""Frames of images, animations and videos, decoded one at a time and looked at before that."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from benchbench.data.opening import parsing, require_file, require_size
from benchbench.errors import DataMissing

from ._places import Place
from ._whole import require_whole

log = logging.getLogger(__name__)

PIXELS = 1 << 26
"""Most pixels of a frame, 8192 x 8192; a larger one is none of a clip."""
VIDEOS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,h264,mpeg,mpegts"
"""What may be in a video's file: no playlist, which would open other files and addresses."""

Frame = tuple[int, int, int]


def decode(place: Place, frame: Frame, *, resize: bool) -> Iterator[NDArray[np.uint8]]:
    """Frames (C, H, W) of a video or a folder of images.

    Args:
        place: where they are.
        frame: (C, H, W) that is expected.
        resize: whether others are scaled to it; all of a recording have one size in any case.

    Raises:
        DataMissing: one cannot be read, or is of another size or kind.
    """
    first: tuple[int, int] | None = None
    colours = set()
    for path, picture in _pictures(place):
        first = first or picture.size
        if picture.size != first:
            raise DataMissing(
                f"{path}: a frame of {_shown(picture.size)} behind one of {_shown(first)}; "
                "expected one size in a recording"
            )
        colours.add(picture.mode in ("1", "L", "LA"))
        yield _fit(picture, frame, path, resize=resize)
    if first is None:
        raise DataMissing(f"{place.path}: holds no frame; expected a video or an animation")
    if len(colours) > 1 and place.kind == "images":
        log.warning(
            "%s: some of its images are grey and some are not; all are read as %s",
            *(place.path, "grey" if frame[0] == 1 else "colours"),
        )


def _pictures(place: Place) -> Iterator[tuple[Path, Image.Image]]:
    if place.kind == "images":
        for path in place.sources():
            with _opened(path) as image:
                if image.format in ("TIFF", "PNG", "GIF") and getattr(image, "n_frames", 1) > 1:
                    raise DataMissing(f"{path}: holds several pictures; expected one an image")
                yield path, image
    elif place.path.suffix.lower() == ".gif":
        yield from _animation(place.path)
    else:
        yield from _video(place.path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image whose size has a limit, and whose checksums, where it has any, are right."""
    require_file(path)
    with parsing(path, "cannot be read", "expected an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        try:
            with Image.open(path) as image:
                _require_pixels(path, image.size)
                if image.format == "PNG":
                    image.verify()  # Pillow decodes without a look at them, and once only
            with Image.open(path) as image:
                yield image
        except Image.DecompressionBombError as error:
            raise DataMissing(f"{path}: {error}; expected {PIXELS} pixels at most") from None


def _animation(path: Path) -> Iterator[tuple[Path, Image.Image]]:
    require_whole(path)
    packed, unpacked = require_file(path), 0
    with _opened(path) as animation:
        for picture in ImageSequence.Iterator(animation):
            unpacked += 3 * picture.width * picture.height
            require_size(path, packed=packed, unpacked=unpacked)
            yield path, picture


def _video(path: Path) -> Iterator[tuple[Path, Image.Image]]:
    import av

    require_whole(path)
    limits = {"format_whitelist": VIDEOS, "protocol_whitelist": "file"}
    with (
        parsing(path, "cannot be read", "expected a video"),
        av.open(str(path), container_options=limits) as container,
    ):
        if not container.streams.video:
            raise ValueError("it has no pictures")
        for frame in container.decode(video=0):
            _require_pixels(path, (frame.width, frame.height))
            yield path, Image.fromarray(frame.to_ndarray(format="rgb24"))


def _require_pixels(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > PIXELS:
        raise DataMissing(f"{path}: a frame of {_shown(size)}; expected {PIXELS} pixels at most")


def _shown(size: tuple[int, int]) -> str:
    """Height by width."""
    return f"{size[1]}x{size[0]}"


def _fit(picture: Image.Image, frame: Frame, path: Path, *, resize: bool) -> NDArray[np.uint8]:
    channels, height, width = frame
    mode = _stored_mode(picture)
    if mode[0] in "IF" or ";16" in mode:  # more than 8 bits a channel, of which Pillow may drop 8
        raise DataMissing(f"{path}: expected images of 8 bits, not of Pillow's mode {mode}")
    with parsing(path, "cannot be read", "expected an image"):
        picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        if not resize:
            raise DataMissing(
                f"{path}: expected frames of {height}x{width}, not {_shown(picture.size)}; give "
                "its size, or resize: true"
            )
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    array = np.asarray(picture)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def _stored_mode(picture: Image.Image) -> str:
    """The mode of a picture's pixels in its file, such as RGB;16B, which it may be decoded from."""
    for tile in getattr(picture, "tile", ()):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if args and isinstance(args[0], str):
            return args[0]
    return picture.mode
