"""Where a person's own recordings lie: order of images, links, names, and what is no file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchbench.errors import DataMissing

from .recordings import build_own, lay_out


def images(folder: Path, names: list[str]) -> None:
    """Images of values counted from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, start=1):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / name)


def values(dataset: Any) -> list[int]:
    """The grey of each frame of the test clip."""
    return [round(float(frame.mean()) * 255) for frame in dataset.split("test")[0]]


PATTERNS = [
    "frame_{}.png",
    "{}.png",
    "take1.{}.png",
    "2020.1.{}.png",
    "a1_b{}.png",
    "{}of12.png",
    "x-{}-7.jpeg",
    "{:05}.bmp",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_numbered_images_are_read_in_the_order_of_their_numbers(data: Path, pattern: str) -> None:
    for clip in ("a", "b", "c"):
        images(data / "set" / clip, [pattern.format(n) for n in range(1, 13)])
    assert values(build_own("set", context=10, horizon=2)) == list(range(1, 13))


@pytest.mark.parametrize(
    "names",
    [
        ["0.25.png", "0.50.png", "1.00.png"],
        ["t0.5.png", "t1.0.png", "t1.5.png"],
        ["2020-01-31.png", "2020-02-01.png", "2020-10-01.png"],
        ["٩.png", "١٠.png", "١١.png"],
    ],
)
def test_times_and_dates_and_numbers_of_any_script_order_images(
    data: Path, names: list[str]
) -> None:
    for clip in ("a", "b", "c"):
        images(data / "set" / clip, names)
    assert values(build_own("set")) == [1, 2, 3]


def test_a_folder_may_be_called_like_the_video_that_its_frames_are_of(data: Path) -> None:
    for clip in ("a.avi", "b.mp4", "c.png"):
        images(data / "set" / clip, ["1.png", "2.png", "3.png"])
    names = [recording.name for recording in build_own("set").recordings()]
    assert names == ["a.avi", "b.mp4", "c.png"]


def test_every_number_of_a_name_orders_the_images(data: Path) -> None:
    names = [f"s{scene}_f{frame}.png" for scene in (2, 10) for frame in (1, 9, 10)]
    for clip in ("a", "b", "c"):
        images(data / "set" / clip, names)
    assert values(build_own("set", context=5)) == list(range(1, 7))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["frame_1.png", "frame_01.png", "frame_2.png"], "are the same frame; remove one"),
        (["1.png", "1.jpg", "2.png"], "are the same frame"),
        (["frame_1.png", "frame_2.png", "cover.png"], "are named for different recordings"),
        (["train_1.png", "test_1.png", "train_2.png"], "are named for different recordings"),
        (["t_0.25.png", "t_0.5.png", "t_0.75.png"], r"'t_0\.5\.png' and 't_0\.25\.png': which"),
        (["x_-3.png", "x_-2.png", "x_-1.png"], "which comes first cannot be told"),
        (["1e-3.png", "1e-2.png", "1e-1.png"], "expected whole numbers from 0"),
    ],
)
def test_images_whose_order_cannot_be_told_are_refused(
    data: Path, names: list[str], message: str
) -> None:
    images(data / "set" / "a", names)
    with pytest.raises(DataMissing, match=message):
        build_own("set")


@pytest.mark.parametrize(
    ("numbers", "leaps"),
    [
        ([1, 2, 3, 5, 6, 9], "a (from 3 to 5, and 1 times more), b (from 3 to 5"),
        ([0, 5, 10, 20], "a (from 10 to 20), b (from 10 to 20), c (from 10 to 20);"),
        ([0, 5, 10, 15], ""),
    ],
)
def test_gaps_between_numbered_images_are_told(
    data: Path, numbers: list[int], leaps: str, caplog: pytest.LogCaptureFixture
) -> None:
    for clip in ("a", "b", "c"):
        images(data / "set" / clip, [f"frame_{n}.png" for n in numbers])
    build_own("set")
    warnings = [text for text in caplog.messages if "numbers of images leap" in text]
    assert len(warnings) == bool(leaps)
    assert all(leaps in text for text in warnings)


def test_images_named_for_splits_share_out_their_folders(data: Path) -> None:
    for clip, split in (("a", "test"), ("b", "val"), ("c", "train")):
        images(data / "set" / clip, [f"{split}_{n}.png" for n in range(3)])
    dataset = build_own("set")
    assert [dataset.split(name).name(0) for name in ("train", "val", "test")] == [
        *("c@0", "b@0", "a@0")
    ]


@pytest.mark.parametrize("target", [".", "a", "a/one.npy", "loop"])
def test_links_to_what_is_there_already_are_told(data: Path, target: str) -> None:
    lay_out(data / "set", ["a/one.npy", "a/two.npy", "b/three.npy"])
    (data / "set" / "b" / "loop").symlink_to(data / "set" / "b" / "..")
    if target != "loop":
        (data / "set" / "b" / "loop").unlink()
        link = data / "set" / "b" / ("z.npy" if target.endswith(".npy") else "z")
        link.symlink_to((data / "set" / target).resolve())
    with pytest.raises(DataMissing, match=r"leads to .*, so its clips are there twice; remove one"):
        build_own("set")


def test_links_to_data_elsewhere_are_followed(data: Path) -> None:
    lay_out(data / "elsewhere", ["one.npy", "two.npy", "three.npy"])
    (data / "set").mkdir()
    (data / "set" / "clips").symlink_to(data / "elsewhere")
    assert len(build_own("set").recordings()) == 3


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\nb.npy", r"'a\\nb\.npy'"),
        (b"\x1b[31mred.npy", r"'\\x1b\[31mred\.npy'"),
        (b"\xff\xfe.npy", r"'\\udcff\\udcfe\.npy'"),
    ],
)
def test_names_that_nothing_can_show_are_told(data: Path, name: bytes, shown: str) -> None:
    lay_out(data / "set", ["a.npy", "b.npy", "c.npy"])
    os.rename(data / "set" / "c.npy", os.path.join(os.fsencode(data / "set"), name))  # noqa: PTH104, PTH118
    with pytest.raises(DataMissing, match=rf"holds {shown}, a name .*; rename it"):
        build_own("set")


def test_names_in_any_script_are_taken(data: Path) -> None:
    lay_out(data / "set", ["öl\u00a0a.npy", "雨.npy", "c d.npy"])
    assert len(build_own("set").recordings()) == 3


@pytest.mark.parametrize(
    ("make", "kind"),
    [(os.mkfifo, "a pipe"), (os.mkdir, "a folder"), (lambda p: p.symlink_to("/dev/zero"), "a dev")],
)
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5", "x.mp4", "x.gif"])
def test_a_place_that_is_no_regular_file_is_told_at_once(
    data: Path, make: Any, kind: str, name: str
) -> None:
    lay_out(data / "set", ["a.npy", "b.npy", "c.npy"])
    make(data / "set" / name)
    with pytest.raises(DataMissing, match=f"{name}: {kind}"):
        build_own("set")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/version/x", "a" * 300])
def test_a_path_that_holds_no_clips_is_told_at_once(path: str) -> None:
    with pytest.raises(DataMissing):
        build_own(path)
