"""The evaluation loop: everything scored once, in order, whatever the batches and threads."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import Damaged, SchemaError, Unfit
from benchbench.predictor import Predictor
from benchbench.scoring import rows
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.stream import Stream, predicted
from benchbench.scoring.summary import Summary, read_summary

from ..stand_ins import ComputedSplit, Untrained

CLIP = Clip(channels=2, height=12, width=10, context=2, horizon=3)
ASKED = [protocols.get(name) for name in protocols.names() if "lpips" not in name]


class Fading(Untrained):
    """Repeats the last frame a little brighter, so that it leaves [0, 1]; a clip by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)
        self.asked: list[int] = []

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        self.asked.append(len(context))
        assert not torch.is_grad_enabled()
        last = self.dropout(context[:, -1:])
        return torch.cat([last * (1 + 0.1 * step) for step in range(horizon)], 1)


def split(length: int = 23, clip: Clip = CLIP) -> ComputedSplit:
    def clip_at(index: int) -> Tensor:
        return torch.rand(clip.shape, generator=torch.Generator().manual_seed(index))

    return ComputedSplit(clip_at, length, "clip-{:03}")


def stream(predictor: Predictor, some: ComputedSplit | None = None, **how: Any) -> Stream:
    return predicted(predictor, split() if some is None else some, CLIP, **how)


def read_summaries(folder: Path) -> dict[str, Summary]:
    """Protocol name to the summary that lies in a folder."""
    summaries = [read_summary(path) for path in folder.glob("*.json")]
    return {summary.protocol: summary for summary in summaries}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    evaluate(stream(Fading(), batch=4), ASKED, folder)
    return folder


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (4, 0), (5, 2), (23, 1), (64, 3)])
def test_batches_and_workers_change_no_byte(
    folder: Path, tmp_path: Path, batch: int, workers: int
) -> None:
    evaluate(stream(Fading(), batch=batch), ASKED, tmp_path, workers=workers)
    assert contents(tmp_path) == contents(folder)


def test_it_predicts_once_and_drops_nothing(tmp_path: Path) -> None:
    predictor = Fading().train()
    told: list[tuple[int, int]] = []
    evaluate(
        stream(predictor, batch=4),
        ASKED,
        tmp_path,
        watch=lambda done, total: told.append((done, total)),
    )
    assert predictor.asked == [4, 4, 4, 4, 4, 3]
    assert predictor.training
    assert told == [(4, 23), (8, 23), (12, 23), (16, 23), (20, 23), (23, 23)]


def test_rows_hold_every_sequence_and_frame(folder: Path) -> None:
    table = pd.read_parquet(folder / "openstl-v1.parquet")
    assert list(table["sequence"]) == [index for index in range(23) for _ in range(3)]
    assert list(table["frame"]) == [0, 1, 2] * 23
    assert list(table["id"]) == [f"clip-{index:03}" for index in range(23) for _ in range(3)]
    assert list(table.columns[3:]) == [metric.name for metric in protocols.get("openstl").metrics]
    frames = torch.stack([split()[index] for index in range(23)])
    with torch.inference_mode():
        prediction = Fading().eval()(frames[:, :2], 3)
    for metric, scores in protocols.score("openstl", prediction, frames[:, 2:]).items():
        assert np.array_equal(table[metric].to_numpy().reshape(23, 3), scores)


def test_summaries_are_pooled_from_the_rows(folder: Path) -> None:
    summaries = read_summaries(folder)
    assert set(summaries) == {protocol.name for protocol in ASKED}
    ids = "".join(f"clip-{index:03}\n" for index in range(23))
    for protocol in ASKED:
        summary = summaries[protocol.name]
        assert (summary.sequences, summary.frames) == (23, 3)
        assert summary.ids_sha256 == hashlib.sha256(ids.encode()).hexdigest()
        assert summary.source == protocol.source
        table = pd.read_parquet(folder / f"{protocol.stem}.parquet")
        for metric in protocol.metrics:
            score = summary.scores[metric.name]
            values = table[metric.name].to_numpy().reshape(23, 3)
            assert score.value == pytest.approx(metric.pooled(values), rel=1e-12)
            assert len(score.by_frame) == 3
            assert score.column == protocol.column(metric.name)
            assert score.infinite == np.isinf(values).sum()


def test_poolings_worked_out_by_hand() -> None:
    values = np.array([[3.0, 4.0], [5.0, 0.0]])
    predrnn = protocols.get("predrnn")
    assert predrnn["mse"].pooled(values) == 3
    assert predrnn["mse_sequence"].pooled(values) == 6
    assert protocols.get("openstl")["rmse"].pooled(values) == math.sqrt(50 / 4)


def test_groups_of_rows_do_not_show(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "GROUP", 10)
    found = evaluate(stream(Fading(), batch=7), ASKED, tmp_path)
    for name, summary in read_summaries(folder).items():
        assert found[name].ids_sha256 == summary.ids_sha256
        for metric, score in summary.scores.items():
            assert found[name].scores[metric].value == pytest.approx(score.value, rel=1e-12)
        file = f"{summary.stem}.parquet"
        one, other = pd.read_parquet(folder / file), pd.read_parquet(tmp_path / file)
        one["id"], other["id"] = one["id"].astype(str), other["id"].astype(str)
        pd.testing.assert_frame_equal(one, other)


