"""The published numbers: as printed, whole, and checked against what is printed beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import SchemaError, UnknownName
from benchbench.references.read import names, read, table
from benchbench.references.schema import Row
from benchbench.registry import DATASETS, MODELS, build_model

ROWS = [(name, row) for name in names() for row in table(name).rows]
IDS = [f"{name}: {row.name}" for name, row in ROWS]
COUNTS = {
    "cms_lstm_table1": 12,
    "cms_lstm_table2": 10,
    "cms_lstm_table3": 13,
    "openstl_moving_mnist": 27,
    "openstl_taxibj": 12,
    "predrnn_lpips": 2,
}
METRICS = ("psnr", "ssim", "mse", "mae")
DIFFERENCES = {
    "cms_lstm_table1": {
        "DDPAE": (1.567, 0.232, -79.4, -118.7),
        "CrevNet+ConvLSTM": (None, 0.238, -79.8, None),
        "PhyDNet": (3.517, 0.257, -93.9, -139.1),
        "PDE-Driven": (2.157, 0.219, None, None),
        "PredRNN": (None, 0.177, -61.5, -83.3),
        "PredRNN++": (0.636, 0.208, -71.8, -102.6),
        "MIM*": (1.075, 0.220, -74.1, -108.3),
        "E3D-LSTM": (0.987, 0.220, -76.6, -122.2),
        "SA-ConvLSTM": (0.897, 0.223, -74.4, -114.7),
        "CMS-LSTM (80,000 iterations)": (2.352, 0.241, -84.7, -136.3),
        "CMS-LSTM (400,000 iterations)": (4.079, 0.259, -94.0, -151.3),
    },
    "cms_lstm_table2": {
        "VPN": (-0.033,),
        "FRNN": (-0.147,),
        "PhyDNet": (-0.199,),
        "PDE-Driven": (-0.220,),
        "PredRNN": (-0.154,),
        "PredRNN++": (-0.170,),
        "MIM*": (-0.189,),
        "SA-ConvLSTM": (-0.228,),
        "CMS-LSTM": (-0.390,),
    },
    "cms_lstm_table3": {
        "ConvLSTM: w CE, w/o SE": (2.666, 0.041, -31.3, -33.1),
        "ConvLSTM: w CE, w 1-scale SE": (3.185, 0.050, -35.3, -39.6),
        "ConvLSTM: w/o CE, w SE": (3.189, 0.050, -35.6, -39.7),
        "ConvLSTM: w CE, w 2-scale SE": (3.335, 0.052, -36.6, -41.6),
        "ConvLSTM: w CE, w SE": (3.432, 0.054, -36.8, -42.8),
        "PredRNN: w CE, w/o SE": (2.753, 0.057, -26.1, -43.4),
        "PredRNN: w/o CE, w SE": (3.158, 0.064, -28.1, -49.2),
        "PredRNN: w CE, w SE": (3.607, 0.068, -30.5, -51.9),
        "SA-ConvLSTM: w/o CE, w SE": (0.470, 0.005, -4.10, -10.5),
        "SA-ConvLSTM: w CE, w/o SE": (2.091, 0.016, -16.6, -15.7),
    },
}
"""The differences that the tables print beside their numbers, from the first row of a block; the
first PSNR of Table 1 is PredRNN's."""


def find(name: str, label: str) -> Row:
    (row,) = [row for row in table(name).rows if row.name == label]
    return row


def test_every_row_is_there() -> None:
    assert {name: len(table(name).rows) for name in names()} == COUNTS


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_differences_that_a_table_prints_are_those_of_its_numbers(name: str) -> None:
    metrics = ("mse",) if name == "cms_lstm_table2" else METRICS
    first = table(name).rows[0]
    for label, differences in DIFFERENCES[name].items():
        row = find(name, label)
        base = find(name, row.backbone) if row.backbone else first
        for metric, printed in zip(metrics, differences, strict=True):
            if printed is None:
                continue
            whose = base if metric in base.numbers else find(name, "PredRNN")
            difference = row.numbers[metric].value - whose.numbers[metric].value
            assert difference == pytest.approx(printed, abs=1e-9), (label, metric)


