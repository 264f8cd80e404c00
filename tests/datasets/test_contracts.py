"""What every registered dataset promises."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from benchbench.data.passport import MANY, passport
from benchbench.dataset import SPLITS, Dataset, Split, SplitName
from benchbench.errors import DataMissing
from benchbench.registry import DATASETS, build_dataset

from ..stand_ins import install

Options = dict[str, Any]

SMALL = {"val": 4, "test": 5}
"""What a dataset is tried with that is not in `EXAMPLES`, as far as it has such options."""

EXAMPLES: dict[str, list[Options]] = {
    "moving_digits": [
        {"size": 32, "context": 3, "horizon": 2, "val": 4, "test": 5},
        {"size": 64, "digits": 3, "context": 2, "horizon": 2, "train": 6, "val": 4, "test": 5},
    ],
    "moving_mnist": [
        SMALL,
        {"test_from": "generated", "digits": 3, "train": 8, "test": 5, "val": 4, "horizon": 12},
    ],
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
"""Further options, or those without which a dataset cannot be built."""

CASES = [(name, each) for name in DATASETS.names() for each in EXAMPLES.get(name, [{}])]


@pytest.fixture(autouse=True)
def _files(moving_files: Path, taxi_files: Path, own_clips: Path) -> None:
    pass


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{CASES.index(case)}")
def case(request: pytest.FixtureRequest) -> tuple[str, Options]:
    """A dataset's name, and options that make it small."""
    name, options = request.param
    parameters = DATASETS.get(name).options
    options = options or {key: count for key, count in SMALL.items() if key in parameters}
    needed = {key for key, each in parameters.items() if each.default is each.empty} - set(options)
    if needed:
        pytest.skip(f"{name} needs {', '.join(sorted(needed))}: write some into EXAMPLES")
    return name, options


@pytest.fixture
def dataset(case: tuple[str, Options]) -> Dataset:
    name, options = case
    dataset = build_dataset(name, **options)
    try:
        for file in dataset.files():
            file.require()
    except DataMissing as error:
        pytest.skip(f"{error}; let a fixture write a small one")
    dataset.check()
    dataset.prepare()
    dataset.prepare()
    return dataset


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


@pytest.mark.parametrize("name", SPLITS)
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
    for name in SPLITS:
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
    for name in SPLITS:
        split = dataset.split(name)
        for index in range(min(split.length or 50, 200)):
            for frame in split[index]:
                if float(frame.max()) > 0:
                    assert seen.setdefault(sha(frame), name) == name


def test_names_are_unique_and_across_splits_too(dataset: Dataset) -> None:
    names = [dataset.split(n).name(i) for n in SPLITS for i in range(dataset.split(n).length or 20)]
    assert len(names) == len(set(names))


def test_the_same_index_gives_the_same_clip_after_pickling(dataset: Dataset) -> None:
    for name in SPLITS:
        split = dataset.split(name)
        again: Split = pickle.loads(pickle.dumps(split))
        assert sha(again[2]) == sha(split[2])
        assert again.name(2) == split.name(2)
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
    facts = passport(dataset, name="x", version=3)
    assert json.loads(json.dumps(facts)) == facts
    assert passport(dataset, name="x", version=3) == facts
    assert facts["splits"] == {name: dataset.split(name).length for name in SPLITS}
    test = dataset.split("test")
    names = "".join(f"{test.name(i)}\n" for i in range(len(test)))
    assert facts["test_ids"] == hashlib.sha256(names.encode()).hexdigest()
    assert facts["test_first"] == sha(test[0])
    count = len(dataset.files())
    assert len(facts["files"]) == (count if count <= MANY else 1)


def test_building_reads_no_file(
    case: tuple[str, Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nowhere"))
    name, options = case
    build_dataset(name, **options)


@pytest.mark.parametrize("name", ["moving_digits", "moving_mnist", "moving_fashion_mnist"])
def test_another_seed_gives_other_clips(name: str) -> None:
    options = {"test_from": "generated"} if name != "moving_digits" else {}
    one, two = (build_dataset(name, seed=seed, **options) for seed in (0, 1))
    for part in SPLITS:
        assert sha(one.split(part)[0]) != sha(two.split(part)[0])
        assert one.split(part).name(0) != two.split(part).name(0)


GRATINGS = """
'Gratings that drift, a dataset of another package.'

from dataclasses import dataclass

import torch

from benchbench.clip import Clip
from benchbench.dataset import Dataset, Split
from benchbench.registry import register_dataset


@dataclass(frozen=True)
class Drifting(Split):
    split: str
    length: int | None

    def clip(self, index):
        draw = torch.Generator().manual_seed(hash((len(self.split), index)) % 2**60)
        start = torch.rand((), generator=draw)
        places = torch.arange(8) / 8 + start + torch.arange(5)[:, None] / 20
        return (0.5 + 0.5 * torch.sin(6.28 * places)).repeat_interleave(8).reshape(5, 1, 8, 8)

    def name(self, index):
        return f"{self.split}-{index}"


@register_dataset("gratings")
@dataclass(kw_only=True)
class Gratings(Dataset):
    val: int = 1000
    test: int = 1000

    clip = Clip(1, 8, 8, 3, 2)

    def split(self, name):
        return Drifting(name, {"train": None, "val": self.val, "test": self.test}[name])

    def files(self):
        return ()
"""


@pytest.mark.slow
def test_a_dataset_of_another_package_is_met_by_all_of_this(tmp_path: Path) -> None:
    points = "[benchbench.datasets]\ngratings = drifting\n"
    folder = install(tmp_path / "site", points, drifting=GRATINGS)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    ended = subprocess.run(
        [*pytest_here, "-k", "gratings"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^11 passed, \d+ deselected in", ended.stdout, re.M), ended.stdout


def test_splits_draw_different_clips_from_the_same_seed() -> None:
    from benchbench.datasets._bouncing import draws

    places = {draws(0, name, 0, 2, 100)[0] for name in SPLITS}
    places |= {draws(0, "train", index, 2, 100)[0] for index in (1, 2**32, 2**64, 2**70)}
    places |= {draws(seed, "train", 0, 2, 100)[0] for seed in (1, 2**32, 2**64)}
    assert len(places) == 10


def test_draws_are_spread_evenly() -> None:
    from benchbench.datasets._bouncing import draws

    drawn = np.array([draws(0, "train", i, 1, 10)[0] for i in range(4000)])
    assert abs(drawn[:, :3].mean(0) - 0.5).max() < 0.02
    assert np.bincount(drawn[:, 3].astype(int), minlength=10).min() > 330