def test_infinite_scores_survive_json(tmp_path: Path) -> None:
    class Perfect(Fading):
        def forward(self, context: Tensor, horizon: int) -> Tensor:
            return context[:, :1].expand(-1, horizon, -1, -1, -1)

    still = ComputedSplit(lambda index: torch.full(CLIP.shape, 0.1 * (index + 1)), 2)
    asked = [protocols.get("benchbench"), protocols.get("openstl")]
    found = evaluate(stream(Perfect(), still), asked, tmp_path)
    assert found["openstl"].scores["psnr"].value == math.inf
    assert found["benchbench"].scores["psnr"].value == 100
    assert found["benchbench"].scores["psnr"].infinite == 6
    assert read_summaries(tmp_path) == found
    json.loads((tmp_path / "openstl-v1.json").read_text(), parse_constant=lambda name: 1 / 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_prediction_that_is_no_number_names_its_sequence_and_leaves_nothing(
    tmp_path: Path, workers: int
) -> None:
    class Broken(Fading):
        def forward(self, context: Tensor, horizon: int) -> Tensor:
            prediction = super().forward(context, horizon)
            if len(self.asked) == 3:
                prediction[1, 2, 0, 0, 0] = math.nan
            return prediction

    with pytest.raises(Unfit, match=r"sequence 9 \('clip-009'\), frame 2"):
        evaluate(stream(Broken(), batch=4), ASKED, tmp_path, workers=workers)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_scored_is_refused_before_predicting(tmp_path: Path) -> None:
    small = Clip(channels=1, height=5, width=5, context=2, horizon=3)
    predictor = Fading()
    with pytest.raises(Unfit, match="7x7 window"):
        evaluate(predicted(predictor, split(4, small), small), ASKED, tmp_path)
    with pytest.raises(SchemaError, match="endless"):
        stream(predictor, ComputedSplit(split().compute, None))
    with pytest.raises(SchemaError, match="empty"):
        stream(predictor, split(0))
    with pytest.raises(SchemaError, match="no protocol"):
        evaluate(stream(predictor), [], tmp_path)
    with pytest.raises(SchemaError, match="expected fp32 or bf16"):
        evaluate(stream(predictor, precision="bf61"), ASKED, tmp_path)
    assert predictor.asked == []
    assert not list(tmp_path.iterdir())


def test_true_frames_outside_0_to_1_are_refused(tmp_path: Path) -> None:
    def clip_at(index: int) -> Tensor:
        return torch.full(CLIP.shape, 0.5 * index)

    with pytest.raises(Unfit, match=r"sequence 3: its frames hold values from 1.5 to 1.5;"):
        evaluate(stream(Fading(), ComputedSplit(clip_at, 5), batch=2), ASKED, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_predictor_may_use_its_memory_again_while_workers_score(tmp_path: Path) -> None:
    class Frugal(Fading):
        held = torch.empty(4, 3, 2, 12, 10)

        def forward(self, context: Tensor, horizon: int) -> Tensor:
            given: Tensor = self.held[: len(context)].copy_(super().forward(context, horizon))
            return given

    evaluate(stream(Fading(), split(200), batch=4), ASKED, tmp_path / "a")
    evaluate(stream(Frugal(), split(200), batch=4), ASKED, tmp_path / "b", workers=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_rows_are_signed(folder: Path) -> None:
    for protocol in ASKED:
        metadata = pq.read_schema(folder / f"{protocol.stem}.parquet").metadata
        assert metadata[b"protocol"].decode() == f"{protocol.name} v{protocol.version}"
        for metric in protocol.metrics:
            assert metadata[metric.name.encode()].decode() == protocol.signature(metric.name)


def test_frames_of_a_wrong_shape_are_refused(tmp_path: Path) -> None:
    class Short(Fading):
        def forward(self, context: Tensor, horizon: int) -> Tensor:
            return super().forward(context, horizon)[:, 1:]

    with pytest.raises(Unfit, match=r"gave frames \(16, 2, .*; expected frames \(16, 3,"):
        evaluate(stream(Short()), ASKED, tmp_path)


def test_half_precision_predictions_are_scored_in_full(tmp_path: Path) -> None:
    class Half(Fading):
        def forward(self, context: Tensor, horizon: int) -> Tensor:
            assert torch.is_autocast_enabled("cpu")
            return super().forward(context, horizon).bfloat16()

    found = evaluate(stream(Half(), precision="bf16"), ASKED, tmp_path)
    assert 0 < found["benchbench"].scores["mse"].value < CLIP.channels * 120


def test_a_file_that_is_no_summary_is_named(folder: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "openstl-v1.json", (folder / "openstl-v1.json").read_text()
    for text in (
        "",
        "[]",
        '{"protocol": "openstl"}',
        whole[:-9],
        whole.replace('"by_frame": [', '"by_frame": ["x",'),
        whole.replace('"headline"', '"headlines"'),
    ):
        path.write_text(text)
        with pytest.raises(Damaged, match=r"openstl-v1\.json: .*; delete it and score again"):
            read_summary(path)
    path.write_text(whole)
    assert read_summary(path) == read_summary(folder / "openstl-v1.json")
    with pytest.raises(Damaged, match="not there"):
        read_summary(tmp_path / "none.json")
