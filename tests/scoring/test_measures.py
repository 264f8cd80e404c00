"""The table of measures: what comes along, and one that another package adds in two files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit, UnknownName
from benchbench.scoring.arrays import from_arrays
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.measures import MEASURES
from benchbench.scoring.protocol import Metric, Protocol, Statistic, mse

from ..stand_ins import install

FUNCTION = """
import torch

def bias(pair, *, ch):
    return (pair.prediction - pair.target)[:, ch].double().mean((1, 2))
"""
ROW = """
from benchbench.errors import Unfit
from benchbench.scoring.measures import Measure

def check(options, clip):
    if clip.channels <= options["ch"]:
        raise Unfit(f"no channel {options['ch']}")

BIAS = Measure("lower", "theirs_function:bias", check=check)
"""
BIAS = Metric(Statistic("bias", (("ch", 1),), clip=False), "bias", "Bias", "mean per value", 4)
THEIRS = Protocol("theirs", 3, "signed errors", "a test", (BIAS, mse()), headline=("bias",))


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package, with a measure `bias`."""
    points = "[benchbench.measures]\nbias = theirs_row:BIAS\n"
    folder = tmp_path / "site"
    install(folder, points, theirs_function=FUNCTION, theirs_row=ROW)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(MEASURES, "loaded", dict(MEASURES.ours))
    yield
    sys.modules.pop("theirs_function", None)
    sys.modules.pop("theirs_row", None)


@pytest.mark.usefixtures("theirs")
def test_a_measure_of_another_package_is_checked_computed_signed_and_pooled(tmp_path: Path) -> None:
    assert THEIRS.signature("bias") == "bias|ch:1|clip:no|reduce:frame-mean|v3"
    assert THEIRS.column("bias").heading == "Bias ↓"
    with pytest.raises(Unfit, match="no channel 1"):
        THEIRS.check(Clip(channels=1, height=4, width=4, context=1, horizon=2))
    assert "theirs_function" not in sys.modules

    target = np.full((3, 2, 2, 4, 4), 0.5)
    error = np.array([[0.25, -0.5], [0.75, 0.0], [1.0, -0.75]])
    prediction = target + error[:, :, None, None, None]
    summary = evaluate(from_arrays(prediction, target), [THEIRS], tmp_path)["theirs"]
    assert summary.scores["bias"].by_frame == pytest.approx(error.mean(0))
    assert summary.scores["bias"].value == pytest.approx(error.mean())
    unknown = evaluate(from_arrays(prediction, target, span=None), [THEIRS], tmp_path)["theirs"]
    assert list(unknown.scores) == ["bias"]


@pytest.mark.usefixtures("theirs")
def test_a_near_miss_is_named_among_theirs_too() -> None:
    with pytest.raises(UnknownName, match="no measure 'bais'; did you mean 'bias'"):
        MEASURES["bais"]
    with pytest.raises(UnknownName, match="did you mean 'ssim'"):
        MEASURES["sssim"]


def test_every_measure_is_one_that_a_protocol_uses() -> None:
    every = (protocols.get(name) for name in protocols.names())
    used = {metric.statistic.measure for protocol in every for metric in protocol.metrics}
    assert used == set(MEASURES)
    for name in used:
        assert callable(MEASURES[name].load())


def test_a_measure_that_cannot_be_imported_is_told_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "[benchbench.measures]\nbias = broken_row:BIAS\n", broken_row="1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SchemaError, match=r"measure 'bias' cannot be imported; .*broken_row\.py"):
        MEASURES["bias"]
