"""A person's own clips: arrays, images and videos; splits, shapes and ranges."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from benchbench.errors import DataMissing, SchemaError
from benchbench.registry import build_dataset

NAMES = ("train", "val", "test")


def pictures(count: int, *, channels: int = 1, side: int = 16, seed: int = 0) -> Any:
    """Smooth moving pictures (T, H, W, C), so that a video codec keeps them."""
    t, y, x = np.mgrid[0:count, 0:side, 0:side]
    grey = 127 + 100 * np.sin((x + 2 * t + seed) / 5) * np.cos(y / 6)
    return np.stack([np.roll(grey, c, axis=1) for c in range(channels)], -1).astype(np.uint8)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def build(path: str, *, frame: tuple[int, int, int] = (1, 16, 16), **options: Any) -> Any:
    options = {"context": 2, "horizon": 1, **options}
    dataset = build_dataset("clips", path=path, frame=list(frame), **options)
    dataset.check()
    dataset.prepare()
    return dataset


@pytest.mark.parametrize("axes", ["NTCHW", "TNHWC", "NTHW", "NCTHW"])
@pytest.mark.parametrize("kind", ["npy", "npz", "h5"])
def test_an_array_file_in_any_order_of_axes(data: Path, axes: str, kind: str) -> None:
    values = np.random.default_rng(0).random((5, 3, 1, 16, 16)).astype(np.float32)
    stored = values[:, :, 0] if "C" not in axes else values
    from_axes = "NTHW" if "C" not in axes else "NTCHW"
    array = stored.transpose([from_axes.index(a) for a in axes])
    path = data / f"x.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez_compressed(path, frames=array)
    else:
        with h5py.File(path, "w") as file:
            file["frames"] = array
    dataset = build(path.name, axes=axes)
    assert [len(dataset.split(n)) for n in NAMES] == [3, 1, 1]
    np.testing.assert_array_equal(dataset.split("train")[2], values[2])
    np.testing.assert_array_equal(dataset.split("test")[0], values[4])
    assert dataset.split("test").name(0) == "4@0"


def test_whole_numbers_of_8_bits_are_scaled(data: Path) -> None:
    values = np.arange(5 * 3 * 256, dtype=np.uint8).reshape(5, 3, 1, 16, 16)
    np.save(data / "x.npy", values)
    clip = build("x.npy").split("test")[0]
    torch.testing.assert_close(clip, torch.from_numpy(values[4]).float() / 255)


def test_other_values_need_their_range_and_are_scaled_by_it(data: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 3, 1, 16, 16)) * 3
    np.save(data / "x.npy", values)
    with pytest.raises(DataMissing, match=r"expected \[0, 1\], or give them as 'values'"):
        build("x.npy")
    clip = build("x.npy", values=[-20.0, 20.0]).split("test")[0]
    np.testing.assert_allclose(clip, (values[4] + 20) / 40, atol=1e-6)


def test_values_that_are_not_numbers_are_refused(data: Path) -> None:
    values = np.full((5, 3, 1, 16, 16), 0.5)
    values[1, 1, 0, 3, 3] = np.nan
    np.save(data / "x.npy", values)
    with pytest.raises(DataMissing, match=r"x\.npy: values from nan .*expected finite numbers"):
        build("x.npy")
    values[1, 1, 0, 3, 3] = np.inf
    np.save(data / "x.npy", values)
    with pytest.raises(DataMissing, match=r"x\.npy: values from .* to inf; expected finite"):
        build("x.npy", values=[0.0, 1.0])


def test_long_recordings_are_cut_into_windows(data: Path) -> None:
    folder = data / "set"
    folder.mkdir()
    for i, frames in enumerate((7, 3, 4)):
        np.save(folder / f"{i}.npy", pictures(frames, seed=i).transpose(0, 3, 1, 2))
    dataset = build("set", axes="TCHW")
    train = dataset.split("train")
    assert [train.name(i) for i in range(len(train))] == ["0.npy@0", "0.npy@3"]
    stepped = build("set", axes="TCHW", stride=1).split("train")
    assert [stepped.name(i) for i in range(len(stepped))] == [f"0.npy@{i}" for i in range(5)]
    assert torch.equal(stepped[3], train[1])


def image_folders(root: Path, count: int, *, frames: int = 4, channels: int = 1) -> Any:
    clips = [pictures(frames, channels=channels, seed=10 * i) for i in range(count)]
    for i, clip in enumerate(clips):
        (root / f"clip{i}").mkdir(parents=True)
        for t, frame in enumerate(clip):
            picture = frame[..., 0] if channels == 1 else frame
            Image.fromarray(picture).save(root / f"clip{i}" / f"{t:03}.png")
    return clips


@pytest.mark.parametrize("channels", [1, 3])
def test_folders_of_images_are_clips(data: Path, channels: int) -> None:
    clips = image_folders(data / "set", 4, channels=channels)
    dataset = build("set", frame=(channels, 16, 16))
    assert [len(dataset.split(n)) for n in NAMES] == [2, 1, 1]
    expected = torch.from_numpy(clips[3][:3].transpose(0, 3, 1, 2).copy()).float() / 255
    torch.testing.assert_close(dataset.split("test")[0], expected)
    assert len(dataset.files()) == 16


def test_images_of_another_size_are_refused_unless_resized(data: Path) -> None:
    image_folders(data / "set", 3)
    with pytest.raises(DataMissing, match=r"expected frames of 8x8, not 16x16; .*resize: true"):
        build("set", frame=(1, 8, 8))
    clip = build("set", frame=(1, 8, 8), resize=True).split("test")[0]
    assert clip.shape == (3, 1, 8, 8)


def write_video(path: Path, pictures: Any) -> None:
    """A video of pictures (T, H, W, 3)."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_animations_are_read_frame_by_frame(data: Path) -> None:
    (data / "set").mkdir()
    clips = [pictures(3, seed=i)[..., 0] for i in range(3)]
    for i, clip in enumerate(clips):
        first, *others = [Image.fromarray(picture) for picture in clip]
        first.save(data / "set" / f"{i}.gif", save_all=True, append_images=others)
    test = build("set").split("test")
    assert test.name(0) == "2.gif@0"
    torch.testing.assert_close(test[0][:, 0], torch.from_numpy(clips[2]).float() / 255)


