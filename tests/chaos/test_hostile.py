"""Suites, arrays, archives, names and folders of data made to do harm: one sentence, at once."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from ..stand_ins import SUITE, tiny
from .nursery import Doom, Nursery, opened
from .tasks import Bench, Load

SEED = 13
EACH = 66
"""Inputs of each of the five kinds."""
SECONDS = 10.0
MEMORY = 3 * 2**30

TOKENS = (
    *("&a", "*a", "<<: *a", "!!python/name:os.system", "!!set {a}", "? [a]", "- - - -", "---"),
    *("\0", "\x1b[31m", "\u202e", "\ufeff", "\t", '"\\ud800"', "%TAG ! x", "9" * 5000, "1e999"),
    *("-1", str(2**70), ".nan", "[]", "{}", "[-1]", "null", "~", "0x10", "1_000", "true", "''"),
    *("[" * 3000, "{a: " * 500, "&b [*b]", "a" * 10_000, "../../../x", "/etc/passwd", "/dev/zero"),
)
LABELS = (
    *("[/nope]", "[bold]", "<script>alert(1)</script>", "|", "=1+1", "@x", "\\", "$x$", "%", "#"),
    *("\u202e", "\u200b", "\ufeff", "\u2028", "\x9b31m", "`", "**", "&amp;", "{}", "~", "^", "é"),
)
NAMES = ("../../victim.npy", "/tmp/victim.npy", "a/../../victim.npy", "..\\victim.npy", "x.npy")
SIGNS = (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\x89HDF\r\n\x1a\n")
DTYPES = ("<f4", "<f4", "|O", "|S8", "<U4", "|V8", "<M8[s]", "<c8", "|b1", ">i2")
SHAPES = ((2, 3, 8, 8), (2**40, 8), (-1, 4), (), (0, 3, 8, 8), (2, 3, 1, 8, 8), (10**6,) * 5)


class Hostile:
    """One folder of inputs, and what was left outside of it."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self.nursery = nursery
        self.folder = folder
        self.random = random.Random(SEED)
        self.number = 0
        self.count: Counter[str] = Counter()

    def place(self) -> Path:
        """A fresh folder, deep enough for `../../..` to be seen."""
        self.number += 1
        place = self.folder / str(self.number) / "a" / "b" / "c"
        place.mkdir(parents=True)
        return place

    def bench(self, kind: str, place: Path, *arguments: object) -> None:
        """Types a command; it ends by itself, in words, and leaves nothing outside."""
        above = {path for up in place.parents[:3] for path in up.iterdir()}
        ending = self.nursery.live(
            Bench(tuple(map(str, arguments)), str(place / "data")), Doom("", None, SECONDS, MEMORY)
        )
        case = f"{kind}, case {self.number}: {arguments}\n{ending.printed[-2000:]}"
        assert not ending.killed, f"hangs: {case}"
        assert ending.status in (0, 1, 2), case
        assert "Traceback" not in ending.printed, case
        assert "\x1b" not in ending.printed, case
        assert above == {path for up in place.parents[:3] for path in up.iterdir()}, case
        assert not Path("/tmp/victim.npy").exists(), case
        self.count[kind] += 1

    def suite(self) -> None:
        place = self.place()
        text = SUITE
        for _ in range(self.random.randint(1, 4)):
            lines = text.splitlines()
            at = self.random.randrange(len(lines))
            token, line = self.random.choice(TOKENS), lines[at]
            key, colon, _ = line.partition(": ")
            lines[at] = self.random.choice([f"{key}{colon}{token}", f"{line} {token}", token, ""])
            text = "\n".join(lines) + "\n"
        path = place / "hostile.yaml"
        path.write_text(text, encoding="utf-8")
        self.bench("suite", place, "plan", path, "--results", place / "results")

    def label(self) -> None:
        place = self.place()
        label = "".join(self.random.choices(LABELS, k=self.random.randint(1, 5)))
        path = place / "labels.yaml"
        path.write_text(tiny(models=[{"name": "persistence", "label": label}]), encoding="utf-8")
        command = self.random.choice(["plan", "table", "status"])
        more = ("--format", self.random.choice(FORMATS)) if command == "table" else ()
        self.bench("label", place, command, path, "--results", place / "results", *more)

    def content(self) -> bytes:
        """A file of an array, whose header or end may lie."""
        file = io.BytesIO()
        dtype = self.random.choice(DTYPES)
        header = {"descr": dtype, "fortran_order": self.random.random() < 0.2}
        shape = self.random.choice(SHAPES)
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        file.write(self.random.randbytes(self.random.choice([0, 7, 1536, 4096])))
        data = bytearray(file.getvalue())
        if self.random.random() < 0.3:
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return bytes(data)

    def array(self) -> None:
        place = self.place()
        names = []
        for name in ("pred", "true"):
            path = place / f"{name}.{self.random.choice(['npy', 'npz'])}"
            content = self.content()
            if path.suffix == ".npz" and self.random.random() < 0.8:
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.writestr(self.random.choice(NAMES), content)
            else:
                path.write_bytes(content)
            names.append(path)
        self.bench("array", place, "score", *names)

    def archive(self) -> None:
        place = self.place()
        (place / "data").mkdir()
        ending = self.random.choice(["npz", "zip", "tar", "tar.gz", "npz"])
        path = place / "data" / f"evil.{ending}"
        if ending in ("npz", "zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in self.random.sample(NAMES, 2):
                    big = self.random.random() < 0.2
                    archive.writestr(name, bytes(2**27) if big else self.content())
        else:
            with tarfile.open(path, "w:gz" if ending.endswith("gz") else "w") as tar:
                for name in self.random.sample(NAMES, 2):
                    member = tarfile.TarInfo(name)
                    member.type = self.random.choice([tarfile.REGTYPE, tarfile.SYMTYPE])
                    member.linkname = "/etc/passwd"
                    content = self.content()
                    member.size = len(content) if member.isreg() else 0
                    tar.addfile(member, io.BytesIO(content))
        if self.random.random() < 0.3:
            os.truncate(path, path.stat().st_size // 2)
        self.clips("archive", place, path)

    def data(self) -> None:
        place = self.place()
        root = place / "data" / "videos"
        endings = ("npy", "png", "gif", "mp4", "avi", "h5", "txt", "jpg", "npz", "tif", "nc")
        for number in range(self.random.randint(1, 5)):
            folder = root / self.random.choice(["train", "Test", "valid", "x", "."])
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"f{number}.{self.random.choice(endings)}"
            kind = self.random.choice(["bytes", "bytes", "array", "empty", "link", "loop", "pipe"])
            if kind in ("bytes", "array", "empty"):
                noise = self.random.choice(SIGNS) + self.random.randbytes(300)
                path.write_bytes({"bytes": noise, "array": self.content(), "empty": b""}[kind])
            elif kind == "pipe":
                os.mkfifo(path)
            elif kind == "loop":
                (folder / f"loop{number}").symlink_to(root, target_is_directory=True)
            else:
                path.symlink_to(self.random.choice(["/dev/zero", "/etc/passwd", "nowhere"]))
        self.clips("data folder", place, root)

    def clips(self, kind: str, place: Path, path: Path) -> None:
        """Prepares clips of a place, or plans a suite on them."""
        options = {"path": str(path), "frame": [1, 8, 8], "context": 1, "horizon": 1}
        if self.random.random() < 0.5:
            pairs = (f"{key}={json.dumps(value)}" for key, value in options.items())
            flags = [part for pair in pairs for part in ("-o", pair)]
            self.bench(kind, place, "prepare", "clips", *flags)
            return
        suite = place / "clips.yaml"
        datasets = [{"name": "clips", "options": options}]
        suite.write_text(yaml.safe_dump({"datasets": datasets, "models": ["persistence"]}))
        self.bench(kind, place, "run", suite, "--results", place / "results")


FORMATS = ("terminal", "csv", "json", "latex", "html", "markdown")


@pytest.mark.slow
def test_no_hostile_input_gets_a_traceback_hangs_or_writes_outside_its_folder(
    tmp_path: Path,
) -> None:
    with opened() as nursery:
        nursery.warm(Load())
        hostile = Hostile(nursery, tmp_path / "cases")
        for kind in (hostile.suite, hostile.label, hostile.array, hostile.archive, hostile.data):
            for _ in range(EACH):
                kind()
    print(f"\nhostile inputs: {hostile.count.total()} {dict(hostile.count)}, a sentence each")
    assert hostile.count.total() >= 300
