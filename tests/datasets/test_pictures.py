"""Videos, animations, images and HDF5 files that are cut, damaged, huge, or of other kinds."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
from PIL import Image

from benchbench.data import opening
from benchbench.errors import DataMissing

from .recordings import build_own


def noise(count: int, side: int = 8, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)


def gif(count: int = 3, side: int = 8) -> bytes:
    file = io.BytesIO()
    first, *others = [Image.fromarray(picture) for picture in noise(count, side)]
    first.save(file, "GIF", save_all=True, append_images=others)
    return file.getvalue()


def png(picture: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def video(kind: str) -> bytes:
    """Twelve frames; an mp4 has its index first, so that a cut one still plays."""
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "x", kind)
        return (Path(folder) / "x").read_bytes()


def write_video(path: Path, kind: str) -> None:
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    with av.open(str(path), "w", format=kind, options=options) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for picture in noise(12, 32):
            frame = av.VideoFrame.from_ndarray(np.stack([picture] * 3, -1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def three(data: Path, name: str, content: bytes, last: bytes) -> Path:
    """Three recordings, of which the last is another."""
    folder = data / "set"
    folder.mkdir()
    stem, _, suffix = name.rpartition(".")
    for place, each in zip("abc", (content, content, last), strict=True):
        (folder / f"{place}{stem}.{suffix}").write_bytes(each)
    return folder


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.gif", gif),
        ("x.mp4", lambda: video("mp4")),
        ("x.mkv", lambda: video("matroska")),
        ("x.avi", lambda: video("avi")),
    ],
)
def test_a_cut_video_is_told(data: Path, name: str, make: Callable[[], bytes], part: float) -> None:
    whole = make()
    side = 8 if name == "x.gif" else 32
    three(data, name, whole, whole[: int(len(whole) * part)])
    with pytest.raises(DataMissing, match=rf"c{name}: (truncated or damaged|cannot be read)"):
        build_own("set", frame=[1, side, side])
    (data / "set" / f"c{name}").write_bytes(whole)
    assert len(build_own("set", frame=[1, side, side]).recordings()) == 3


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def huge_png(side: int) -> bytes:
    """An image of one colour, a thousandth of its size."""
    head = chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


WHOLE = png(noise(1)[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"no image", "cannot be read"),
        (WHOLE[: len(WHOLE) // 2], "cannot be read"),
        (WHOLE[:60] + bytes([WHOLE[60] ^ 1]) + WHOLE[61:], "cannot be read"),
        (WHOLE[:20] + b"\xff" + WHOLE[21:], "cannot be read"),
        (huge_png(9000), r"9000x9000; expected 67108864 pixels at most"),
        (huge_png(1 << 20), "expected 67108864 pixels at most"),
        (png(noise(1, 9)[0]), "a frame of 9x9 behind one of 8x8; expected one size in a recording"),
    ],
)
def test_an_image_that_is_broken_or_huge_is_told(data: Path, content: bytes, message: str) -> None:
    for clip in "abc":
        (data / "set" / clip).mkdir(parents=True)
        for frame in range(3):
            (data / "set" / clip / f"{frame}.png").write_bytes(WHOLE)
    (data / "set" / "b" / "1.png").write_bytes(content)
    with pytest.raises(DataMissing, match=rf"1\.png: .*{message}"):
        build_own("set", resize=True)


def test_several_pictures_in_one_image_are_told(data: Path) -> None:
    first, *others = [Image.fromarray(picture) for picture in noise(3)]
    for clip in "abc":
        (data / "set" / clip).mkdir(parents=True)
        first.save(data / "set" / clip / "0.tif", save_all=True, append_images=others)
    with pytest.raises(DataMissing, match=r"0\.tif: holds several pictures; expected one an image"):
        build_own("set", context=1)


def test_grey_images_among_colours_are_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    for clip in "abc":
        (data / "set" / clip).mkdir(parents=True)
        for frame in range(3):
            (data / "set" / clip / f"{frame}.png").write_bytes(WHOLE)
    (data / "set" / "b" / "1.png").write_bytes(png(np.stack(noise(3), -1)))
    build_own("set", frame=[3, 8, 8])
    (warning,) = caplog.messages
    assert "b: some of its images are grey and some are not; all are read as colours" in warning


def test_an_animation_that_decodes_to_gigabytes_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UNPACKED_BYTES", 1000)
    monkeypatch.setattr(opening, "UNPACKED_RATIO", 1)
    three(data, "x.gif", gif(20, 32), gif(20, 32))
    with pytest.raises(DataMissing, match=r"ax\.gif: \d+ bytes that would unpack to \d+"):
        build_own("set", frame=[1, 32, 32])


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "x.mkv"])
def test_a_playlist_named_as_a_video_opens_nothing_else(data: Path, name: str) -> None:
    (data / "secret.mp4").write_bytes(video("mp4"))
    playlist = f"ffconcat version 1.0\nfile '{data}/secret.mp4'\n".encode()
    three(data, name, playlist, playlist)
    with pytest.raises(DataMissing, match=rf"a{name}: (cannot be read|truncated or damaged)"):
        build_own("set", frame=[3, 32, 32])


def h5(path: Path, fill: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "w") as file:
        fill(file)


def external(file: h5py.File) -> None:
    file.create_dataset("x", (3, 3, 1, 8, 8), "u1", external=[("/etc/passwd", 0, 576)])


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.create_dataset("x", (2**40, 2**10), "f4", chunks=(8, 8)),
         "would unpack to .* at most"),
        (lambda file: file.create_dataset("x", data=np.array([b"a"])), "not of bytes"),
        (lambda file: file.create_dataset("x", data=["a"]), "not of Python objects"),
        (lambda file: file.create_dataset("x", data=np.zeros(3, "f4,i4")), "not of records"),
        (lambda file: file.create_dataset("x", data=h5py.Empty("f4")), "not of nothing"),
        (lambda file: file.__setitem__("x", h5py.ExternalLink("other.h5", "y")), "is a link"),
        (lambda file: file.__setitem__("x", h5py.SoftLink("/nowhere")), "is a link"),
        (external, "lies in other files"),
        (lambda file: file.create_group("x"), "holds none; name one as 'key'"),
    ],
)  # fmt: skip
def test_an_hdf5_file_without_an_array_of_numbers_is_told(
    data: Path, fill: Callable[[h5py.File], object], message: str
) -> None:
    h5(data / "x.h5", fill)
    with pytest.raises(DataMissing, match=rf"x\.h5: .*{message}"):
        build_own("x.h5", axes="NTCHW")


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.9])
def test_a_cut_hdf5_file_is_told(data: Path, part: float) -> None:
    h5(data / "x.h5", lambda file: file.create_dataset("x", data=noise(30).reshape(10, 3, 1, 8, 8)))
    whole = (data / "x.h5").read_bytes()
    (data / "x.h5").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(DataMissing, match=r"x\.h5: truncated or no HDF5 file"):
        build_own("x.h5", axes="NTCHW")
