"""Moving MNIST: the reference's motion, the published files, and what is said of wrong ones.

`tests/goldens/data_moving_mnist.npz` was recorded from OpenSTL's and PhyDNet's generators (which
agree) on five made-up digits, with Python's `random` seeded by 24661.
"""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.data.npy import inspect_npy
from benchbench.datasets import _bouncing, _moving, moving_digits
from benchbench.datasets._arrays import idx_images, inspect_idx
from benchbench.errors import DataMissing, SchemaError
from benchbench.registry import build_dataset

from .conftest import CLIPS, idx, sequences

GOLDEN = np.load(Path(__file__).parents[1] / "goldens" / "data_moving_mnist.npz")


def reference_draw(images: int | None) -> _bouncing.Draw:
    """Draws in the reference's order, from Python's generator."""
    x, y, turn = random.random(), random.random(), random.random()
    return _bouncing.Draw(x, y, turn, 0 if images is None else random.randint(0, images - 1))


def test_digits_travel_as_recorded() -> None:
    random.seed(24661)
    paths = np.array([_bouncing.path(reference_draw(None), 20, 36) for _ in range(6)])
    np.testing.assert_array_equal(paths[..., 0], GOLDEN["out/openstl_traj_y"])
    np.testing.assert_array_equal(paths[..., 1], GOLDEN["out/openstl_traj_x"])


def test_clips_are_composed_as_recorded() -> None:
    digits = GOLDEN["in/digits"]
    random.seed(24661)
    for recorded in GOLDEN["out/openstl_clip"]:
        chosen = [reference_draw(len(digits)) for _ in range(2)]
        np.testing.assert_array_equal(_bouncing.compose(digits, chosen, 20, 64), recorded)


def test_a_digit_moves_before_its_first_frame_and_stops_at_a_wall() -> None:
    right = _bouncing.Draw(x=0.85, y=0.5, turn=0.0, image=0)
    assert [left for _, left in _bouncing.path(right, 4, 36)] == [34, 36, 32, 28]
    top = {top for top, _ in _bouncing.path(right, 4, 36)}
    assert top == {18}


def test_digits_are_shared_out_once_and_evenly() -> None:
    _, labels = moving_digits.small_digits()
    parts = [moving_digits.members(name) for name in ("train", "val", "test")]
    assert sorted(np.concatenate(parts)) == list(range(1797))
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        counts = np.bincount(labels[part], minlength=10)
        np.testing.assert_allclose(counts, share * np.bincount(labels), atol=1)


