"""bench protocols, score and rescore."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from benchbench import protocols, registry
from benchbench.clip import Clip
from benchbench.data.content import Content
from benchbench.data.download import Watch
from benchbench.dataset import Dataset
from benchbench.errors import BenchError, DataMissing, SchemaError, Unfit, UnknownName
from benchbench.run import load
from benchbench.run.record import Record, read_record
from benchbench.scoring.summary import read_summary
from benchbench.suite.spec import RunSpec

from ..stand_ins import ComputedSplit, Untrained, bench, invoke

CLIP = Clip(channels=1, height=16, width=16, context=2, horizon=3)


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    target = generator.random((70, 2, 1, 9, 9), dtype=np.float32)
    np.save(tmp_path / "target.npy", target)
    np.save(tmp_path / "pred.npy", target * 0.9)
    return tmp_path / "pred.npy", tmp_path / "target.npy"


def test_protocols_lists_them_all() -> None:
    output = bench("protocols")
    for name in protocols.names():
        assert name in output
        assert protocols.get(name).title in output


@pytest.mark.parametrize("name", protocols.names())
def test_show_prints_signatures_source_and_notes(name: str) -> None:
    output = bench("protocols", "show", name)
    protocol = protocols.get(name)
    assert protocol.source in output
    for metric in protocol.metrics:
        assert protocol.signature(metric.name) in output
    for note in protocol.notes:
        assert note in output


def test_a_protocol_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'predrnn'"):
        bench("protocols", "show", "predrn")


def test_score_signs_arrays_made_elsewhere(arrays: tuple[Path, Path]) -> None:
    output = bench("score", *arrays, "-p", "benchbench", "-p", "openstl")
    scores = protocols.score("openstl", *(np.load(path) for path in arrays))
    assert protocols.get("openstl").signature("ssim") in output
    assert f"{scores['ssim'].mean():.4f}" in output
    assert "70 sequences of 2 frames" in output


def test_score_writes_what_a_run_would(arrays: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = json.loads(bench("score", *arrays, "--out", out, "--json"))
    assert sorted(path.name for path in out.iterdir()) == [
        "benchbench-v1.json",
        "benchbench-v1.parquet",
    ]
    assert printed == [json.loads((out / "benchbench-v1.json").read_text())]
    expected = protocols.score("benchbench", *(np.load(path) for path in arrays))
    assert printed[0]["scores"]["mse"]["value"] == pytest.approx(expected["mse"].mean())


def test_score_reads_npz_and_asks_which_array(arrays: tuple[Path, Path], tmp_path: Path) -> None:
    pair = tmp_path / "pair.npz"
    np.savez(pair, p=np.load(arrays[0]), g=np.load(arrays[1]))
    both = bench("score", f"{pair}:p", f"{pair}:g", "--json")
    assert both == bench("score", *arrays, "--json")
    with pytest.raises(DataMissing, match=r"several arrays; say .*pair\.npz:NAME with one of p, g"):
        bench("score", pair, arrays[1])
    with pytest.raises(DataMissing, match="no array 'x'"):
        bench("score", f"{pair}:x", arrays[1])


def test_score_refuses_ranges_that_are_not_declared(tmp_path: Path) -> None:
    eight = np.random.default_rng(0).integers(0, 256, (2, 5, 9, 9), dtype=np.uint8)
    path = tmp_path / "eight.npy"
    np.save(path, eight)
    with pytest.raises(Unfit, match="whole numbers"):
        bench("score", path, path)
    assert "1.0000" in bench("score", path, path, "--range", 0, 255)
    output = bench("score", path, path, "--range-unknown", "-p", "openstl")
    assert "mse" in output
    assert "psnr" not in output
    assert "mse|per:frame|in:unknown-range|clip:no" in output
    assert "range is unknown" in output
    with pytest.raises(SchemaError, match="contradict"):
        bench("score", path, path, "--range-unknown", "--range", 0, 255)


def test_score_says_and_keeps_the_range_it_mapped(tmp_path: Path) -> None:
    path, out = tmp_path / "a.npy", tmp_path / "out"
    np.save(path, np.random.default_rng(0).integers(0, 256, (2, 5, 9, 9), dtype=np.uint8))
    output = bench("score", path, path, "--range", 0, 255, "--out", out)
    assert "values from 0 to 255 mapped to [0, 1]" in output
    assert read_summary(out / "benchbench-v1.json").span == (0, 255)
    for ends in ((0, math.inf), (-math.inf, 0), (1, 1), (2, 1)):
        with pytest.raises(Unfit, match="expected two finite ends, the lower one first"):
            bench("score", path, path, "--range", *ends)


@pytest.mark.parametrize(
    ("scales", "span", "text"),
    [
        ((255, 1), (0, 1), "prediction holds values from 0 to 255, far outside the declared"),
        ((1, 1), (0, 255), "target holds values from 0 to 1, a small part of the declared range"),
        ((1, 255), (0, 255), "prediction holds values from 0 to 1, a small part of"),
    ],
)
def test_arrays_of_another_scale_than_declared_are_scored_with_a_warning(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    scales: tuple[int, int],
    span: tuple[int, int],
    text: str,
) -> None:
    frames = np.linspace(0, 1, 2 * 5 * 9 * 9).reshape(2, 5, 9, 9)
    paths = [tmp_path / "x.npy", tmp_path / "y.npy"]
    for path, scale in zip(paths, scales, strict=True):
        np.save(path, frames * scale)
    assert "psnr" in bench("score", *paths, "--range", *span)
    assert text in caplog.text
    caplog.clear()
    bench("score", paths[1], paths[1], "--range", 0, scales[1])
    assert caplog.text == ""


def test_score_takes_arrays_of_any_byte_order_and_refuses_what_torch_has_not(
    arrays: tuple[Path, Path], tmp_path: Path
) -> None:
    x = np.load(arrays[0])
    np.save(tmp_path / "big.npy", x.astype(">f4"))
    np.save(tmp_path / "long.npy", x.astype(np.longdouble))
    expected = bench("score", *arrays)
    assert bench("score", tmp_path / "big.npy", arrays[1]) == expected
    with pytest.raises(Unfit, match=r"prediction is of type .*; expected floating-point"):
        bench("score", tmp_path / "long.npy", arrays[1])


def test_score_names_files_that_are_missing_or_no_arrays(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(DataMissing, match=r"none\.npy: no such file"):
        bench("score", tmp_path / "none.npy", tmp_path / "none.npy")
    with pytest.raises(DataMissing, match="not an array of numpy"):
        bench("score", tmp_path / "text.npy", tmp_path / "text.npy")
    with pytest.raises(DataMissing, match="a folder; expected a regular file"):
        bench("score", tmp_path, tmp_path)
    with pytest.raises(SchemaError, match=r"--out .*text\.npy: is a file; name a folder"):
        bench("score", tmp_path, tmp_path, "--out", tmp_path / "text.npy")
    with pytest.raises(SchemaError, match=r"--out .*text\.npy/in: cannot be made"):
        bench("score", tmp_path, tmp_path, "--out", tmp_path / "text.npy" / "in")
    with pytest.raises(DataMissing, match=r"text\.npy/x: cannot be read"):
        bench("score", tmp_path / "text.npy" / "x", tmp_path / "text.npy")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(DataMissing, match="holds no array"):
        bench("score", tmp_path / "none.npz", tmp_path / "none.npz")
    np.savez(tmp_path / "torn.npz", x=np.zeros((1, 1, 8, 8)))
    whole = bytearray((tmp_path / "torn.npz").read_bytes())
    whole[300] ^= 255
    (tmp_path / "torn.npz").write_bytes(whole)
    with pytest.raises(DataMissing, match=r"torn\.npz: 'x' is damaged"):
        bench("score", tmp_path / "torn.npz", tmp_path / "torn.npz")


def test_score_takes_one_of_the_two_without_the_axis_of_channels(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((2, 5, 1, 8, 8), dtype=np.float32)
    np.save(tmp_path / "five.npy", x)
    np.save(tmp_path / "four.npy", x[:, :, 0])
    outputs = {
        bench("score", tmp_path / f"{one}.npy", tmp_path / f"{other}.npy")
        for one in ("four", "five")
        for other in ("four", "five")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((10, 3, 16, 16), "may be TCHW or NTHW: one clip of 10 frames, or 10 sequences"),
        ((10, 1, 16, 16), "may be TCHW or NTHW"),
        ((10, 2, 16, 16), "may be TCHW or NTHW"),
        ((10, 16, 16, 3), "may be THWC, NHWC or NTHW"),
        ((10, 16, 16, 1), "may be THWC, NHWC or NTHW"),
        ((2, 10, 16, 16, 3), "looks like channels last"),
        ((2, 3, 10, 16, 16), "looks like channels before time"),
    ],
)
def test_an_array_that_may_have_another_order_of_axes_is_refused_with_the_flag(
    tmp_path: Path, shape: tuple[int, ...], says: str
) -> None:
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    message = rf"prediction has shape .* {says}.* declare .*bench score --axes TCHW; axes='TCHW'"
    with pytest.raises(Unfit, match=message):
        bench("score", tmp_path / "x.npy", tmp_path / "x.npy")
    with pytest.raises(Unfit, match=message):
        protocols.score("benchbench", torch.from_numpy(x), torch.from_numpy(x))


@pytest.mark.parametrize("axes", ["TCHW", "THWC", "HWCT", "NTCHW", "CNTHW", "TNHWC"])
def test_one_clip_in_any_declared_order_scores_as_it_is(tmp_path: Path, axes: str) -> None:
    generator = np.random.default_rng(0)
    plain = [generator.random((1, 10, 3, 16, 16), dtype=np.float32) for _ in range(2)]
    for name, frames in zip("xy", plain, strict=True):
        ordered = frames.transpose(["NTCHW".index(axis) for axis in "N" + axes.replace("N", "")])
        if "N" in axes:
            ordered = np.moveaxis(ordered, 0, axes.index("N"))
        np.save(tmp_path / f"{name}.npy", ordered if "N" in axes else ordered[0])
        np.save(tmp_path / f"plain-{name}.npy", frames)
    expected = bench("score", tmp_path / "plain-x.npy", tmp_path / "plain-y.npy", "--json")
    files = (tmp_path / "x.npy", tmp_path / "y.npy")
    assert bench("score", *files, "--axes", axes, "--json") == expected
    for wrong in ("NTHW" if len(axes) == 5 else "NTCHW", "TTHW", "xyz", "TCH"):
        with pytest.raises(Unfit, match=r"expected (the axes|an order of)"):
            bench("score", *files, "--axes", wrong)


def test_two_arrays_of_different_layout_are_never_broadcast(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((6, 6, 6, 6), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    for other in (x[:1], x[:, :1], x[:, :, None, :1], x[..., None]):
        np.save(tmp_path / "y.npy", other)
        with pytest.raises(Unfit):
            bench("score", tmp_path / "x.npy", tmp_path / "y.npy")


def test_small_errors_keep_four_digits_and_infinite_scores_are_counted(tmp_path: Path) -> None:
    x = np.zeros((1, 2, 2, 32, 32), np.float32)
    y = x.copy()
    y[:, 1] = 0.01249
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    output = bench("score", tmp_path / "x.npy", tmp_path / "y.npy", "-p", "openstl")
    assert " 0.1597 " in output  # 1024 x 2 x 0.01249² / 2 frames
    assert "inf (1 infinite)" in output


class Last(Untrained):
    """Repeats the last frame."""

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return context[:, -1:].repeat(1, horizon, 1, 1, 1)


class Noise(Dataset):
    """A dataset of seeded noise."""

    clip = CLIP

    def split(self, name: str) -> ComputedSplit:
        assert name == "test"

        def clip_at(index: int) -> Tensor:
            return torch.rand(CLIP.shape, generator=torch.Generator().manual_seed(index))

        return ComputedSplit(clip_at, 5)

    def files(self) -> tuple[()]:
        return ()

    def prepare(self, watch: Watch = lambda *_: None) -> None:
        watch("noise", 1, 1)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs and one that is not, whose models are built by a stand-in."""
    spec = RunSpec("last", 1, {}, "noise", 1, {}, None, 0, 16, data=Content({}).digest)
    entry = registry.Entry("noise", Noise, 1)
    monkeypatch.setitem(registry.DATASETS.entries, "noise", entry)
    monkeypatch.setitem(registry.MODELS.entries, "last", registry.Entry("last", Last, 1))
    monkeypatch.setattr(load, "load_predictor", lambda *_: Last())
    for name in ("seed0-abc123abc123", "seed1-abd456abd456", "seed2-fff000fff000"):
        folder = tmp_path / "results" / "runs" / "noise" / "last" / name
        folder.mkdir(parents=True)
        (folder / "spec.yaml").write_text(yaml.safe_dump(spec.to_dict()))
        if "fff" not in name:
            key = name.rpartition("-")[2]
            Record(spec.to_dict(), key, 0, 0, 0, None, 0.0, 0.0, None).write(folder)
    return tmp_path / "results"


