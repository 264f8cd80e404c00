"""Data are their content: the same bytes are the same run wherever they lie, others another."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from benchbench import registry
from benchbench.clip import Clip
from benchbench.data import digests
from benchbench.data.download import DataFile
from benchbench.dataset import Dataset, Split, SplitName
from benchbench.errors import BenchError, DataMissing, SchemaError
from benchbench.registry import Entry
from benchbench.run import execute
from benchbench.run.job import Job, jobs
from benchbench.run.record import Store
from benchbench.suite.data import open_data
from benchbench.suite.plan import plan

from ..stand_ins import ComputedSplit, bench

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def clips(path: object, **options: Any) -> dict[str, Any]:
    """A dataset of a suite."""
    more = {"frame": [1, 8, 8], "context": 2, "horizon": 1, **options}
    return {"name": "clips", "options": {"path": str(path), **more}}


def suite(*datasets: dict[str, Any], **changes: Any) -> str:
    train = {"steps": 2, "batch": 2, "validate_every": 1}
    keys = {"datasets": list(datasets), "models": ["persistence"], "train": train}
    return yaml.safe_dump({**keys, **changes})


def recordings(folder: Path, count: int = 4, seed: int = 0) -> Path:
    """A folder of small arrays."""
    values = np.random.default_rng(seed).random((count, 6, 1, 8, 8)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    for number, array in enumerate(values):
        np.save(folder / f"{number}.npy", array)
    return folder


def key(path: Path, *overrides: str) -> str:
    """The key of the one run of a suite."""
    (run,) = plan(path, overrides).runs
    return run.spec.key


def one(folder: Path) -> dict[str, Any]:
    return clips(recordings(folder), axes="TCHW")


def test_the_same_bytes_in_another_folder_are_the_same_run(
    write_suite: Write, tmp_path: Path
) -> None:
    path = write_suite(suite(one(tmp_path / "here")))
    before = key(path)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert key(path, f"datasets.0.options.path={tmp_path / 'there'}") == before
    shutil.rmtree(tmp_path / "here")
    (tmp_path / "here").symlink_to(tmp_path / "there")
    assert key(path) == before


def test_another_file_under_the_same_name_is_another_run(
    write_suite: Write, tmp_path: Path
) -> None:
    path = write_suite(suite(one(tmp_path / "set")))
    before = key(path)
    recordings(tmp_path / "set", seed=1)
    assert key(path) != before
    recordings(tmp_path / "set", seed=0)
    assert key(path) == before


@pytest.mark.parametrize("change", ["gain", "loss", "rename", "move", "swap"])
def test_any_change_of_what_is_in_a_folder_is_another_run(
    write_suite: Write, tmp_path: Path, change: str
) -> None:
    path, folder = write_suite(suite(one(tmp_path / "set"))), tmp_path / "set"
    before = key(path)
    if change == "gain":
        shutil.copy(folder / "0.npy", folder / "9.npy")
    elif change == "loss":
        (folder / "0.npy").unlink()
    elif change == "rename":
        (folder / "0.npy").rename(folder / "00.npy")
    elif change == "move":
        (folder / "more").mkdir()
        (folder / "0.npy").rename(folder / "more" / "0.npy")
    else:
        (folder / "0.npy").rename(folder / "x")
        (folder / "1.npy").rename(folder / "0.npy")
        (folder / "x").rename(folder / "1.npy")
    assert key(path) != before


def test_how_the_data_are_cut_and_the_lists_of_splits_are_of_the_key(
    write_suite: Write, tmp_path: Path
) -> None:
    path = write_suite(suite(one(tmp_path / "set")))
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, lines in (("train", "0.npy\n1.npy"), ("val", "2.npy"), ("test", "3.npy")):
        (lists / f"{name}.txt").write_text(lines)
    option = f"datasets.0.options.lists={lists}"
    keys = [key(path), key(path, "datasets.0.options.stride=1"), key(path, option)]
    (lists / "train.txt").write_text("0.npy")
    keys.append(key(path, option))
    assert len(set(keys)) == 4
    lists.rename(tmp_path / "elsewhere")
    assert key(path, f"datasets.0.options.lists={tmp_path / 'elsewhere'}") == keys[-1]


def test_a_relative_place_is_looked_for_beside_the_suite_first_then_in_the_data_folder(
    write_suite: Write, tmp_path: Path, cache: Path
) -> None:
    path = write_suite(suite(clips("set", axes="TCHW")))
    (run,) = plan(path).runs
    assert run.missing
    told = bench("plan", path, "--results", tmp_path / "results")
    assert str(cache / "set") in told
    assert f"was looked for below {tmp_path}" in told.replace("\n", "")
    recordings(cache / "set", seed=1)
    theirs = key(path)
    recordings(tmp_path / "set")
    assert key(path) != theirs
    (run,) = plan(path).runs
    assert run.spec.dataset_options["path"] == str(tmp_path / "set")


def test_two_datasets_of_the_same_content_in_one_suite_are_told(
    write_suite: Write, tmp_path: Path
) -> None:
    first = {**one(tmp_path / "a"), "label": "A"}
    second = {**one(tmp_path / "b"), "label": "B"}
    with pytest.raises(SchemaError, match="'B' has the same data as 'A', cut alike; drop one"):
        plan(write_suite(suite(first, second)))
    recordings(tmp_path / "b", seed=1)
    assert len(plan(write_suite(suite(first, second))).runs) == 2


def test_two_datasets_that_are_not_there_are_not_taken_for_one(
    write_suite: Write, tmp_path: Path
) -> None:
    two = [{**clips(tmp_path / name), "label": name} for name in "ab"]
    assert [run.missing for run in plan(write_suite(suite(*two))).runs] == [True, True]


def planned(path: Path, tmp_path: Path) -> Job:
    (job,) = jobs(plan(path), Store(tmp_path / "results"))
    return job


def test_a_file_that_changed_since_the_plan_is_named_before_anything_is_run(
    write_suite: Write, tmp_path: Path
) -> None:
    path = write_suite(suite(one(tmp_path / "set")))
    spec, results = planned(path, tmp_path).run.spec, tmp_path / "results"
    open_data(spec, results)
    recordings(tmp_path / "set", seed=1, count=1)
    (tmp_path / "set" / "3.npy").rename(tmp_path / "set" / "4.npy")
    with pytest.raises(DataMissing) as caught:
        open_data(spec, results)
    folder = tmp_path / "set"
    for text in (
        f"{folder}/0.npy has changed", f"{folder}/3.npy is gone", f"{folder}/4.npy is new",
        "put them back, or run the suite again",
    ):  # fmt: skip
        assert text in str(caught.value)
    shutil.rmtree(folder)
    with pytest.raises(DataMissing, match="give the new place as 'path' in the suite"):
        open_data(spec, results)


def test_a_file_that_changes_while_it_is_tested_leaves_no_record(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned(write_suite(suite(one(tmp_path / "set"))), tmp_path)

    def replaced(*arguments: Any, **options: Any) -> list[str]:
        files = score(*arguments, **options)
        recordings(tmp_path / "set", seed=1, count=1)
        return files

    score = execute.score
    monkeypatch.setattr(execute, "score", replaced)
    with pytest.raises(DataMissing, match=r"set/0\.npy has changed"):
        execute.execute(job, torch.device("cpu"), lambda _: None)
    assert job.store.read(job.run.spec) is None


def test_scores_of_a_finished_run_are_never_of_other_data(
    write_suite: Write, tmp_path: Path
) -> None:
    path = write_suite(suite(one(tmp_path / "set"), store_predictions=True))
    results = ("--results", tmp_path / "results")
    bench("run", path, *results)
    job = planned(path, tmp_path)
    assert job.done
    recordings(tmp_path / "set", seed=1, count=1)
    with pytest.raises(DataMissing, match=r"set/0\.npy has changed"):
        bench("rescore", job.key, "-p", "mim", *results)
    assert not planned(path, tmp_path).done
    recordings(tmp_path / "set")
    (tmp_path / "set").rename(tmp_path / "moved")
    there = f"datasets.0.options.path={tmp_path / 'moved'}"
    with pytest.raises(DataMissing, match="give the new place as 'path' in the suite"):
        bench("rescore", job.key, "-p", "mim", *results)
    assert "0 to run, 1 done" in bench("plan", path, there, *results)
    bench("run", path, there, "protocols=[benchbench, mim]", *results)


@dataclass(kw_only=True)
class Mine(Dataset):
    """What a third party writes: clip, split and files."""

    where: Any
    mode: str = "a"
    told: bool = True
    clip = Clip(1, 8, 8, 1, 1)

    def split(self, name: SplitName) -> Split:
        return ComputedSplit(lambda index: torch.full((2, 1, 8, 8), 0.5), 2)

    def files(self) -> list[DataFile]:
        if not self.told:
            return []
        places = [self.where] if isinstance(self.where, str) else self.where
        return [DataFile(file) for place in places for file in sorted(Path(place).iterdir())]


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DATASETS.entries, "mine", Entry("mine", Mine, 1))


@pytest.mark.usefixtures("mine")
def test_a_third_partys_dataset_needs_no_more_than_its_files(
    write_suite: Write, tmp_path: Path
) -> None:
    def of(**options: Any) -> str:
        return key(write_suite(suite({"name": "mine", "options": options})))

    here, there = str(recordings(tmp_path / "here")), str(recordings(tmp_path / "there"))
    before = of(where=here)
    assert of(where=here) == before  # what is noted of the files is not one of them
    assert of(where=there) == before
    assert of(where=here, mode="b") != before
    recordings(tmp_path / "there", seed=1)
    assert len({before, of(where=there), of(where=[here, there]), of(where=[there, here])}) == 4


@pytest.mark.usefixtures("mine")
def test_a_file_that_only_an_option_names_is_read_for_the_key_all_the_same(
    write_suite: Write, tmp_path: Path
) -> None:
    file = recordings(tmp_path / "set") / "0.npy"
    options = {"where": str(file), "told": False}
    path = write_suite(suite({"name": "mine", "options": options}))
    before = key(path)
    file.write_bytes(b"other")
    assert key(path) != before


def test_an_unreadable_file_is_told_and_nothing_is_run(write_suite: Write, tmp_path: Path) -> None:
    path = write_suite(suite(one(tmp_path / "set")))
    (tmp_path / "set" / "0.npy").unlink()
    (tmp_path / "set" / "0.npy").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BenchError, match=r"0\.npy"):
        bench("run", path, "--results", tmp_path / "results")


@pytest.mark.parametrize("kind", ["npz", "h5", "images"])
def test_a_replaced_source_of_the_same_size_and_time_is_unpacked_anew(
    write_suite: Write, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "set"

    def fill(seed: int) -> None:
        values = np.random.default_rng(seed).integers(0, 256, (8, 3, 1, 8, 8), np.uint8)
        for number, frames in enumerate(values):
            place = folder / f"{number}"
            place.mkdir(parents=True, exist_ok=True)
            if kind == "npz":
                np.savez(place / "x.npz", frames=frames)
            elif kind == "h5":
                with h5py.File(place / "x.h5", "w") as file:
                    file["frames"] = frames
            else:
                for time, frame in enumerate(frames):
                    Image.fromarray(frame[0]).save(place / f"{time}.bmp")
        for path in folder.rglob("*.*"):
            os.utime(path, ns=(10**18, 10**18))

    def scores() -> dict[str, Any]:
        bench("run", path, "--results", tmp_path / "results")
        finished = Store(tmp_path / "results").read(planned(path, tmp_path).run.spec)
        assert finished is not None
        return {name: score.value for name, score in finished.scores["benchbench"].scores.items()}

    fill(0)
    sizes = [path.stat().st_size for path in sorted(folder.rglob("*.*"))]
    path = write_suite(suite(clips(folder, axes="TCHW")))
    before = scores()
    fill(1)
    assert [path.stat().st_size for path in sorted(folder.rglob("*.*"))] == sizes
    after = scores()
    assert before != after
    fill(0)
    shutil.rmtree(tmp_path / "results")
    assert scores() == before


def test_a_damaged_decoded_copy_gives_the_same_scores(write_suite: Write, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((4, 3, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "x.npz", frames=values)
    path = write_suite(suite(clips("x.npz")))
    results = ("--results", tmp_path / "results")
    bench("run", path, *results)
    store, spec = Store(tmp_path / "results"), planned(path, tmp_path).run.spec
    before = store.read(spec)
    assert before is not None
    shutil.rmtree(tmp_path / "results")
    (copy,) = (tmp_path / "cache" / "unpacked").glob("*/array.npy")
    content = bytearray(copy.read_bytes())
    content[-7] ^= 1
    copy.write_bytes(content)
    bench("run", path, *results)
    after = store.read(spec)
    assert after is not None
    assert after.scores["benchbench"].scores == before.scores["benchbench"].scores


def test_a_plan_says_how_many_finished_runs_are_of_other_data(
    write_suite: Write, tmp_path: Path
) -> None:
    path, results = write_suite(suite(one(tmp_path / "set"))), ("--results", tmp_path / "results")
    three = "models=[persistence, {name: convlstm, label: A, options: {hidden: [4], patch: 2}}]"
    bench("run", path, three, "seeds=[0, 1]", *results)
    assert "of other data" not in bench("plan", path, three, "seeds=[0, 1]", *results)
    recordings(tmp_path / "set", seed=1)
    told = bench("plan", path, three, "seeds=[0, 1]", *results)
    assert "3 to run, 0 done" in told
    assert "3 finished runs are of other data than these" in told
    assert "1 finished run is of other data than these" in bench("run", path, *results)
    assert "2 to run, 1 done" in bench("plan", path, three, "seeds=[0, 1]", *results)
    assert "of other data" not in bench("plan", path, three, "train.steps=3", *results)


def test_two_datasets_cut_alike_are_not_each_others_other_data(
    write_suite: Write, tmp_path: Path
) -> None:
    both = [{**one(tmp_path / name), "label": name} for name in "ab"]
    recordings(tmp_path / "b", seed=1)
    results = ("--results", tmp_path / "results")
    bench("run", write_suite(suite(both[0])), *results)
    told = bench("plan", write_suite(suite(*both)), *results)
    assert "1 to run, 1 done" in told
    assert "of other data" not in told


def test_a_table_of_results_is_read_where_the_data_are_not(
    write_suite: Write, tmp_path: Path
) -> None:
    recordings(tmp_path / "set")
    path, results = write_suite(suite(clips("set", axes="TCHW"))), ("--results", tmp_path / "r")
    bench("run", path, *results)
    table = bench("table", path, *results)
    (tmp_path / "set").rename(tmp_path / "gone")
    assert bench("table", path, *results) == table
    told = bench("plan", path, *results)
    assert "0 to run, 1 done" in told
    assert "the data of clips are not here" in told.replace("\n", " ")
    other = bench("plan", path, "datasets.0.options.path=others", *results)
    assert "1 to run, 0 done" in other  # they lay elsewhere, and may be others
    assert "no data" in other
    assert "of other data" not in other


def test_verify_reads_every_file_again(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_suite(suite(one(tmp_path / "set")))
    bench("plan", path)
    for file in (tmp_path / "set").iterdir():  # as a disk would that forgets
        entry = digests.Digest(digests.stamp(file), "0" * 64)
        monkeypatch.setitem(digests._digests, str(file), entry)
    wrong, results = key(path), ("--results", tmp_path / "results")
    bench("plan", path, "--verify", *results)
    assert key(path) != wrong
    bench("run", path, "--verify", *results)
    assert planned(path, tmp_path).done


def test_data_that_must_be_downloaded_to_be_known_are_planned_once_they_are_there(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cache" / "published.bin"

    class Published(Mine):
        def files(self) -> list[DataFile]:
            return [DataFile(file, ("http://127.0.0.1:9/published.bin",))]

        def prepare(self, watch: Any = None) -> None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"published")

    monkeypatch.setitem(registry.DATASETS.entries, "mine", Entry("mine", Published, 1))
    path = write_suite(suite({"name": "mine", "options": {"where": ""}}))
    results = ("--results", tmp_path / "results")
    assert "1 to run, 0 done" in bench("plan", path, *results)
    assert "1 to run, 0 done" in bench("run", path, *results)
    assert "0 to run, 1 done" in bench("run", path, *results)


def test_a_second_plan_opens_no_data_file(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_suite(suite(one(tmp_path / "set")))
    later = time.time_ns() + 10**10  # files that were just written are read again
    monkeypatch.setattr(time, "time_ns", lambda: later)
    before = key(path)
    digests._digests.clear()
    digests._roots.clear()  # as another process
    names: list[str] = []
    opened = Path.open

    def spy(self: Path, *arguments: Any, **more: Any) -> Any:
        names.append(self.name)
        return opened(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", spy)
    assert key(path) == before
    assert "tiny.yaml" in names
    assert not [name for name in names if name.endswith(".npy")]
