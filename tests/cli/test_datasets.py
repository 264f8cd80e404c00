"""bench datasets and bench prepare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchbench.cli import app
from benchbench.errors import BenchError, DataMissing, SchemaError, UnknownName

from ..stand_ins import bench

SMALL = ["-o", "path=mine.npy", "-o", "frame=[1, 8, 8]", "-o", "context=2", "-o", "horizon=1"]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    values = np.random.default_rng(0).integers(0, 256, (6, 3, 1, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "mine.npy", values)
    return tmp_path


def test_datasets_lists_names_and_citations() -> None:
    printed = bench("datasets")
    for name in ("clips", "moving_digits", "moving_mnist", "moving_fashion_mnist", "taxibj"):
        assert name in printed
    assert "Unsupervised Learning of Video Representations using LSTMs" in printed


def test_show_prints_options_and_passport_and_makes_a_picture(data: Path) -> None:
    printed = bench("datasets", "show", "moving_digits", "-o", "size=32", "-o", "test=7")
    (size,) = (line.split("│") for line in printed.splitlines() if line.startswith("│ size "))
    assert [cell.strip() for cell in size[2:4]] == ["32", "side of the square frames, pixels."]
    assert "splits: train endless, val 500, test 7" in printed
    assert "test_ids: " in printed
    picture = data / "sheets" / "moving_digits.png"
    assert str(picture) in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_picture_goes_where_it_is_told(data: Path) -> None:
    bench("datasets", "show", "clips", *SMALL, "--sheet", str(data / "a.png"), "--split", "train")
    assert (data / "a.png").exists()


def test_verify_reads_the_files_again(data: Path) -> None:
    assert "1 of 1 files right" in bench("datasets", "verify", "clips", *SMALL)


def test_verify_ends_with_status_1_when_a_file_is_wrong(data: Path) -> None:
    folder = data / "moving_mnist"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"no images")
    printed = bench("datasets", "verify", "moving_mnist", status=1)
    assert "WRONG" in printed
    assert "expected an idx3 file" in printed
    assert "mnist_test_seq.npy: no such file" in printed
    assert "0 of 2 files right" in printed


def test_prepare_takes_names_and_says_what_is_ready(data: Path) -> None:
    printed = bench("prepare", "clips", *SMALL)
    assert "clips: ready (2 -> 1 frames of 1x8x8; train 4, val 1, test 1)" in printed
    assert str(data) in printed
    assert "train endless" in bench("prepare", "moving_digits")


def test_prepare_takes_a_suite(data: Path) -> None:
    suite = data / "small.yaml"
    suite.write_text(
        "protocols: [benchbench]\n"
        "datasets:\n  - name: moving_digits\n    options: {size: 32, val: 3, test: 4}\n"
        "models: [persistence]\n"
        "train: {steps: 1, batch: 1}\n"
    )
    assert "val 3, test 4" in bench("prepare", str(suite))
    with pytest.raises(SchemaError, match="--option"):
        bench("prepare", str(suite), "-o", "size=32")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["datasets", "show", "moving_digit"], UnknownName, "did you mean 'moving_digits'"),
        (["datasets", "show", "moving_digits", "-o", "sise=3"], SchemaError, "'size'"),
        (["datasets", "show", "moving_digits", "-o", "size"], SchemaError, "KEY=VALUE"),
        (["prepare", "taxibj"], DataMissing, "no BJ13_M32x32_T30_InOut.h5, BJ14"),
    ],
)
def test_mistakes_are_told_in_one_message(
    arguments: list[str], kind: type[BenchError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        bench(*arguments)


def test_a_dataset_that_needs_options_lists_them_all_before_it_says_so() -> None:
    arguments = ["datasets", "show", "clips", "-o", "path=mine.npy", "-o", "context=2"]
    answer = CliRunner().invoke(app, arguments)
    rows = [line.split("│") for line in answer.output.splitlines() if line.startswith("│")]
    values = {row[1].strip(): row[2].strip() for row in rows}
    assert values["path"] == "mine.npy"
    assert values["horizon"] == values["frame"] == "needed"
    assert values["resize"] == "false"
    assert "'clips' needs the option 'horizon'" in str(answer.exception)
    assert "'context'" not in str(answer.exception)


def test_a_split_is_one_of_three() -> None:
    printed = bench("datasets", "show", "moving_digits", "--split", "tset", status=2)
    assert "not one of 'train'" in printed


def test_the_commands_load_without_torch() -> None:
    code = "import sys, benchbench.cli.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
