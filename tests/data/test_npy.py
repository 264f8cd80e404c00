"""Arrays of numpy: what is no array of numbers, or announces too much."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.data import opening
from benchbench.data.npy import inspect_npy, map_npy, open_npz
from benchbench.errors import DataMissing

OBJECT: Any = [{"a": 1}]


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def announcing(shape: str, descr: str = "'<f4'") -> bytes:
    """The header of an npy file, and 64 bytes of content."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.array(["a", "b"])), "expected an array of numbers, not of text"),
        (npy(np.array([b"a"])), "expected an array of numbers, not of bytes"),
        (npy(np.zeros(3, "f4,i4")), "expected an array of numbers, not of records"),
        (npy(np.array(OBJECT)), "not of Python objects, which are never unpickled"),
        (npy(np.zeros(3, complex)), "expected an array of numbers, not of complex numbers"),
        (npy(np.zeros(3, "M8[s]")), "expected an array of numbers, not of dates"),
        (npy(np.zeros(3))[:-1], "151 bytes, truncated or too long; its header announces"),
        (npy(np.zeros(3)) + b"x", "153 bytes, truncated or too long; its header announces"),
        (announcing(f"({2**60},)"), f"truncated or too long; .* {4 * 2**60 + 85} bytes"),
        (announcing(f"({2**60}, {2**60})"), "truncated or too long"),
        (announcing("(-4, -4)"), r"not an array of numpy \(a shape of \(-4, -4\)\)"),
        (announcing("(16,)", "'<f4', 'descr': 3"), "not an array of numpy"),
        (announcing("(" * 90 + "1" + ")" * 90), "not an array of numpy|truncated"),
        (b"", "not an array of numpy"),
        (b"\x80\x04N.", "not an array of numpy"),
        (b"\x93NUMPY\x09\x00", "not an array of numpy .*version"),
    ],
)
def test_what_is_no_whole_array_of_numbers_is_told(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    for read in (inspect_npy, map_npy):
        with pytest.raises(DataMissing, match=rf"x\.npy: .*{message}"):
            read(tmp_path / "x.npy")


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (2, 3), ()])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_shape_are_mapped_as_numpy_reads_them(
    shape: tuple[int, ...], order: Any, tmp_path: Path
) -> None:
    array = np.asarray(np.random.default_rng(0).random(shape), order=order)
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(map_npy(tmp_path / "x.npy"), array)
    np.savez_compressed(tmp_path / "x.npz", x=array)
    with open_npz(tmp_path / "x.npz") as npz:
        np.testing.assert_array_equal(npz.read("x"), array)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a pipe"),
        (os.mkdir, "a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
)
def test_what_is_no_regular_file_is_told_at_once(make: Any, kind: str, tmp_path: Path) -> None:
    make(tmp_path / "x.npy")
    with pytest.raises(DataMissing, match=rf"x\.npy: {kind}"):
        map_npy(tmp_path / "x.npy")


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    np.save(tmp_path / "x.npy", np.zeros(3))
    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(DataMissing, match=r"x\.npy: cannot be read \(Permission denied\)"):
        map_npy(tmp_path / "x.npy")


def test_an_npz_that_unpacks_to_far_more_than_its_size_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UNPACKED_BYTES", 1 << 16)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1 << 23, np.uint8))
    size = (tmp_path / "x.npz").stat().st_size
    limit = opening.unpacked_limit(size)
    message = (
        rf"{size} bytes that would unpack to 8388736; expected {limit} at most \(1 GiB, or 300"
    )
    with pytest.raises(DataMissing, match=message), open_npz(tmp_path / "x.npz"):
        pass


def test_an_array_of_an_npz_is_as_long_as_its_header_announces(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as zipped:
        zipped.writestr("x.npy", announcing(f"({2**60},)"))
    with (
        open_npz(tmp_path / "x.npz") as npz,
        pytest.raises(DataMissing, match=r"'x': \d+ bytes, truncated or too long"),
    ):
        npz.read("x")
