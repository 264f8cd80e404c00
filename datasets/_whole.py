"""Whether a video or animation is whole: decoders play what is left of a cut one without a word."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from benchbench.data.opening import open_file, parsing, require_file

BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""How an MP4 or a QuickTime film begins."""
CUT = "it ends before its end: {} of {} bytes are there"


def require_whole(path: Path) -> None:
    """Asks that a GIF, MP4, Matroska or AVI be as long as its own parts announce.

    Raises:
        DataMissing: it is cut.
    """
    size = require_file(path)
    with parsing(path, "truncated or damaged", "get it again"), open_file(path) as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"GIF8":
            _end_of_gif(file)
            return
        end = 0
        if head[4:8] in BOXES:
            end = _end_of_boxes(file, size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _end_of_segment(file)
        elif head[:4] == b"RIFF":
            end = 8 + struct.unpack("<I", head[4:8])[0]
        if end > size:
            raise EOFError(CUT.format(size, end))


def _end_of_gif(file: IO[bytes]) -> None:
    """Goes through the blocks of a GIF to its trailer."""
    flags = _exactly(file, 13)[10]
    _skip_colours(file, flags)
    while (mark := _exactly(file, 1)) != b";":
        if mark == b"!":
            _exactly(file, 1)
        elif mark == b",":
            _skip_colours(file, _exactly(file, 9)[8])
            _exactly(file, 1)
        else:
            continue
        while length := _exactly(file, 1)[0]:
            _exactly(file, length)


def _skip_colours(file: IO[bytes], flags: int) -> None:
    if flags & 0x80:
        _exactly(file, 3 << ((flags & 7) + 1))


def _exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError("it ends before its trailer")
    return content


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """Where the last box of an MP4 ends."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        (length,) = struct.unpack(">I", file.read(4))
        if length == 1:
            file.seek(place + 8)
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:  # up to the end of the file
            return size
        if length < 8:
            raise ValueError(f"a box of {length} bytes")
        place += length
    return place


def _end_of_segment(file: IO[bytes]) -> int:
    """Where the segment of a Matroska file ends; 0 where it says none."""
    _exactly(file, 4)
    file.seek(_length(file) or 0, 1)
    if _exactly(file, 4) != b"\x18\x53\x80\x67":
        return 0
    length = _length(file)
    return 0 if length is None else file.tell() + length


def _length(file: IO[bytes]) -> int | None:
    """A length whose leading zeros say how many bytes it has; None where it is not known."""
    first = _exactly(file, 1)[0]
    more = 8 - first.bit_length()
    value = int.from_bytes(bytes([first & (0xFF >> (more + 1))]) + _exactly(file, more), "big")
    return None if value == (1 << (7 * (more + 1))) - 1 else value