def held(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_rescore_adds_files_and_changes_none_but_the_record_that_names_them(
    results: Path,
) -> None:
    bench("rescore", "abc1", "-p", "benchbench", "--results", results)
    before = held(results)
    output = bench("rescore", "abc1", "-p", "benchbench", "-p", "mim", "--results", results)
    after = held(results)
    assert [path.name for path in before if after[path] != before[path]] == ["record.json"]
    assert sorted(path.name for path in after.keys() - before.keys()) == [
        "002.json",
        "mim-v1.json",
        "mim-v1.parquet",
    ]
    record = read_record(results / "runs/noise/last/seed0-abc123abc123")
    assert record is not None
    assert sorted(record.files) == [
        "scores/benchbench-v1.json",
        "scores/benchbench-v1.parquet",
        "scores/mim-v1.json",
        "scores/mim-v1.parquet",
    ]
    assert protocols.get("mim").signature("mae") in output
    assert str(results / "runs/noise/last/seed0-abc123abc123") in output


def test_rescore_prepares_only_the_data_that_it_reads(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("rescore", "abc", "-p", "e3d_lstm", "--results", results)
    answer = invoke(*command)
    assert "noise: 100 % of 0.0 MB\n" in answer.stderr
    assert "last on noise, seed 0: testing 5/5\ndone 1/1: last on noise, seed 0\n" in answer.stderr
    monkeypatch.setattr(Noise, "prepare", lambda *_: pytest.fail("it prepared"))
    assert invoke(*command).stdout == answer.stdout
    quiet = invoke(*command, "--json")
    assert (json.loads(quiet.stdout)[0]["sequences"], quiet.stderr) == (5, "")


def test_rescore_takes_several_runs_by_folder_or_key(results: Path) -> None:
    folder = results / "runs/noise/last/seed1-abd456abd456"
    arguments = ("-p", "e3d_lstm", "--results", results, "--workers", 2, "--json")
    found = json.loads(bench("rescore", folder, "abc123abc123", *arguments))
    assert [each["run"] for each in found] == [
        str(folder),
        str(results / "runs/noise/last/seed0-abc123abc123"),
    ]
    assert found[0]["sequences"] == 5


@pytest.mark.parametrize(
    ("run", "error", "says"),
    [
        ("ab", UnknownName, "begins the keys of 2 runs"),
        ("abc123abc124", UnknownName, "did you mean 'abc123abc123'"),
        ("", UnknownName, "neither a run's folder"),
        ("fff", DataMissing, "not finished"),
    ],
)
def test_runs_that_cannot_be_rescored_are_named(
    results: Path, run: str, error: type[BenchError], says: str
) -> None:
    with pytest.raises(error, match=says):
        bench("rescore", run, "-p", "openstl", "--results", results)


def test_all_runs_are_looked_at_before_the_first_is_predicted(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Last, "forward", lambda *_: pytest.fail("it predicted"))
    with pytest.raises(DataMissing, match="seed2-fff000fff000: not finished"):
        bench("rescore", "abc", "fff", "abd", "-p", "openstl", "--results", results)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(results: Path, device: str) -> None:
    with pytest.raises(SchemaError, match=f"--device {device}: cannot be used here"):
        bench("rescore", "abc", "-p", "openstl", "--results", results, "--device", device)


def test_weights_that_are_missing_are_named_before_predicting(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(Last, "forward", lambda *_: pytest.fail("it predicted"))
    with pytest.raises(Unfit, match="too small for LPIPS"):
        bench("rescore", "abc", "-p", "lpips_alex", "--results", results)
    monkeypatch.setattr(Noise, "clip", Clip(1, 64, 64, 2, 3))
    with pytest.raises(DataMissing, match="squeezenet1_1"):
        bench("rescore", "abc", "-p", "lpips_squeeze", "--results", results)