def test_averages_over_frames_are_right_or_their_contradiction_is_noted() -> None:
    for row in table("cms_lstm_table2").rows:
        number = row.numbers["mse"]
        if not number.by_frame:
            continue
        mean = sum(map(float, number.by_frame)) / len(number.by_frame)
        assert len(number.by_frame) == row.data.frames.horizon
        assert (abs(mean - number.value) <= 0.00051) is (not number.note), row.name
    assert ".616" in find("cms_lstm_table2", "ST-ResNet").numbers["mse"].note


@pytest.mark.parametrize(("name", "row"), ROWS, ids=IDS)
def test_a_psnr_is_at_least_that_of_its_mse_unless_it_wraps_around(name: str, row: Row) -> None:
    if name == "openstl_taxibj" or not {"psnr", "mse"} <= row.numbers.keys():
        return
    least = 10 * math.log10(4096 / row.numbers["mse"].value)
    excess = row.numbers["psnr"].value - least
    wraps = row.evaluation("psnr").name == "simvp"
    assert excess > 10 if wraps else 0 < excess < 2.5


@pytest.mark.parametrize(("name", "row"), ROWS, ids=IDS)
def test_models_datasets_and_their_options_are_those_there_are(name: str, row: Row) -> None:
    assert row.data.dataset in DATASETS.names()
    assert row.data.options.keys() <= DATASETS.get(row.data.dataset).options.keys()
    if row.model is None:
        assert row.label in ("PredNet", "DMVFN")
        return
    options = MODELS.get(row.model).options
    assert row.variant.keys() | row.network.options.keys() <= options.keys()
    if "blocks" in options:
        assert "blocks" in row.variant, "a run with CE or SE is no run of this row"


@pytest.mark.parametrize(("name", "row"), ROWS, ids=IDS)
def test_units_are_those_of_the_protocol(name: str, row: Row) -> None:
    for metric in row.numbers:
        evaluation = row.evaluation(metric)
        if evaluation.name is None or row.obstacle_to(metric):
            continue
        unit = protocols.get(evaluation.name).column(metric).unit
        other = {"sum per channel", "sum per frame, channel 0"}
        assert unit == table(name).units[metric] or unit in other


def test_whatever_is_not_sure_says_what_is_not() -> None:
    for _, row in ROWS:
        facts = [row.network, row.size, row.budget, row.data]
        for fact in [fact for fact in facts if fact is not None and row.obstacle is None]:
            assert fact.sure == "yes" or fact.note, (row.name, fact)


def test_the_gains_of_the_text_are_of_400_000_iterations_against_80_000() -> None:
    long, short = (
        find("cms_lstm_table1", f"CMS-LSTM ({n},000 iterations)").numbers for n in (400, 80)
    )
    against = {"psnr": "MIM*", "ssim": "SA-ConvLSTM", "mse": "E3D-LSTM", "mae": "E3D-LSTM"}
    gains = {"psnr": (14.5, 6.2), "ssim": (3.9, 2.0), "mse": (-41.7, -19.4), "mae": (-33.4, -16.2)}
    for metric, label in against.items():
        base = find("cms_lstm_table1", label).numbers[metric].value
        for numbers, gain in zip((long, short), gains[metric], strict=True):
            assert round(100 * (numbers[metric].value / base - 1), 1) == gain


def test_the_three_ways_to_count_parameters() -> None:
    size = find("cms_lstm_table1", "CMS-LSTM (80,000 iterations)").size
    assert size is not None
    assert size.count(7_967_568) == 7_967_580
    size = find("cms_lstm_table1", "E3D-LSTM").size
    assert size is not None
    assert size.count(12_898_832) == 38_696_497
    assert size.agrees(12_898_832)
    assert not size.agrees(38_696_497)
    size = find("cms_lstm_table1", "PredRNN++").size
    assert size is not None
    assert size.agrees(13_236_880)
    assert not size.agrees(15_390_160)