def test_images_of_16_bits_are_refused(data: Path) -> None:
    image_folders(data / "set", 3)
    deep = np.full((16, 16), 40_000, np.uint16)
    Image.fromarray(deep).save(data / "set" / "clip1" / "001.png")
    with pytest.raises(DataMissing, match=r"001\.png: expected images of 8 bits"):
        build("set")


def test_colours_of_16_bits_are_refused_of_which_pillow_drops_half(data: Path) -> None:
    image_folders(data / "set", 3)
    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(16 * (1 + 16 * 6)))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    (data / "set" / "clip1" / "001.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(DataMissing, match=r"001\.png: expected images of 8 bits, not .*RGB;16B"):
        build("set")


def test_an_array_of_no_frames_is_told_and_not_used(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data / "set").mkdir()
    for number in range(4):
        np.save(data / "set" / f"{number}.npy", np.zeros((3 if number else 0, 1, 16, 16)))
    assert len(build("set", axes="TCHW").shared()["train"]) == 1
    assert "1 of 4 recordings have fewer than 3 frames and are not used: 0.npy (0)" in caplog.text


def test_an_empty_path_is_none(data: Path) -> None:
    np.save(data / "x.npy", np.zeros((5, 3, 1, 16, 16)))
    with pytest.raises(SchemaError, match="path: expected text, not ''"):
        build("")


def test_videos_are_decoded_once(data: Path) -> None:
    folder = data / "set"
    folder.mkdir()
    clips = [pictures(6, channels=3, side=32, seed=7 * i) for i in range(3)]
    for i, clip in enumerate(clips):
        write_video(folder / f"{i}.mp4", clip)
    dataset = build("set", frame=(3, 32, 32))
    test = dataset.split("test")
    assert [test.name(i) for i in range(len(test))] == ["2.mp4@0", "2.mp4@3"]
    expected = torch.from_numpy(clips[2][3:].transpose(0, 3, 1, 2).copy()).float() / 255
    assert (test[1] - expected).abs().mean() < 0.1
    decoded = list((data / "unpacked").glob("*/frames.npy"))
    before = {path: path.stat().st_mtime_ns for path in decoded}
    dataset.prepare()
    assert {path: path.stat().st_mtime_ns for path in decoded} == before
    assert len(decoded) == 3


def test_a_broken_video_is_named(data: Path) -> None:
    folder = data / "set"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.mp4").write_bytes(b"no video")
    with pytest.raises(DataMissing, match=r"0\.mp4: cannot be read"):
        build("set")


def test_folders_named_train_val_and_test_are_the_splits(data: Path) -> None:
    for name, count in (("train", 2), ("val", 1), ("test", 3)):
        image_folders(data / "set" / name, count)
    dataset = build("set")
    assert [len(dataset.split(n)) for n in NAMES] == [2, 1, 3]
    assert dataset.split("val").name(0) == "val/clip0@0"


def test_lists_share_out_recordings(data: Path) -> None:
    image_folders(data / "set", 4)
    lists = data / "lists"
    lists.mkdir()
    for name, members in (("train", "clip3\nclip0\n"), ("val", "clip1"), ("test", "clip2")):
        (lists / f"{name}.txt").write_text(members)
    dataset = build("set", lists="lists")
    assert [dataset.split("train").name(i) for i in range(2)] == ["clip3@0", "clip0@0"]
    (lists / "val.txt").write_text("clip0")
    with pytest.raises(DataMissing, match=r"'clip0' is in train\.txt too"):
        build("set", lists="lists")
    (lists / "val.txt").write_text("clip9")
    with pytest.raises(DataMissing, match="no recording 'clip9'"):
        build("set", lists="lists")
    (lists / "val.txt").unlink()
    with pytest.raises(DataMissing, match=r"val\.txt: no such file"):
        build("set", lists="lists")


def test_shapes_that_differ_are_named_with_what_was_expected(data: Path) -> None:
    np.save(data / "x.npy", np.zeros((5, 3, 1, 8, 8), np.uint8))
    with pytest.raises(DataMissing, match=r"x\.npy: an array of \(5, 3, 1, 8, 8\); .*H = 16"):
        build("x.npy")
    np.save(data / "x.npy", np.zeros((8, 8), np.uint8))
    with pytest.raises(DataMissing, match="expected the axes"):
        build("x.npy")


@pytest.mark.parametrize(
    ("shape", "frame", "axes"),
    [
        ((10, 8, 16, 16), (1, 16, 16), "NTHW or TNHW"),
        ((10, 8, 16, 16, 3), (3, 16, 16), "NTHWC"),
        ((10, 3, 8, 16, 16), (3, 16, 16), "NCTHW"),
        ((10, 16, 16, 3), (3, 16, 16), "THWC"),
        ((10, 16, 16), (1, 16, 16), "THW"),
    ],
)
def test_an_array_of_another_order_is_told_the_axes_that_fit(
    data: Path, shape: tuple[int, ...], frame: tuple[int, int, int], axes: str
) -> None:
    np.save(data / "x.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataMissing, match=f"; axes: {axes} would fit"):
        build("x.npy", frame=frame)


def test_too_few_frames_or_recordings_are_told(data: Path) -> None:
    np.save(data / "x.npy", np.zeros((5, 2, 1, 16, 16), np.uint8))
    with pytest.raises(DataMissing, match="has 3 frames"):
        build("x.npy")
    np.save(data / "x.npy", np.zeros((2, 3, 1, 16, 16), np.uint8))
    with pytest.raises(DataMissing, match="expected at least 3"):
        build("x.npy")


def test_nothing_there_and_unknown_kinds_are_told(data: Path) -> None:
    with pytest.raises(DataMissing, match="no such file or folder"):
        build("nowhere")
    (data / "x.txt").write_text("x")
    with pytest.raises(DataMissing, match=r"'\.txt' is not known"):
        build("x.txt")
    (data / "empty").mkdir()
    with pytest.raises(DataMissing, match="holds no clips"):
        build("empty")


def test_a_file_of_several_arrays_needs_a_key(data: Path) -> None:
    values = np.zeros((3, 3, 1, 16, 16), np.uint8)
    np.savez(data / "x.npz", a=values, b=values)
    with pytest.raises(DataMissing, match="holds a, b; name one as 'key'"):
        build("x.npz")
    build("x.npz", key="b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": [1, 2]}, "frame: "),
        ({"axes": "NTXHW"}, "axes: "),
        ({"axes": "NTHW", "frame": [3, 8, 8]}, "axes: "),
        ({"values": [1.0, 0.0]}, "values: "),
        ({"shares": [0.5, 0.5, 0.5]}, "shares: "),
        ({"stride": 0}, "stride: "),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    options = {"path": "x", "frame": [1, 8, 8], "context": 2, "horizon": 1, **options}
    with pytest.raises(SchemaError, match=message):
        build_dataset("clips", **options)


@pytest.mark.parametrize("name", ["../../../victim", "/abs/victim", "a/../../victim", "x" * 250])
def test_no_name_in_an_npz_leads_out_of_the_data_folder(data: Path, name: str) -> None:
    values = np.random.default_rng(0).random((3, 3, 1, 16, 16)).astype(np.float32)
    victim = data.parent / "victim.npy"
    victim.write_bytes(b"mine")
    with zipfile.ZipFile(data / "evil.npz", "w") as zipped:
        zipped.writestr(f"{name}.npy", npy(values))
    dataset = build("evil.npz")
    np.testing.assert_array_equal(dataset.split("test")[0], values[2])
    assert victim.read_bytes() == b"mine"
    written = [path for path in data.parent.rglob("*") if path.is_file() and path != victim]
    assert all(path.is_relative_to(data) for path in written)
