"""Downloads, against a server on 127.0.0.1 that this file makes."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchbench.data.checksums import checksums, verify
from benchbench.data.download import DataFile
from benchbench.errors import DataMissing

BLOCK = 1 << 16
"""What a transfer stores at a time."""
BODY = bytes(range(256)) * 4096  # 1 MiB
DIGEST = f"md5:{hashlib.md5(BODY).hexdigest()}"


@dataclass
class Place:
    """A server with a few files and a few faults; `log` has (path, Range) of each request."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: dict[str, list[int]] = field(default_factory=dict)
    """For each path: after how many bytes the next answers break off."""
    hold: dict[str, int] = field(default_factory=dict)
    """For each path: after how many bytes the next answer waits for `release`."""
    release: threading.Event = field(default_factory=threading.Event)
    ranges: bool = True
    etags: bool = True
    log: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    place: Place

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        self.place.log.append((self.path, span))
        body = self.place.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        if self.headers.get("If-Range") not in (None, tag):
            span = None
        start = 0
        if span and self.place.ranges:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if self.place.etags:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        breaks = self.place.break_after.get(self.path)
        upto = start + breaks.pop(0) if breaks else len(body)
        if held := self.place.hold.pop(self.path, None):
            self.wfile.write(body[start:held])
            self.place.release.wait()
            self.close_connection = True
            return
        self.wfile.write(body[start:upto])
        if upto < len(body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def place() -> Iterator[Place]:
    handler = type("H", (Handler,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.place = Place(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler.place
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "data"


def a_file(data: Path, *urls: str, digest: str | None = DIGEST, **more: object) -> DataFile:
    return DataFile(data / "set" / "a.bin", urls, digest, **more)  # type: ignore[arg-type]


def leftovers(file: DataFile) -> list[str]:
    return sorted(p.name for p in file.path.parent.iterdir() if not p.name.endswith(".lock"))


def test_a_complete_download_is_stored_under_its_name_only(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    seen: list[tuple[str, int, int]] = []
    file = a_file(data, f"{place.url}/a")
    file.prepare(lambda *news: seen.append(news))
    assert file.path.read_bytes() == BODY
    assert leftovers(file) == ["a.bin"]
    assert seen[-1] == ("a.bin", len(BODY), len(BODY))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_file_that_is_there_is_not_asked_for_again(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    file = a_file(data, f"{place.url}/a")
    file.prepare()
    file.prepare()
    assert len(place.log) == 1


def test_a_transfer_that_breaks_off_is_resumed_where_it_broke(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    place.break_after["/a"] = [4 * BLOCK, 3 * BLOCK]
    file = a_file(data, f"{place.url}/a")
    file.prepare()
    assert file.path.read_bytes() == BODY
    starts = [int(span[6:-1]) for _, span in place.log if span]
    assert starts == [4 * BLOCK, 7 * BLOCK]


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_what_a_killed_process_left_is_resumed(
    place: Place, data: Path, digest: str | None
) -> None:
    place.files["/a"] = BODY
    place.break_after["/a"] = [6 * BLOCK, 0]
    file = a_file(data, f"{place.url}/a", digest=digest)
    with pytest.raises(DataMissing, match=f"{6 * BLOCK} of 1048576 bytes"):
        file.prepare()
    assert (file.path.parent / "a.bin.part").stat().st_size == 6 * BLOCK
    file.prepare()
    assert place.log[-1] == ("/a", f"bytes={6 * BLOCK}-")
    assert file.path.read_bytes() == BODY
    assert leftovers(file) == ["a.bin"]


def test_a_part_of_a_file_that_changed_meanwhile_is_thrown_away(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    place.break_after["/a"] = [6 * BLOCK, 0]
    file = a_file(data, f"{place.url}/a", digest=None)
    with pytest.raises(DataMissing):
        file.prepare()
    place.files["/a"] = BODY[::-1]
    file.prepare()
    assert file.path.read_bytes() == BODY[::-1]


def test_without_validator_and_checksum_a_part_is_not_continued(place: Place, data: Path) -> None:
    place.files["/a"], place.etags = BODY, False
    place.break_after["/a"] = [6 * BLOCK]
    file = a_file(data, f"{place.url}/a", digest=None)
    file.prepare()
    assert place.log == [("/a", None), ("/a", None)]
    assert file.path.read_bytes() == BODY


def test_a_server_without_ranges_starts_afresh(place: Place, data: Path) -> None:
    place.files["/a"], place.ranges = BODY, False
    place.break_after["/a"] = [4 * BLOCK]
    file = a_file(data, f"{place.url}/a")
    file.prepare()
    assert file.path.read_bytes() == BODY


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 5)])
def test_a_wrong_part_is_replaced(place: Place, data: Path, part: bytes) -> None:
    place.files["/a"] = BODY
    file = a_file(data, f"{place.url}/a")
    file.path.parent.mkdir(parents=True)
    (file.path.parent / "a.bin.part").write_bytes(part)
    file.prepare()
    assert file.path.read_bytes() == BODY


def test_a_part_that_is_already_whole_only_takes_its_name(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    file = a_file(data, f"{place.url}/a")
    file.path.parent.mkdir(parents=True)
    (file.path.parent / "a.bin.part").write_bytes(BODY)
    file.prepare()
    assert file.path.read_bytes() == BODY
    assert place.log == [("/a", f"bytes={len(BODY)}-")]


def test_a_truncated_file_never_gets_its_name(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    place.break_after["/a"] = [BLOCK, 0]
    file = a_file(data, f"{place.url}/a")
    with pytest.raises(DataMissing, match=f"{BLOCK} of 1048576 bytes"):
        file.prepare()
    assert not file.path.exists()


def test_a_corrupt_file_is_refused_and_deleted(place: Place, data: Path) -> None:
    place.files["/a"] = b"x" + BODY[1:]
    file = a_file(data, f"{place.url}/a")
    with pytest.raises(DataMissing, match=DIGEST):
        file.prepare()
    assert leftovers(file) == []


def test_the_next_mirror_is_asked_after_404_and_after_a_corrupt_file(
    place: Place, data: Path
) -> None:
    place.files |= {"/corrupt": BODY[:-1], "/good": BODY}
    file = a_file(data, f"{place.url}/gone", f"{place.url}/corrupt", f"{place.url}/good")
    file.prepare()
    assert [path for path, _ in place.log] == ["/gone", "/corrupt", "/good"]
    assert file.path.read_bytes() == BODY


def test_when_no_mirror_has_it_every_answer_and_what_to_do_are_told(
    place: Place, data: Path
) -> None:
    file = a_file(data, f"{place.url}/gone", f"{place.url}/lost", advice="ask its author")
    with pytest.raises(DataMissing) as caught:
        file.prepare()
    message = str(caught.value)
    assert str(file.path) in message
    assert "ask its author" in message
    assert message.count("answered 404") == 2


def test_a_server_that_does_not_answer_is_told(place: Place, data: Path) -> None:
    file = a_file(data, "http://127.0.0.1:9/a")
    with pytest.raises(DataMissing, match="ConnectionError"):
        file.prepare()


def test_a_file_without_download_says_what_to_put_where(data: Path) -> None:
    file = a_file(data, advice="put it there")
    with pytest.raises(DataMissing, match=r"set/a\.bin: no such file; put it there"):
        file.check()
    with pytest.raises(DataMissing, match=r"set/a\.bin: no such file; put it there"):
        file.prepare()


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_file_is_taken_out_of_an_archive(
    place: Place, data: Path, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "inner").write_bytes(BODY)
    archive = tmp_path / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.write(tmp_path / "inner", "deep/inner.bin")
    else:
        with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as tarred:
            tarred.add(tmp_path / "inner", "deep/inner.bin")
    place.files["/x"] = archive.read_bytes()
    file = a_file(data, f"{place.url}/x", member="inner.bin")
    file.prepare()
    assert file.path.read_bytes() == BODY
    assert leftovers(file) == ["a.bin"]


def test_an_archive_without_the_file_says_what_it_holds(
    place: Place, data: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as zipped:
        zipped.writestr("other.txt", "")
    place.files["/x"] = (tmp_path / "x").read_bytes()
    with pytest.raises(DataMissing, match=r"no 'inner\.bin'; it holds other\.txt"):
        a_file(data, f"{place.url}/x", member="inner.bin").prepare()


def test_a_web_page_in_place_of_an_archive_is_refused(place: Place, data: Path) -> None:
    place.files["/x"] = b"<html>"
    with pytest.raises(DataMissing, match="no zip or tar"):
        a_file(data, f"{place.url}/x", member="inner.bin").prepare()


def test_two_processes_at_once_download_once(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    code = (
        "import sys; from pathlib import Path; from benchbench.data.download import DataFile; "
        "DataFile(Path(sys.argv[1]), (sys.argv[2],), sys.argv[3]).prepare()"
    )
    path = data / "set" / "a.bin"
    arguments = [sys.executable, "-c", code, str(path), f"{place.url}/a", DIGEST]
    pair = [subprocess.Popen(arguments) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0]
    assert place.log == [("/a", None)]
    assert path.read_bytes() == BODY


def test_a_download_killed_in_the_middle_is_resumed(place: Place, data: Path) -> None:
    place.files["/a"] = BODY
    place.hold["/a"] = 5 * BLOCK
    code = (
        "import sys; from pathlib import Path; from benchbench.data.download import DataFile; "
        "watch = lambda name, done, total: print(done, flush=True); "
        "DataFile(Path(sys.argv[1]), (sys.argv[2],), sys.argv[3]).prepare(watch)"
    )
    file = a_file(data, f"{place.url}/a")
    arguments = [sys.executable, "-c", code, str(file.path), f"{place.url}/a", DIGEST]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 4 * BLOCK:
            pass
        process.kill()
    place.release.set()
    part = (file.path.parent / "a.bin.part").stat().st_size
    assert part >= 4 * BLOCK
    file.prepare()
    assert place.log[-1] == ("/a", f"bytes={part}-")
    assert file.path.read_bytes() == BODY


def test_a_changed_file_is_noticed_against_its_published_checksum(data: Path) -> None:
    file = a_file(data)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(BODY)
    file.prepare()
    file.path.write_bytes(BODY[:-1])
    with pytest.raises(DataMissing, match=DIGEST):
        file.prepare()


def test_a_file_without_published_checksum_is_held_to_the_first_one_seen(data: Path) -> None:
    file = a_file(data, "http://127.0.0.1:9/a", digest=None)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(BODY)
    file.prepare()
    first = checksums(file.path).sha256
    assert first == hashlib.sha256(BODY).hexdigest()
    file.path.write_bytes(BODY[:-1])
    with pytest.raises(DataMissing, match=first):
        file.prepare()
    file.path.write_bytes(BODY)
    assert verify(file.path, None).sha256 == first


def test_a_download_without_a_published_checksum_says_so(
    place: Place, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place.files["/a"] = BODY
    a_file(data, f"{place.url}/a", digest=DIGEST).prepare()
    assert not caplog.messages
    (data / "set/a.bin").unlink()
    a_file(data, f"{place.url}/a", digest=None).prepare()
    assert f"no checksum of it was published; it is trusted as it came from {place.url}" in (
        caplog.text
    )


def test_what_is_no_regular_file_is_told_and_never_opened(data: Path) -> None:
    (data / "set").mkdir(parents=True)
    os.mkfifo(data / "set/a.bin")
    with pytest.raises(DataMissing, match=r"a\.bin: a pipe; expected a regular file; put it there"):
        a_file(data, advice="put it there").prepare()