def test_enlarged_digits_are_dark_around_and_bright_inside() -> None:
    images = moving_digits.enlarged_digits("train", 28)
    assert images.shape == (1438, 28, 28)
    assert images.max() == 255
    assert np.median(images.max(axis=(1, 2))) == 255
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]])
    assert border.mean() < 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("moving_digits", {"digit_size": 7}, "digit_size: expected 8 to 64"),
        ("moving_digits", {"size": 32, "digit_size": 33}, "digit_size: expected 8 to 32"),
        ("moving_digits", {"digits": 0}, "digits: "),
        ("moving_digits", {"seed": -1}, "seed: "),
        ("moving_digits", {"val": 0}, "val: "),
        ("moving_digits", {"horizon": 0}, "horizon: "),
        ("moving_mnist", {"size": 48}, "size: .*test_from: generated"),
        ("moving_mnist", {"horizon": 11}, "horizon: .*20 frames, not 21"),
        ("moving_mnist", {"digits": 3}, "digits: "),
        ("moving_mnist", {"test": 10_001}, "test: "),
        ("moving_mnist", {"train_npz": "a", "test_npz": "a"}, "test_npz: "),
        ("moving_mnist", {"train_npz": "a", "train": 5}, "train: "),
    ],
)
def test_options_that_cannot_be_met_are_named(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        build_dataset(name, **options)


def test_the_official_file_is_read_time_first(moving_files: Path) -> None:
    dataset = build_dataset("moving_mnist", test=CLIPS, context=4, horizon=3)
    dataset.prepare()
    test = dataset.split("test")
    expected = torch.from_numpy(sequences()[:7, 4]).unsqueeze(1) / 255
    assert torch.equal(test[4], expected)
    assert test.name(4) == "mnist_test_seq-4"


def test_an_official_file_of_floats_in_0_to_255_is_read_alike(moving_files: Path) -> None:
    path = moving_files.parent / "moving_fashion_mnist" / "fmnist_test_seq.npy"
    np.save(path, sequences(dtype=np.float32))
    dataset = build_dataset("moving_fashion_mnist", test_from="official", test=CLIPS)
    dataset.prepare()
    expected = torch.from_numpy(sequences()[:, 1:2]).float() / 255
    assert torch.equal(dataset.split("test")[1], expected)


def test_an_unpacked_file_of_images_serves_as_well(moving_files: Path) -> None:
    packed = moving_files / "train-images-idx3-ubyte.gz"
    before = build_dataset("moving_mnist", test=2)
    clip = before.split("train")[0]
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    after = build_dataset("moving_mnist", test=2)
    after.prepare()
    assert torch.equal(after.split("train")[0], clip)


def test_images_packed_anew_are_as_good(moving_files: Path) -> None:
    packed = moving_files / "train-images-idx3-ubyte.gz"
    packed.write_bytes(gzip.compress(gzip.decompress(packed.read_bytes()), 1))
    build_dataset("moving_mnist", test=2).prepare()


def test_validation_draws_from_images_that_training_never_sees(moving_files: Path) -> None:
    path = moving_files / "train-images-idx3-ubyte.gz"
    for kept, counts in ((("val",), (45, 5)), (("val", "test"), (40, 5, 5))):
        parts = [_moving.images_of_split(path, n, kept) for n in ("train", "val", "test")]
        assert tuple(len(part) for part in parts)[: len(counts)] == counts
        seen = [image.tobytes() for part in parts[: len(counts)] for image in part]
        assert len(seen) == len(set(seen)) == 50


def test_validation_may_draw_from_the_images_of_training(moving_files: Path) -> None:
    path = moving_files / "train-images-idx3-ubyte.gz"
    images = idx_images(path)
    for name in ("train", "val"):
        np.testing.assert_array_equal(_moving.images_of_split(path, name, ()), images)
    train, tested = (_moving.images_of_split(path, n, ("test",)) for n in ("train", "test"))
    assert (len(train), len(tested)) == (45, 5)
    dataset = build_dataset("moving_mnist", val=3, val_from="training", test=2)
    dataset.prepare()
    splits = {name: dataset.split(name) for name in ("train", "val")}
    assert not torch.equal(splits["train"][0], splits["val"][0])
    assert dataset.notes()["validates_on_training"]
    assert not build_dataset("moving_mnist", test=2).notes()["validates_on_training"]


def test_another_idx_file_may_be_the_source(moving_files: Path, data: Path) -> None:
    (data / "other-images").write_bytes(idx(30, side=20))
    dataset = build_dataset(
        "moving_mnist", source=str(data / "other-images"), test_from="generated"
    )
    dataset.prepare()
    assert dataset.split("train")[0].shape == (20, 1, 64, 64)
    assert [f.path.name for f in dataset.files()] == ["other-images"]


def packed_clips(path: Path, *, count: int, length: int = 20, two: bool = False) -> Any:
    """An npz file in the layout of the PredRNN project."""
    raw = np.random.default_rng(count).random((count * length, 1, 64, 64)).astype(np.float32)
    starts = np.arange(count) * length
    half = length // 2
    clips = np.zeros((2, count, 2), np.int64)
    clips[0, :, 0], clips[1, :, 0] = starts, (starts if two else starts + half)
    clips[:, :, 1] = half
    dims = np.array([[1, 64, 64]] * (2 if two else 1))
    arrays = {"clips": clips, "dims": dims, "input_raw_data": raw}
    if two:
        arrays["output_raw_data"] = raw[::-1].copy()
    np.savez(path, **arrays)
    return raw


def test_npz_files_of_predrnn_are_read(moving_files: Path) -> None:
    raw = packed_clips(moving_files / "train.npz", count=5)
    other = packed_clips(moving_files / "valid.npz", count=3)
    dataset = build_dataset("moving_mnist", train_npz="train.npz", test_npz="valid.npz", val=2)
    dataset.check()
    dataset.prepare()
    splits = {name: dataset.split(name) for name in ("train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "val": 2, "test": 3}
    np.testing.assert_array_equal(splits["train"][2], raw[40:60])
    np.testing.assert_array_equal(splits["val"][1], raw[80:100])
    np.testing.assert_array_equal(splits["test"][1], other[20:40])
    whole = build_dataset("moving_mnist", train_npz="train.npz", val=2, val_from="training", test=2)
    assert (len(whole.split("train")), len(whole.split("val"))) == (5, 2)
    assert torch.equal(whole.split("val")[1], splits["val"][1])
    shorter = build_dataset(
        "moving_mnist", train_npz="train.npz", val=2, test=1, context=4, horizon=8
    )
    np.testing.assert_array_equal(shorter.split("train")[1], raw[20:32])


def test_npz_files_with_outputs_of_their_own_are_read(moving_files: Path) -> None:
    raw = packed_clips(moving_files / "train.npz", count=4, two=True)
    dataset = build_dataset("moving_mnist", train_npz="train.npz", val=1, test=2)
    dataset.prepare()
    clip = dataset.split("train")[1].numpy()
    np.testing.assert_array_equal(clip[:10], raw[20:30])
    np.testing.assert_array_equal(clip[10:], raw[::-1][20:30])


def damaged_images(path: Path, how: str) -> None:
    content = idx(50)
    if how == "cut":
        path.write_bytes(gzip.compress(content)[:-100])
    elif how == "short":
        path.write_bytes(gzip.compress(content[:-1]))
    elif how == "labels":
        path.write_bytes(gzip.compress(struct.pack(">2I", 0x801, 5) + b"12345" * 4))
    elif how == "other":
        path.write_bytes(gzip.compress(idx(50, seed=9)))
    elif how == "page":
        path.write_bytes(b"<html>not found</html>")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "truncated or damaged"),
        ("short", "its header announces 50 images of 28x28"),
        ("labels", "starts with 0x00000801; expected an idx3 file"),
        ("other", "md5 of its unpacked content"),
        ("page", "expected an idx3 file"),
    ],
)
def test_wrong_images_are_named_before_any_training(
    moving_files: Path, how: str, message: str
) -> None:
    path = moving_files / "train-images-idx3-ubyte.gz"
    damaged_images(path, how)
    with pytest.raises(DataMissing, match=message) as caught:
        build_dataset("moving_mnist", test=2).check()
    assert str(path) in str(caught.value)


