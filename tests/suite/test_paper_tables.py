"""The suites of the CMS-LSTM paper's tables: every row, each with its recipe, without the data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchbench.registry import MODELS
from benchbench.suite.plan import Plan, plan

SUITES = Path(__file__).parents[2] / "suites"

RECIPES = {
    "cms_lstm_table1": {
        "FC-LSTM": ("sgd", 1e-4, 80, 80_000),
        "DDPAE": ("adam", 1e-3, 64, 200_000),
        "CrevNet+ConvLSTM": ("adam", 5e-4, 7, 300_000),
        "PhyDNet": ("adam", 1e-3, 16, 1_250_625),
        "PDE-Driven": ("adam", 4e-4, 128, 1_250_000),
        "PredRNN": ("adam_tensorflow", 1e-3, 8, 80_000),
        "PredRNN++": ("adam_tensorflow", 1e-3, 8, 80_000),
        "MIM*": ("adam_root", 1e-3, 8, 80_000),
        "E3D-LSTM": ("adam_root", 1e-3, 4, 80_000),
        "SA-ConvLSTM": ("adam_tensorflow", 1e-3, 8, 80_000),
        "CMS-LSTM (80,000 iterations)": ("adamw", 1e-3, 8, 80_000),
        "CMS-LSTM (400,000 iterations)": ("adamw", 1e-3, 8, 400_000),
    },
    "cms_lstm_table2": {
        "ST-ResNet": ("adam", 2e-4, 32, 80_000),
        "VPN": ("rmsprop_tensorflow", 3e-4, 16, 200_000),
        "FRNN": ("rmsprop_tensorflow", 1e-4, 12, 500_000),
        "PhyDNet": ("adam", 1e-3, 16, 80_000),
        "PDE-Driven": ("adam", 4e-5, 100, 107_800),
        "PredRNN": ("adam_tensorflow", 1e-3, 8, 80_000),
        "PredRNN++": ("adam_tensorflow", 1e-3, 8, 80_000),
        "MIM*": ("adam_root", 1e-3, 8, 80_000),
        "SA-ConvLSTM": ("adam_tensorflow", 1e-3, 8, 80_000),
        "CMS-LSTM": ("adamw", 1e-3, 8, 80_000),
    },
    "cms_lstm_table3": dict.fromkeys(
        [
            *("ConvLSTM", "w CE, w/o SE", "w CE, w 1-scale SE", "w/o CE, w SE"),
            *("w CE, w 2-scale SE", "w CE, w SE"),
            *("PredRNN", "PredRNN w CE, w/o SE", "PredRNN w/o CE, w SE", "PredRNN w CE, w SE"),
            *("SA-ConvLSTM", "SA-ConvLSTM w/o CE, w SE", "SA-ConvLSTM w CE, w/o SE"),
        ],
        ("adamw", 1e-3, 8, 80_000),
    ),
}
"""Optimiser, learning rate, batch and iterations of every row."""


@pytest.fixture(params=RECIPES)
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "none"))
    return plan(SUITES / f"{request.param}.yaml")


def test_every_row_of_the_paper_is_planned_with_its_recipe(table: Plan) -> None:
    recipes = {}
    for run in table.runs:
        train = run.spec.train
        assert train is not None
        recipes[run.model] = (train.optimizer, train.lr, train.batch, train.iterations)
        assert train.weights == "last"
    assert recipes == RECIPES[table.suite.name]


def test_all_training_data_are_trained_on_and_what_is_missing_is_told(table: Plan) -> None:
    assert all(run.spec.dataset_options["val_from"] == "training" for run in table.runs)
    absent = "\n".join(line for source in table.sources for line in source.files.absent)
    assert ("BJ16_M32x32" if "table2" in table.suite.name else "mnist_test_seq.npy") in absent


def test_the_smoke_suite_has_every_model() -> None:
    suite = yaml.safe_load((SUITES / "zoo_smoke.yaml").read_text())
    models = [entry if isinstance(entry, str) else entry["name"] for entry in suite["models"]]
    assert set(models) == set(MODELS.files())
    assert suite["train"]["steps"] == 20


def test_the_cost_of_predicting_with_vpn_is_told() -> None:
    (cost,) = plan(SUITES / "cms_lstm_table2.yaml").costs
    assert "VPN on taxibj: 2,048 passes of the decoder a frame" in cost


def test_the_tables_have_as_many_rows_as_the_papers() -> None:
    assert [len(rows) for rows in RECIPES.values()] == [12, 10, 13]


def test_the_others_train_on_a_file_of_clips_in_the_first_table() -> None:
    runs = plan(SUITES / "cms_lstm_table1.yaml").runs
    own = {run.model: run.train_data for run in runs}
    assert own["PredRNN"] == "train_npz: moving-mnist-train.npz"
    assert own["CMS-LSTM (80,000 iterations)"] == ""
