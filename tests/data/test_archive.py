"""One file out of a zip or tar."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchbench.data import opening
from benchbench.data.archive import extract
from benchbench.errors import DataMissing


@pytest.mark.parametrize("form", ["zip", "gztar", "xztar"])
def test_a_damaged_archive_is_told_and_leaves_nothing(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text(" ".join(str(n**3) for n in range(9000)), encoding="utf-8")
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), form, tmp_path / "in"))
    extract(archive, "a.txt", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_bytes() == (tmp_path / "in/a.txt").read_bytes()
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = b"\xff" * 64
    archive.write_bytes(content)
    with pytest.raises(DataMissing, match="gave no zip or tar that can be read"):
        extract(archive, "a.txt", tmp_path / "damaged.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out.txt", archive.name}


def packed(folder: Path, form: str, members: dict[str, bytes]) -> Path:
    """An archive of these files."""
    archive = folder / f"packed.{form}"
    if form == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in members.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(archive, f"w:{form}") as tarred:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tarred.addfile(entry, io.BytesIO(content))
    return archive


@pytest.mark.parametrize("form", ["zip", "gz", "xz", "bz2"])
def test_no_flipped_bit_of_an_archive_gives_another_file(form: str, tmp_path: Path) -> None:
    content = " ".join(str(n**3) for n in range(400)).encode()
    archive = packed(tmp_path, form, {"a.txt": content})
    whole, out = archive.read_bytes(), tmp_path / "out.txt"
    refused = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            extract(archive, "a.txt", out)
        except DataMissing:
            refused += 1
        else:  # such as a date in a header
            assert out.read_bytes() == content
    assert refused > 100


@pytest.mark.parametrize("form", ["zip", "gz", "xz", "bz2"])
def test_bytes_behind_the_end_of_an_archive_are_told(form: str, tmp_path: Path) -> None:
    archive = packed(tmp_path, form, {"a.txt": b"a"})
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(DataMissing, match="gave no zip or tar that can be read"):
        extract(archive, "a.txt", tmp_path / "out.txt")


@pytest.mark.parametrize("form", ["zip", "gz", "bz2", "xz"])
def test_an_archive_that_unpacks_to_gigabytes_is_refused_at_a_limit(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UNPACKED_BYTES", 1 << 16)
    archive = packed(tmp_path, form, {"a.txt": bytes(1 << 23)})
    with pytest.raises(DataMissing, match=r"unpack to \d+; expected \d+ at most"):
        extract(archive, "a.txt", tmp_path / "out.txt")
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("form", ["zip", "gz"])
def test_no_name_in_an_archive_is_a_path(form: str, tmp_path: Path) -> None:
    names = ["../../a.txt", "/etc/a.txt", "C:\\a.txt", "./b/../../a.txt"]
    for name in names:
        (tmp_path / "in").mkdir(exist_ok=True)
        archive = packed(tmp_path, form, {name: b"evil", "good": b"good"})
        extract(archive, "good", tmp_path / "in" / "out")
        assert {path.name for path in tmp_path.rglob("*")} == {"in", "out", archive.name}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"6", b"5"])
def test_a_link_or_device_in_an_archive_is_no_file(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tarred:
        entry = tarfile.TarInfo("a.txt")
        entry.type, entry.linkname = kind, "/etc/passwd"
        tarred.addfile(entry)
    with pytest.raises(DataMissing, match=r"'a\.txt' in it is .*, not a file"):
        extract(tmp_path / "x.tar", "a.txt", tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("form", ["zip", "gz"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_in_an_archive_are_refused(form: str, tmp_path: Path) -> None:
    archive = packed(tmp_path, form, {"a.txt": b"1", "b/a.txt": b"2"})
    with pytest.raises(DataMissing, match=r"holds a\.txt, b/a\.txt; expected one 'a\.txt'"):
        extract(archive, "a.txt", tmp_path / "out.txt")


def test_an_encrypted_archive_is_told(tmp_path: Path) -> None:
    archive = packed(tmp_path, "zip", {"a.txt": b"a" * 99})
    content = bytearray(archive.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataMissing, match=r"'a\.txt' in it is encrypted; unpack it yourself"):
        extract(archive, "a.txt", tmp_path / "out.txt")


def test_an_archive_in_an_archive_is_shown(tmp_path: Path) -> None:
    inner = packed(tmp_path, "zip", {"a.txt": b"a"}).read_bytes()
    archive = packed(tmp_path, "zip", {"inner.zip": inner})
    with pytest.raises(DataMissing, match=r"holds no 'a\.txt'; it holds inner\.zip"):
        extract(archive, "a.txt", tmp_path / "out.txt")