def test_wrong_test_files_are_named_with_what_was_expected(moving_files: Path) -> None:
    path = moving_files / "mnist_test_seq.npy"
    whole = path.read_bytes()
    dataset = build_dataset("moving_mnist", test=2)
    path.write_bytes(whole[:-5])
    with pytest.raises(DataMissing, match=r"its header announces \(20, 6, 64, 64\) of uint8"):
        dataset.check()
    np.save(path, sequences().transpose(1, 0, 2, 3))
    with pytest.raises(DataMissing, match=r"expected \(20, 6, 64, 64\).*not \(6, 20, 64, 64\)"):
        dataset.check()
    path.write_bytes(b"nonsense")
    with pytest.raises(DataMissing, match="expected an npy file"):
        dataset.check()
    path.write_bytes(whole)
    dataset.check()


def test_all_missing_files_are_told_at_once(data: Path) -> None:
    dataset = build_dataset("moving_mnist", train_npz="a.npz", test_npz="b.npz")
    with pytest.raises(DataMissing) as caught:
        dataset.check()
    assert str(data / "moving_mnist" / "a.npz") in str(caught.value)
    assert str(data / "moving_mnist" / "b.npz") in str(caught.value)


@pytest.mark.parametrize("lacking", ["clips", "input_raw_data"])
def test_an_npz_file_without_an_array_is_named(moving_files: Path, lacking: str) -> None:
    packed_clips(moving_files / "a.npz", count=3)
    with np.load(moving_files / "a.npz") as arrays:
        np.savez(moving_files / "b.npz", **{k: v for k, v in arrays.items() if k != lacking})
    with pytest.raises(DataMissing, match=f"lacks {lacking}"):
        build_dataset("moving_mnist", train_npz="b.npz", val=1, test=2).check()


def test_npz_clips_that_are_too_short_are_refused(moving_files: Path) -> None:
    packed_clips(moving_files / "a.npz", count=3, length=12)
    with pytest.raises(DataMissing, match="clips of 12 frames; expected 20 or more"):
        build_dataset("moving_mnist", train_npz="a.npz", val=1, test=2).check()


def test_real_official_sizes_are_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "mnist_test_seq.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (20, 10_000, 64, 64))  # a hole: takes no room
    assert inspect_npy(path).shape == (20, 10_000, 64, 64)
    from benchbench.datasets._sequences import inspect_sequences

    inspect_sequences(path, count=10_000)
    (tmp_path / "images").write_bytes(idx(5))
    inspect_idx(tmp_path / "images")
