"""TaxiBJ: whole days, windows, scaling and order, on made-up raw files; and OpenSTL's file.

`tests/goldens/data_taxibj.npz` was recorded from var_sep/data/taxibj.py (which follows MIM's
loader line for line) on made-up years with holes, missing days and negative values.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from benchbench.clip import Clip
from benchbench.datasets import _lookback, _openstl, _taxibj, taxibj
from benchbench.errors import DataMissing, SchemaError
from benchbench.predictor import Progress
from benchbench.registry import build_dataset, build_model

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


def deepst(index: int, low: float, high: float) -> Any:
    """A recorded sample in time, scaled: frames a week before, days before, the last, the next."""
    stacks = [GOLDEN[f"out/st_{kind}"][index] for kind in ("xt", "xp", "xc", "y")]
    # theirs are the nearest first
    frames = np.concatenate([stack.reshape(-1, 2, 2, 3)[::-1] for stack in stacks])
    return np.clip((frames.astype(np.float64) - low) / (high - low), 0, 1)


def test_frames_of_days_and_weeks_before_equal_the_recorded_samples(recorded: Path) -> None:
    clip = Clip(2, 2, 3, 3 + 3, 1, trend=1, period=2)
    dataset = taxibj.TaxiBJ(clip, "forward", "every", 1, 150)
    dataset.prepare()
    windows = dataset.split("train")
    assert isinstance(windows, taxibj.TaxiWindows)
    years = _taxibj.load_years(dataset._paths())
    starts = _taxibj.window_starts(years.slots, years.years, 4, anchored=False)
    earlier = _lookback.earlier(years, starts, clip)
    # the year of the recorded samples
    chosen = (earlier >= 0).all(axis=(1, 2)) & (years.years[starts] == 2)
    windows = dataclasses.replace(
        windows,
        starts=starts[chosen],
        length=int(chosen.sum()),
        lookback=_lookback.Lookback(earlier[chosen], None),
    )
    assert len(windows) == GOLDEN["out/st_count"]
    first = _taxibj.date_of(int(years.slots[windows.starts[0] + 3]))
    assert first == GOLDEN["out/st_first_date"].item().decode()
    for index in range(len(GOLDEN["out/st_y"])):
        expected = deepst(index, windows.low, windows.high)
        np.testing.assert_allclose(windows[index].numpy(), expected, atol=1e-6)


def test_windows_without_all_of_their_earlier_frames_are_dropped(recorded: Path) -> None:
    clip = Clip(2, 2, 3, 4 + 4, 4, period=1)
    plain, dataset = small(), dataclasses.replace(small(), clip=clip)
    years = _taxibj.load_years(dataset._paths())
    spans = dataset.spans(years)
    assert len(spans.train) < len(plain.spans(years).train)
    for starts in (spans.train, spans.val, spans.test):
        assert (_lookback.earlier(years, starts, clip) >= 0).all()


def test_the_calendar_equals_the_recorded() -> None:
    first = _taxibj.slot_of(GOLDEN["out/st_first_date"].item().decode())
    table = _lookback.calendar(np.arange(first, first + 49), {"20150311"})
    np.testing.assert_array_equal(table[:40, :8], GOLDEN["out/st_timevec"])
    assert not table[:48, 8].any()
    assert table[48, 8] == 1


@pytest.fixture
def weather(taxi_files: Path) -> Any:
    """(frames, 19) raw weather of all days of the raw files, which lacks a half hour."""
    dates = [
        s
        for first in ("20130701", "20140301", "20150301", "20160101")
        for d in days(first, 4)
        for s in slots(d)
    ]
    rng = np.random.default_rng(0)
    values = {
        "Weather": np.eye(17)[rng.integers(0, 17, len(dates))],
        "WindSpeed": rng.uniform(0, 30, len(dates)),
        "Temperature": rng.uniform(-10, 35, len(dates)),
    }
    gap = dates.index("2013070220")
    with h5py.File(taxi_files / "BJ_Meteorology.h5", "w") as file:
        file["date"] = np.array([d.encode() for n, d in enumerate(dates) if n != gap])
        for name, array in values.items():
            file[name] = np.delete(array, gap, axis=0)
    (taxi_files / "BJ_Holiday.txt").write_text("20130702\n20160101\n")
    return dates, np.column_stack(list(values.values()))


def test_a_frame_of_factors_tells_its_day_and_the_weather_of_the_last_frame(weather: Any) -> None:
    dataset = build_dataset(
        "taxibj", val=2, test=4, counting="every", period=1, factors=True, context=2, horizon=2
    )
    dataset.prepare()
    assert dataset.clip == Clip(2, 32, 32, 2 + 2 * 2, 2, factors=28, period=1)
    train = dataset.split("train")
    dates, raw = weather
    name = train.name(0)
    assert name == "2013070147"  # two half hours before the first of the second day
    day = train[0]
    factors = day[[0, 2]].flatten(1)
    assert not factors[:, 28:].any()
    tuesday_and_holiday = [0, 1, 0, 0, 0, 0, 0, 1, 1]
    assert factors[:, :9].tolist() == [tuesday_and_holiday] * 2
    assert torch.equal(factors[0, 9:], factors[1, 9:])  # no later weather is known
    last = dates.index(name) + 1  # of the two that are read
    assert factors[0, 9:26].tolist() == raw[last, :17].tolist()
    assert day.min() >= 0
    assert day.max() <= 1


def test_weather_that_was_not_recorded_is_the_latest_before(weather: Any) -> None:
    dates, raw = weather
    table = _lookback.read_factors(
        np.array([_taxibj.slot_of(d) for d in ("2013070219", "2013070220")]), 2
    )
    gap = dates.index("2013070220")
    assert table.weather[1, :17].tolist() == raw[gap - 1, :17].tolist()


def test_st_resnet_trains_on_all_that_taxibj_gives(weather: Any) -> None:
    dataset = build_dataset("taxibj", val=2, test=4, counting="every", period=1, factors=True)
    dataset.prepare()
    predictor = build_model("st_resnet", dataset.clip, units=1, width=4)
    frames = torch.stack([dataset.split("train")[i] for i in range(2)])
    context, target = frames.split([dataset.clip.context, dataset.clip.horizon], dim=1)
    (loss,) = predictor.losses(context, target, Progress(step=0, steps=1)).values()
    loss.backward()
    assert all(p.grad is not None for p in predictor.parameters())
    assert predictor(context, 4).shape == target.shape


def test_factors_need_two_further_files(taxi_files: Path) -> None:
    with pytest.raises(DataMissing, match=r"(?s)BJ_Meteorology\.h5.*BJ_Holiday\.txt"):
        build_dataset("taxibj", factors=True).check()


def test_a_file_of_holidays_must_hold_dates(weather: Any, taxi_files: Path) -> None:
    (taxi_files / "BJ_Holiday.txt").write_text("1 May\n")
    with pytest.raises(DataMissing, match="expected a date yyyymmdd"):
        build_dataset("taxibj", factors=True).check()


@pytest.mark.parametrize("options", [{"source": "openstl"}, {"order": "as_published"}])
def test_frames_of_other_times_are_refused_where_there_are_none(options: Any) -> None:
    with pytest.raises(SchemaError, match="trend: frames of other times stand in the raw files"):
        build_dataset("taxibj", trend=1, **options)


@pytest.mark.parametrize("options", [{"period": 1, "horizon": 49}, {"trend": 1, "horizon": 337}])
def test_no_frame_of_the_future_is_read(options: Any) -> None:
    with pytest.raises(SchemaError, match="horizon: frames of the day or week before reach"):
        build_dataset("taxibj", **options)
    build_dataset("taxibj", **{**options, "horizon": options["horizon"] - 1})
