"""TaxiBJ: whole days, windows, scaling and order, on made-up raw files; and OpenSTL's file.

`tests/goldens/data_taxibj.npz` was recorded from var_sep/data/taxibj.py (which follows MIM's
loader line for line) on made-up years with holes, missing days and negative values.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from benchbench.clip import Clip
from benchbench.datasets import _openstl, _taxibj, taxibj
from benchbench.errors import DataMissing, SchemaError
from benchbench.registry import build_dataset

from .conftest import days, slots, write_h5

GOLDEN = np.load(Path(__file__).parents[1] / "goldens" / "data_taxibj.npz")


@pytest.fixture
def recorded(data: Path) -> Path:
    folder = data / "taxibj"
    folder.mkdir()
    for year in (13, 14, 15, 16):
        with h5py.File(folder / f"BJ{year}_M32x32_T30_InOut.h5", "w") as file:
            file["date"] = GOLDEN[f"in/date{year}"]
            file["data"] = GOLDEN[f"in/data{year}"]
    return folder


def small(order: Any = "forward", *, counting: Any = "published") -> taxibj.TaxiBJ:
    dataset = taxibj.TaxiBJ(Clip(2, 2, 3, 4, 4), order, counting, 48, 96)
    dataset.prepare()
    return dataset


def clips_of(split: Any) -> Any:
    """As recorded: (N, T, H, W, C)."""
    return np.stack([split[i].numpy() for i in range(len(split))]).transpose(0, 1, 3, 4, 2)


def test_test_windows_equal_the_recorded_ones_newest_first(recorded: Path) -> None:
    test = small("as_published").split("test")
    np.testing.assert_array_equal(clips_of(test), GOLDEN["out/mim_test"])


def test_time_runs_forwards_by_default(recorded: Path) -> None:
    test = small().split("test")
    np.testing.assert_array_equal(clips_of(test), GOLDEN["out/mim_test"][:, ::-1])
    assert build_dataset("taxibj").order == "forward"  # type: ignore[attr-defined]


def test_training_windows_counts_and_extremes_equal_the_recorded_ones(recorded: Path) -> None:
    dataset = small("as_published")
    notes = dataset.notes()
    assert notes["published_train"] == GOLDEN["out/mim_train_count"] == 1736
    assert notes["minimum"] == GOLDEN["out/mmn_min"]
    assert notes["maximum"] == GOLDEN["out/mmn_max"]
    first = clips_of(dataset.split("train"))[:2]
    np.testing.assert_array_equal(first, GOLDEN["out/mim_train_first2"])


def test_the_two_published_counts_follow_from_frames_and_runs(recorded: Path) -> None:
    every, anchored = small(counting="every"), small()
    runs, frames = anchored.notes()["runs"], anchored.notes()["frames"]
    assert anchored.notes()["published_train"] + 96 == frames - 8 * runs
    assert every.notes()["published_train"] + 96 == frames - 7 * runs
    assert 445 * 48 - 8 * 57 == 19_560 + 1_344


def test_only_days_with_a_first_and_a_last_slot_are_kept() -> None:
    whole, no_end, hole = slots("20130701"), slots("20130702")[:-1], slots("20130703")
    del hole[10]
    dates = [*no_end, *whole, *hole, *slots("20130705")]
    whole_dates = [dates[i] for i in _taxibj.whole_days(dates)]
    assert whole_dates == [*whole, *slots("20130705")]


def test_windows_cross_midnight_but_no_missing_day_and_no_year() -> None:
    dates = [s for d in ("20130701", "20130702", "20130704") for s in slots(d)]
    slots_of = np.array([_taxibj.slot_of(d) for d in dates])
    years = np.zeros(len(dates), np.int64)
    starts = _taxibj.window_starts(slots_of, years, 8, anchored=False)
    assert len(starts) == 144 - 7 * 2
    for start in starts:
        assert slots_of[start + 7] - slots_of[start] == 7
    years[48:] = 1
    assert len(_taxibj.window_starts(slots_of, years, 8, anchored=False)) == 144 - 7 * 3


def test_dates_and_slots_are_one_another() -> None:
    for date in ("2013070101", "2015022848", "2016022901"):
        assert _taxibj.date_of(_taxibj.slot_of(date)) == date
    assert _taxibj.slot_of("2016030101") - _taxibj.slot_of("2016022848") == 48 + 1


def test_negative_values_are_zero_and_scaling_ignores_the_test(taxi_files: Path) -> None:
    path = taxi_files / "BJ16_M32x32_T30_InOut.h5"
    with h5py.File(path, "r+") as file:
        file["data"][-1, 0, 0, 0] = 5000  # in the test: must not widen the range
        file["data"][0, 0, 0, 0] = 2000
    dataset = build_dataset("taxibj", val=10, test=12)
    dataset.prepare()
    notes = dataset.notes()
    assert (notes["minimum"], notes["maximum"]) == (0, 2000)
    assert dataset.split("test")[11].max() <= 1


def test_splits_follow_one_another_in_time(taxi_files: Path) -> None:
    dataset = build_dataset("taxibj", val=10, test=12)
    dataset.prepare()
    spans = [
        [_taxibj.slot_of(dataset.split(n).name(i)) for i in range(len(dataset.split(n)))]
        for n in ("train", "val", "test")
    ]
    for before, after in itertools.pairwise(spans):
        assert before == sorted(before)
        assert before[-1] + 8 <= after[0]
    assert [len(s) for s in spans[1:]] == [10, 12]
    shared = build_dataset("taxibj", val=10, val_from="training", test=12)
    assert torch.equal(shared.split("val")[3], dataset.split("val")[3])
    assert len(shared.split("train")) == len(dataset.split("train")) + 10 + 7
    assert shared.split("train").name(-1) == dataset.split("val").name(-1)
    assert shared.notes()["validates_on_training"]


def test_all_missing_years_are_named_with_where_to_get_them(taxi_files: Path) -> None:
    for year in ("BJ13", "BJ15"):
        (taxi_files / f"{year}_M32x32_T30_InOut.h5").unlink()
    with pytest.raises(DataMissing) as caught:
        build_dataset("taxibj").check()
    message = str(caught.value)
    absent = "no BJ13_M32x32_T30_InOut.h5, BJ15_M32x32_T30_InOut.h5; get them from https://1drv.ms/"
    assert f"{taxi_files}: {absent}" in message
    assert "BJ14" not in message


def test_wrong_years_are_named(taxi_files: Path) -> None:
    path = taxi_files / "BJ14_M32x32_T30_InOut.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataMissing, match=r"BJ14.*truncated or no HDF5 file"):
        build_dataset("taxibj").check()
    write_h5(path, slots("20140301"), frame=(2, 16, 16))
    with pytest.raises(DataMissing, match=r"BJ14.*expected .*\(N, 2, 32, 32\)"):
        build_dataset("taxibj").check()
    write_h5(path, [s for d in reversed(days("20140301", 2)) for s in slots(d)])
    with pytest.raises(DataMissing, match="increasing order"):
        build_dataset("taxibj", val=10, test=12).prepare()


def test_too_few_windows_are_told(taxi_files: Path) -> None:
    with pytest.raises(DataMissing, match="windows; expected more than val"):
        build_dataset("taxibj").prepare()


def openstl_file(data: Path, *, newest_first: bool = False, shuffled: bool = False) -> Any:
    """60 training and 20 test windows of 4 + 4 frames in [-1, 1]; returns frames in [0, 1]."""
    frames = np.random.default_rng(5).random((100, 2, 32, 32)).astype(np.float32)
    starts = np.arange(80)
    if shuffled:
        starts = np.random.default_rng(0).permutation(80)
    windows = np.stack([frames[s : s + 8] for s in starts])
    if newest_first:
        windows = windows[:, ::-1]
    stored = windows * 2 - 1
    (data / "taxibj").mkdir()
    np.savez_compressed(
        data / "taxibj" / "dataset.npz",
        X_train=stored[:60, :4],
        Y_train=stored[:60, 4:],
        X_test=stored[60:, :4],
        Y_test=stored[60:, 4:],
    )
    return frames


@pytest.mark.parametrize("newest_first", [False, True])
def test_openstl_clips_run_forwards_however_they_are_stored(data: Path, newest_first: bool) -> None:
    frames = openstl_file(data, newest_first=newest_first)
    dataset = build_dataset("taxibj", source="openstl", val=10)
    dataset.check()
    dataset.prepare()
    stored = "newest_first" if newest_first else "oldest_first"
    assert dataset.notes()["stored"] == stored
    test, train = dataset.split("test"), dataset.split("train")
    assert (len(train), len(dataset.split("val")), len(test)) == (60 - 10 - 7, 10, 20)
    torch.testing.assert_close(test[3], torch.from_numpy(frames[63:71]), atol=1e-6, rtol=0)
    torch.testing.assert_close(train[5], torch.from_numpy(frames[5:13]), atol=1e-6, rtol=0)
    shared = build_dataset("taxibj", source="openstl", val=10, val_from="training")
    assert (len(shared.split("train")), len(shared.split("val"))) == (60, 10)
    assert shared.notes()["validates_on_training"]
    as_stored = build_dataset("taxibj", source="openstl", val=10, order="as_published")
    expected = torch.from_numpy(frames[63:71])
    expected = expected.flip(0) if newest_first else expected
    torch.testing.assert_close(as_stored.split("test")[3], expected, atol=1e-6, rtol=0)


def test_openstl_clips_out_of_order_are_not_guessed_at(data: Path) -> None:
    openstl_file(data, shuffled=True)
    with pytest.raises(DataMissing, match="order: as_published"):
        build_dataset("taxibj", source="openstl", val=10).prepare()
    build_dataset("taxibj", source="openstl", val=10, order="as_published").prepare()


def test_openstl_file_without_an_array_is_named(data: Path) -> None:
    (data / "taxibj").mkdir()
    np.savez(data / "taxibj" / "dataset.npz", X_train=np.zeros((3, 4, 2, 32, 32)))
    with pytest.raises(DataMissing, match="lacks Y_train, X_test, Y_test"):
        build_dataset("taxibj", source="openstl").check()


def test_openstl_clips_have_four_frames_each_way() -> None:
    with pytest.raises(SchemaError, match="horizon: "):
        build_dataset("taxibj", source="openstl", horizon=8)


def test_order_detection_looks_at_most_neighbours() -> None:
    frames = np.arange(40, dtype=np.float32)
    windows = np.stack([frames[s : s + 8] for s in range(30)])[..., None, None, None]
    assert _openstl.stored_order(windows[:, :4], windows[:, 4:]) == "oldest_first"
    turned = windows[:, ::-1]
    assert _openstl.stored_order(turned[:, :4], turned[:, 4:]) == "newest_first"
    still = np.zeros((30, 8, 1, 1, 1), np.float32)
    assert _openstl.stored_order(still[:, :4], still[:, 4:]) == "unknown"
