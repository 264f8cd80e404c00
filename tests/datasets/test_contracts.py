"""What every registered dataset promises."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from benchbench.dataset import Dataset, Split, SplitName
from benchbench.registry import DATASETS, build_dataset

NAMES: tuple[SplitName, ...] = ("train", "val", "test")
CASES: dict[str, list[dict[str, Any]]] = {
    "moving_digits": [
        {"size": 32, "context": 3, "horizon": 2, "val": 4, "test": 5},
        {"size": 64, "digits": 3, "context": 2, "horizon": 2, "train": 6, "val": 4, "test": 5},
    ],
    "moving_mnist": [
        {"test": 5, "val": 4},
        {"test_from": "generated", "digits": 3, "train": 8, "test": 5, "val": 4, "horizon": 12},
    ],
    "moving_fashion_mnist": [{"test": 5, "val": 4}],
    "taxibj": [{"val": 10, "test": 12}, {"val": 10, "test": 12, "order": "as_published"}],
    "clips": [
        {
            "path": "mine.npy",
            "frame": [1, 8, 8],
            "context": 3,
            "horizon": 3,
            "shares": [0.4, 0.3, 0.3],
        }
    ],
}
EVERY = [(name, options) for name, cases in CASES.items() for options in cases]


@pytest.fixture(autouse=True)
def _files(moving_files: Path, taxi_files: Path, own_clips: Path) -> None:
    pass


@pytest.fixture(params=EVERY, ids=lambda case: f"{case[0]}-{EVERY.index(case)}")
def dataset(request: pytest.FixtureRequest) -> Dataset:
    name, options = request.param
    made = build_dataset(name, **options)
    made.check()
    made.prepare()
    made.prepare()
    return made


def sha(clip: torch.Tensor) -> str:
    return hashlib.sha256(clip.numpy().tobytes()).hexdigest()


def order(split: Split, count: int, workers: int, batch: int) -> str:
    """The hash of a split's first clips as a loader gives them."""
    some = torch.utils.data.Subset(split, range(count))
    loader = DataLoader(
        some,
        batch_size=batch,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    return sha(torch.cat(list(loader)))


def test_every_registered_dataset_has_a_case() -> None:
    assert set(CASES) == set(DATASETS.files())


@pytest.mark.parametrize("name", NAMES)
def test_clips_have_shape_type_and_range(dataset: Dataset, name: SplitName) -> None:
    split = dataset.split(name)
    for index in range(3):
        clip = split[index]
        assert clip.shape == dataset.clip.shape
        assert clip.dtype == torch.float32
        assert torch.isfinite(clip).all()
        assert clip.min() >= 0
        assert clip.max() <= 1
        assert clip.max() > 0.2
    assert len({sha(split[index]) for index in range(3)}) == 3


def test_only_training_may_be_endless_and_lengths_hold(dataset: Dataset) -> None:
    for name in NAMES:
        split = dataset.split(name)
        if split.length is None:
            assert name == "train"
            split[2**70]
            with pytest.raises(TypeError):
                len(split)
        else:
            split[len(split) - 1]
            with pytest.raises(IndexError):
                split[len(split)]


def test_splits_share_no_frame(dataset: Dataset) -> None:
    seen: dict[str, SplitName] = {}
    for name in NAMES:
        split = dataset.split(name)
        for index in range(min(split.length or 50, 200)):
            for frame in split[index]:
                if float(frame.max()) > 0:
                    assert seen.setdefault(sha(frame), name) == name


def test_ids_are_unique_and_across_splits_too(dataset: Dataset) -> None:
    ids = [dataset.split(n).id_of(i) for n in NAMES for i in range(dataset.split(n).length or 20)]
    assert len(ids) == len(set(ids))


def test_the_same_index_gives_the_same_clip_after_pickling(dataset: Dataset) -> None:
    for name in NAMES:
        split = dataset.split(name)
        again: Split = pickle.loads(pickle.dumps(split))
        assert sha(again[2]) == sha(split[2])
        assert again.id_of(2) == split.id_of(2)
        assert len(pickle.dumps(split)) < 200_000


@pytest.mark.parametrize("name", ["train", "test"])
def test_workers_batches_and_resuming_do_not_change_the_clips(
    dataset: Dataset, name: SplitName
) -> None:
    split = dataset.split(name)
    count = min(split.length or 5, 5)
    expected = order(split, count, 0, 1)
    assert order(split, count, 2, 2) == expected
    assert order(split, count, 0, 3) == expected
    resumed = torch.stack([split[i] for i in range(count - 1, -1, -1)]).flip(0)
    assert sha(resumed) == expected


def test_the_passport_is_json_and_the_same_for_the_same_options(dataset: Dataset) -> None:
    passport = dataset.fingerprint()
    assert json.loads(json.dumps(passport)) == passport
    assert dataset.fingerprint() == passport
    assert passport["splits"] == {name: dataset.split(name).length for name in NAMES}
    test = dataset.split("test")
    ids = "".join(f"{test.id_of(i)}\n" for i in range(len(test)))
    assert passport["test_ids"] == hashlib.sha256(ids.encode()).hexdigest()
    assert passport["test_first"] == sha(test[0])
    assert set(passport["files"]) == {file.path.name for file in dataset.files()}


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_building_reads_no_file(
    name: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nowhere"))
    build_dataset(name, **options)


@pytest.mark.parametrize("name", ["moving_digits", "moving_mnist", "moving_fashion_mnist"])
def test_another_seed_gives_other_clips(name: str) -> None:
    options = {"test_from": "generated"} if name != "moving_digits" else {}
    one, two = (build_dataset(name, seed=seed, **options) for seed in (0, 1))
    for part in NAMES:
        assert sha(one.split(part)[0]) != sha(two.split(part)[0])
        assert one.split(part).id_of(0) != two.split(part).id_of(0)


def test_splits_draw_different_clips_from_the_same_seed() -> None:
    from benchbench.datasets._bouncing import draws

    places = {draws(0, name, 0, 2, 100)[0] for name in NAMES}
    places |= {draws(0, "train", index, 2, 100)[0] for index in (1, 2**32, 2**64, 2**70)}
    places |= {draws(seed, "train", 0, 2, 100)[0] for seed in (1, 2**32, 2**64)}
    assert len(places) == 10


def test_draws_are_spread_evenly() -> None:
    from benchbench.datasets._bouncing import draws

    drawn = np.array([draws(0, "train", i, 1, 10)[0] for i in range(4000)])
    assert abs(drawn[:, :3].mean(0) - 0.5).max() < 0.02
    assert np.bincount(drawn[:, 3].astype(int), minlength=10).min() > 330