SIZED = [
    (name, row)
    for name, row in ROWS
    if row.size and row.size.sure != "unknown" and not row.size.of_other
]


@pytest.mark.parametrize(("name", "row"), SIZED, ids=[f"{name}: {row.name}" for name, row in SIZED])
def test_the_declared_network_has_the_published_size(name: str, row: Row) -> None:
    assert row.model is not None
    assert row.size is not None
    clip = Clip(**row.data.frames.model_dump())
    with torch.device("meta"):
        model = build_model(row.model, clip, **row.variant, **row.network.options)
    assert row.size.agrees(sum(p.numel() for p in model.parameters() if p.requires_grad))


SMALL = """
title: T
source: S
seeds: one
units: {mse: sum per frame}
rows:
  - label: A
    protocol: {name: mim}
    budget: {iterations: 10}
    data: {dataset: taxibj, frames: {channels: 2, height: 8, width: 8, context: 4, horizon: 4}}
    numbers: {mse: "0.10"}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "small.yaml"
        path.write_text(text)
        return path

    return write


def test_digits_stay_as_they_were_printed(write: Callable[[str], Path]) -> None:
    assert read(write(SMALL)).rows[0].numbers["mse"].printed == "0.10"


def test_an_unquoted_yes_is_a_yes(write: Callable[[str], Path]) -> None:
    result = read(write(SMALL.replace("{iterations: 10}", "{iterations: 10, sure: yes}")))
    assert result.rows[0].budget.sure == "yes"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"0.10"', "0.10", "valid string"),
        ('"0.10"', '"ten"', "pattern"),
        ('mse: "0.10"', 'mse: "0.10", mae: "2"', "units are of mse"),
        ("mse: sum per frame", "mse: mean per value", "in 'mean per value'"),
        ("{mse: sum per frame}", "{ssim: index}", "units are of ssim"),
        ('mse: "0.10"', 'sharp: "1"', "no metric 'sharp'"),
        ("name: mim", "name: mim, sure: perhaps", "'yes', 'likely' or 'unknown'"),
        ("name: mim", "name: mimm", "did you mean 'mim'"),
        ("iterations: 10", "iterations: 0", "at least 1"),
        ("iterations: 10", "epochs: 10", "extra inputs"),
        ("source: S", "", "field required"),
        ("  - label: A", "  - label: A\n    size: {printed: 12 G}", "pattern"),
        (
            "  - label: A",
            "  - label: A\n    size: {printed: 1.0 M, counts: weights and unused ones}",
            "the unused are counted",
        ),
        ("title: T", "title: [", "not YAML"),
        (SMALL, "- 1", "expected a mapping"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    write: Callable[[str], Path], old: str, new: str, message: str
) -> None:
    assert old in SMALL
    with pytest.raises(SchemaError) as raised:
        read(write(SMALL.replace(old, new)))
    assert message in str(raised.value)
    assert "small.yaml" in str(raised.value)


def test_numbers_out_of_their_metrics_range_are_refused(write: Callable[[str], Path]) -> None:
    text = SMALL.replace("{mse: sum per frame}", "{ssim: index}")
    with pytest.raises(SchemaError, match="ssim 93"):
        read(write(text.replace('mse: "0.10"', 'ssim: "93"')))


def test_two_rows_of_one_name_are_refused(write: Callable[[str], Path]) -> None:
    row = SMALL[SMALL.index("  - label") :]
    with pytest.raises(SchemaError, match="two rows have one name"):
        read(write(SMALL + row))


def test_an_unknown_table_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'cms_lstm_table1'"):
        table("cms_lstm_tabel1")
