"""Whatever is in an archive, array, picture or checkpoint: it is read as it is, or one sentence.

Real files are cut, flipped and spliced, headers announce anything, names lead anywhere.
"""

from __future__ import annotations

import io
import logging
import struct
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchbench.data.archive import extract
from benchbench.data.npy import map_npy, open_npz
from benchbench.datasets._arrays import idx_images
from benchbench.datasets._hdf5 import read_h5
from benchbench.datasets._pictures import decode
from benchbench.datasets._places import Place
from benchbench.errors import BenchError
from benchbench.scoring.arrays import read as read_frames
from benchbench.weights.files import read as read_weights

SECONDS = 10.0
"""Longest time that one file may take."""
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)

bounded = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def saved(save: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def zipped(file: Any) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/inner.bin", FRAMES.tobytes())


def tarred(file: Any, packing: str) -> None:
    with tarfile.open(fileobj=file, mode=f"w:{packing}") as archive:
        entry = tarfile.TarInfo("a/inner.bin")
        entry.size = FRAMES.nbytes
        archive.addfile(entry, io.BytesIO(FRAMES.tobytes()))


def animated(file: Any) -> None:
    first, *others = map(Image.fromarray, FRAMES)
    first.save(file, "GIF", save_all=True, append_images=others)


def hdf5(file: Any) -> None:
    with h5py.File(file, "w") as stored:
        stored.create_dataset("x", data=FRAMES, compression="gzip")


SOUND: dict[str, bytes] = {
    "x.zip": saved(zipped),
    "x.tar": saved(lambda file: tarred(file, "")),
    "x.tgz": saved(lambda file: tarred(file, "gz")),
    "x.txz": saved(lambda file: tarred(file, "xz")),
    "x.tbz": saved(lambda file: tarred(file, "bz2")),
    "x.npy": saved(lambda file: np.save(file, FRAMES)),
    "x.npz": saved(lambda file: np.savez_compressed(file, x=FRAMES)),
    "x.idx": struct.pack(">4I", 0x803, *FRAMES.shape) + FRAMES.tobytes(),
    "x.gif": saved(animated),
    "x.png": saved(lambda file: Image.fromarray(FRAMES[0]).save(file, "PNG")),
    "x.h5": saved(hdf5),
    "x.pt": saved(lambda file: torch.save({"w": torch.zeros(3)}, file)),
    "x.ckpt": saved(
        lambda file: torch.save(
            {"w": torch.zeros(3)}, file, _use_new_zipfile_serialization=False
        )
    ),
}  # fmt: skip


def read_npz(path: Path) -> None:
    with open_npz(path) as npz:
        for number, name in enumerate(npz.headers):
            npz.read(name)
            npz.copy(name, path.parent / f"{number}.npy")


def read_picture(path: Path) -> None:
    kind: Any = "video" if path.suffix == ".gif" else "images"
    place = Place(path if kind == "video" else path.parent, kind, "x")
    list(decode(place, (1, 8, 8), resize=True))


READERS: dict[str, Callable[[Path], object]] = {
    **dict.fromkeys(
        ("x.zip", "x.tar", "x.tgz", "x.txz", "x.tbz"),
        lambda path: extract(path, "inner.bin", path.parent / "out.bin"),
    ),
    "x.npy": map_npy,
    "x.npz": read_npz,
    "x.idx": idx_images,
    "x.gif": read_picture,
    "x.png": read_picture,
    "x.h5": lambda path: read_h5(path, None),
    "x.pt": read_weights,
    "x.ckpt": read_weights,
}


@contextmanager
def nothing_outside() -> Iterator[Path]:
    """A folder three levels down, beside whose parents nothing new may lie."""
    with tempfile.TemporaryDirectory() as root:
        inside = Path(root) / "a" / "b" / "c"
        inside.mkdir(parents=True)
        yield inside
        outside = [path for path in Path(root).rglob("*") if not path.is_relative_to(inside)]
        assert sorted(outside) == [Path(root) / "a", Path(root) / "a" / "b"]


def is_read_or_told(read: Callable[[Path], object], content: bytes, name: str) -> None:
    """Asks that a reader give what is there, or say in one sentence what is wrong, and soon."""
    logging.disable(logging.CRITICAL)
    start = time.monotonic()
    with nothing_outside() as folder:
        (folder / name).write_bytes(content)
        try:
            read(folder / name)
            sentence = ""
        except BenchError as error:
            sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 2000
    assert time.monotonic() - start < SECONDS
    logging.disable(logging.NOTSET)


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few edits of a file: a byte, a cut, a run of one byte, a piece of it elsewhere."""
    edits = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["byte", "cut", "run", "splice", "number"]),
                st.floats(0, 1, exclude_max=True),
                st.binary(min_size=1, max_size=9),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def edit(content: bytes) -> bytes:
        for kind, part, piece in edits:
            place = int(part * len(content))
            head, tail = content[:place], content[place:]
            if kind == "byte":
                content = head + piece[:1] + tail[1:]
            elif kind == "cut":
                content = head
            elif kind == "run":
                content = head + piece[:1] * 40 + tail[40:]
            elif kind == "splice":
                content = head + content[: len(piece) * 20] + tail
            else:
                content = head + piece + tail[len(piece) :]
        return content

    return edit


@pytest.mark.parametrize("name", SOUND)
def test_a_damaged_file_is_read_or_told(name: str) -> None:
    @bounded
    @given(damage())
    def reads(edit: Callable[[bytes], bytes]) -> None:
        is_read_or_told(READERS[name], edit(SOUND[name]), name)

    is_read_or_told(READERS[name], SOUND[name], name)
    reads()


@pytest.mark.parametrize("name", SOUND)
def test_any_bytes_are_read_or_told(name: str) -> None:
    @settings(bounded, max_examples=15)
    @given(st.binary(max_size=200), st.integers(0, 24))
    def reads(content: bytes, magic: int) -> None:
        is_read_or_told(READERS[name], SOUND[name][:magic] + content, name)

    reads()


numbers = st.one_of(
    st.integers(-2, 5), st.sampled_from([2**20, 2**31, 2**60, 2**64, 10**300, True, 1.5, "x", None])
)
headers = st.fixed_dictionaries(
    {
        "descr": st.sampled_from(["|u1", "<f4", "|O", "<U3", ">c16", "<M8[s]", "x", "", 3, "|V0"])
        | st.just([("a", "<f4", (2,))]),
        "fortran_order": st.sampled_from([True, False, 0, "no"]),
        "shape": st.lists(numbers, max_size=40).map(tuple) | numbers,
    }
).map(repr) | st.text(st.characters(max_codepoint=255), max_size=80)


@bounded
@given(headers, st.sampled_from([1, 2, 3, 9]), st.integers(0, 90))
def test_an_array_whose_header_announces_anything_is_read_or_told(
    header: str, version: int, size: int
) -> None:
    text = header.encode("utf-8")
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    npy = b"\x93NUMPY" + bytes([version, 0]) + length + text + bytes(size)
    is_read_or_told(map_npy, npy, "x.npy")
    is_read_or_told(lambda path: read_frames(str(path)), npy, "x.npy")

    def hold(file: Any) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.npy", npy)

    is_read_or_told(read_npz, saved(hold), "x.npz")
    is_read_or_told(read_weights, saved(hold), "x.npz")


names = st.lists(
    st.sampled_from(["..", ".", "", "a", "inner.bin", "~", "C:", "\\", "é", "\n", "x" * 300]),
    min_size=1,
    max_size=5,
).map("/".join)


@bounded
@given(
    st.lists(st.tuples(names, st.sampled_from([b"0", b"1", b"2", b"3", b"5", b"6"]), names)),
    st.sampled_from(["", "gz"]),
)
def test_a_tar_of_any_names_and_links_writes_one_file_or_none(
    entries: list[tuple[str, bytes, str]], packing: str
) -> None:
    def fill(file: Any) -> None:
        with tarfile.open(fileobj=file, mode=f"w:{packing}") as archive:
            for name, kind, link in entries:
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, link
                entry.size = 3 if kind == b"0" else 0
                archive.addfile(entry, io.BytesIO(b"abc"))

    is_read_or_told(READERS["x.tar"], saved(fill), "x.tar")


@bounded
@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(st.lists(names, max_size=4))
def test_a_zip_of_any_names_writes_one_file_or_none(members: list[str]) -> None:
    def fill(file: Any) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name in members:
                archive.writestr(f"{name}.npy", SOUND["x.npy"])

    is_read_or_told(READERS["x.zip"], saved(fill), "x.zip")
    is_read_or_told(read_npz, saved(fill), "x.npz")
