"""Which split a person's own recordings are of, as the names of folders and files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.errors import DataMissing, SchemaError

from .recordings import build_own, lay_out

NAMES = ("train", "val", "test")


def shared(dataset: Any) -> list[list[int]]:
    """Numbers of the recordings of each split."""
    splits = [dataset.split(name) for name in NAMES]
    return [[round(float(split[i].max()) * 255) for i in range(len(split))] for split in splits]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train/a.npy", "valid/a.npy", "test/a.npy"),
        ("Training/a.npy", "Validation/a.npy", "TESTING/a.npy"),
        ("tr/a.npy", "dev/a.npy", "tst/a.npy"),
        ("train/a.npy", "eval/a.npy", "test/a.npy"),
        ("train/a.npy", "val/a.npy", "Evaluation/a.npy"),
        ("train_clips/a.npy", "clips-val/a.npy", "clips.test/a.npy"),
        ("train.npy", "val.npy", "test.npy"),
        ("train_01.npy", "val 01.npy", "walk-test-01.npy"),
        ("trainClips/a.npy", "valClips/a.npy", "TestClips/a.npy"),
        ("train1/a.npy", "val1/a.npy", "test1/a.npy"),
        ("trainA/a.npy", "valA/a.npy", "testA/a.npy"),
        ("Xtrain.npy", "XVal.npy", "Xtest.npy"),
        ("trainvideos/a.npy", "valvideos/a.npy", "testvideos/a.npy"),
        ("tr/a.npy", "va/a.npy", "te/a.npy"),
        ("ｔｒａｉｎ/a.npy", "ｖａｌ/a.npy", "ＴＥＳＴ/a.npy"),
        ("a/train/x.npy", "a/val/x.npy", "b/test/x.npy"),
        ("train/test_drive.npy", "val/train_ride.npy", "test/x.npy"),
        ("test_rig/train/x.npy", "test_rig/val/x.npy", "test_rig/test/x.npy"),
    ],
)
def test_names_of_folders_and_files_say_the_split(
    data: Path, train: str, val: str, test: str
) -> None:
    lay_out(data / "test" / "mine", [train, val, test])
    assert shared(build_own("test/mine")) == [[1], [2], [3]]


HALVES = [
    (
        ["train/a.npy", "train/b.npy", "test/a.npy"],
        r"2 for train, 1 for test, but none for val; give val_share: 0\.1 .* or give lists, or "
        "split_by: shares",
    ),
    (["TRAIN/a.npy", "Valid/b.npy"], "none for test; name recordings for test"),
    (["test/a.npy", "test/b.npy", "test/c.npy"], "none for train or val"),
    (
        ["train/a.npy", "val/a.npy", "test/a.npy", "more/a.npy"],
        r"'test/a\.npy' is named for a split and 'more/a\.npy' is not",
    ),
    (["train_1.npy", "test_1.npy", "walk_1.npy"], "expected all or none"),
    (["train/a.npy", "eval/a.npy"], r"'eval/a\.npy' is named for eval, beside train"),
    (["train/test/a.npy", "val/a.npy"], r"'train/test/a\.npy' is named for test and train"),
    (["train_test/a.npy", "val/a.npy"], "is named for test and train"),
    (["trainval/a.npy", "trainval/b.npy", "test/a.npy"], r"none for val; give val_share: 0\.1"),
]


@pytest.mark.parametrize(("names", "message"), HALVES)
def test_names_that_say_only_half_are_refused_never_shared_out(
    data: Path, names: list[str], message: str
) -> None:
    lay_out(data / "set", names)
    with pytest.raises(DataMissing, match=message):
        build_own("set")


def test_val_is_the_end_of_train_where_it_is_asked_for(data: Path) -> None:
    lay_out(data / "set", [f"train/{i}.npy" for i in range(4)] + ["test/0.npy"])
    assert shared(build_own("set", val_share=0.25)) == [[1, 2, 3], [4], [5]]
    with pytest.raises(DataMissing, match=r"4 recordings for train leave none"):
        build_own("set", val_share=0.9)
    with pytest.raises(SchemaError, match="val_share: expected a part between 0 and 1"):
        build_own("set", val_share=1.0)
    lay_out(data / "set", ["val/0.npy"])
    with pytest.raises(DataMissing, match="names do not say just train and test; leave it out"):
        build_own("set", val_share=0.25)


def test_names_are_looked_at_unless_shares_are_asked_for(data: Path) -> None:
    lay_out(data / "set", ["a_test.npy", "b_test.npy", "c_test.npy"])
    assert shared(build_own("set", split_by="shares")) == [[1], [2], [3]]


def test_words_that_only_begin_like_a_split_say_none(data: Path) -> None:
    lay_out(data / "set", ["latest/a.npy", "testbed/b.npy", "trainer/c.npy"])
    assert shared(build_own("set")) == [[1], [2], [3]]


@pytest.mark.parametrize("name", ["test.txt", "testlist01.txt", "splits/Train.csv", "split.json"])
def test_a_list_that_nothing_reads_is_told(data: Path, name: str) -> None:
    lay_out(data / "set", ["a.npy", "b.npy", "c.npy"])
    (data / "set" / name).parent.mkdir(exist_ok=True)
    (data / "set" / name).write_text("a.npy")
    with pytest.raises(DataMissing, match=rf"{name}: a list of a split, which nothing reads"):
        build_own("set")


@pytest.mark.parametrize("name", ["training notes.txt", "labels.csv", "list.txt", "lists/all.txt"])
def test_texts_that_list_no_split_are_left_alone(data: Path, name: str) -> None:
    lay_out(data / "set", ["a.npy", "b.npy", "c.npy"])
    (data / "set" / name).parent.mkdir(exist_ok=True)
    (data / "set" / name).write_text("a.npy")
    assert shared(build_own("set")) == [[1], [2], [3]]


def test_recordings_are_shared_out_in_the_order_of_their_numbers(data: Path) -> None:
    lay_out(data / "set", [f"day_{number}.npy" for number in range(1, 13)])
    assert shared(build_own("set"))[1:] == [[11], [12]]


def test_shares_that_leave_train_none_are_refused(data: Path) -> None:
    lay_out(data / "set", [f"{name}.npy" for name in "abcd"])
    with pytest.raises(DataMissing, match="leave train none"):
        build_own("set", shares=[0.01, 0.01, 0.98])


def test_recordings_too_short_for_a_clip_are_named_and_not_used(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay_out(data / "set", ["a.npy", "b.npy", "c.npy", "d.npy"])
    np.save(data / "set" / "c.npy", np.zeros((2, 1, 8, 8), np.uint8))
    assert shared(build_own("set")) == [[1], [2], [4]]
    assert "1 of 4 recordings have fewer than 3 frames and are not used: c.npy (2)" in caplog.text
