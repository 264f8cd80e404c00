"""Streams: predicted, stored and arrays' batches are the same sequences in the same order."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import DataMissing, Unfit
from benchbench.scoring.arrays import from_arrays
from benchbench.scoring.evaluate import evaluate, mean
from benchbench.scoring.protocol import mse
from benchbench.scoring.stream import Stream, keep, predicted, stored

from ..stand_ins import ComputedSplit, Untrained

CLIP = Clip(channels=2, height=9, width=8, context=2, horizon=3)
MSE = mse(per="value").statistic
ASKED = [protocols.get("benchbench"), protocols.get("cms_lstm")]


class Brighter(Untrained):
    """Repeats the last frame, brighter than it was."""

    def __init__(self, factor: float = 1.1) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        return context[:, -1:].repeat(1, horizon, 1, 1, 1) * self.factor


def clip_at(index: int) -> Tensor:
    return torch.rand(CLIP.shape, generator=torch.Generator().manual_seed(index))


SPLIT = ComputedSplit(clip_at, 13, "clip-{}")
FRAMES = torch.stack([clip_at(index) for index in range(13)])
PREDICTION = FRAMES[:, 1:2].repeat(1, 3, 1, 1, 1) * 1.1


def through(stream: Stream) -> tuple[list[str], Tensor, Tensor]:
    batches = list(stream.batches)
    ids = [name for batch in batches for name in batch.ids]
    frames = ([b.prediction for b in batches], [b.target for b in batches])
    return ids, torch.cat(frames[0]), torch.cat(frames[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_kept_is_what_passes_and_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "predictions.npy"
    ids, prediction, target = through(keep(predicted(Brighter(), SPLIT, CLIP, batch=4), file))
    assert ids == [f"clip-{index}" for index in range(13)]
    assert torch.equal(prediction, PREDICTION)
    assert torch.equal(target, FRAMES[:, 2:])
    assert np.array_equal(np.load(file), PREDICTION.numpy())
    again = through(stored(file, SPLIT, CLIP, batch=5))
    assert again[0] == ids
    assert torch.equal(again[1], prediction)
    assert torch.equal(again[2], target)


def test_predicted_stored_and_given_frames_score_alike(tmp_path: Path) -> None:
    numbered = ComputedSplit(clip_at, 13)
    file = tmp_path / "predictions.npy"
    streams = {
        "kept": keep(predicted(Brighter(), numbered, CLIP, batch=6), file),
        "stored": None,
        "given": from_arrays(PREDICTION, FRAMES[:, 2:], batch=3),
    }
    for name, stream in streams.items():
        evaluate(stream or stored(file, numbered, CLIP), ASKED, tmp_path / name, workers=1)
    assert contents(tmp_path / "kept") == contents(tmp_path / "stored")
    assert contents(tmp_path / "kept") == contents(tmp_path / "given")


def test_a_file_is_kept_only_when_it_is_whole(tmp_path: Path) -> None:
    def watch(done: int, total: int) -> None:
        assert not (tmp_path / "predictions.npy").exists()
        if done > 4:
            raise KeyboardInterrupt

    stream = keep(predicted(Brighter(), SPLIT, CLIP, batch=4), tmp_path / "predictions.npy")
    with pytest.raises(KeyboardInterrupt):
        evaluate(stream, ASKED, tmp_path, watch=watch)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04"])
def test_a_file_that_is_not_whole_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "predictions.npy").write_bytes(content)
    with pytest.raises(DataMissing, match=r"predictions\.npy: .*; move it away to predict again"):
        stored(tmp_path / "predictions.npy", SPLIT, CLIP)


def test_a_file_of_other_frames_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "predictions.npy", PREDICTION[:12].numpy())
    with pytest.raises(DataMissing, match=r"float32 \(12, 3, 2, 9, 8\), not float32 \(13, 3,"):
        stored(tmp_path / "predictions.npy", SPLIT, CLIP)
    np.save(tmp_path / "predictions.npy", PREDICTION.double().numpy())
    with pytest.raises(DataMissing, match="holds float64"):
        stored(tmp_path / "predictions.npy", SPLIT, CLIP)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_mean_of_a_statistic_is_that_of_all_values_whatever_the_batches(precision: str) -> None:
    means = {
        mean(MSE, predicted(Brighter(), SPLIT, CLIP, batch=batch, precision=precision))
        for batch in (1, 4, 5, 13, 64)
    }
    (value,) = means
    expected = (PREDICTION.clamp(0, 1).double() - FRAMES[:, 2:].double()).square().mean()
    assert value == pytest.approx(float(expected), rel=1e-12)


def test_what_is_no_number_is_the_mean_of_training_gone_wrong_not_an_error() -> None:
    assert math.isnan(mean(MSE, predicted(Brighter(math.nan), SPLIT, CLIP)))
    white = mean(MSE, predicted(Brighter(math.inf), SPLIT, CLIP))  # inf is clipped to 1
    assert white == pytest.approx(float((1 - FRAMES[:, 2:].double()).square().mean()))


def test_a_predictor_is_left_in_the_mode_it_was_in_even_when_it_is_stopped() -> None:
    predictor = Brighter().train()
    stream = predicted(predictor, SPLIT, CLIP, batch=4)
    next(stream.batches)
    assert not predictor.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    stream.batches.close()
    assert predictor.training


def test_a_mask_that_hides_values_is_refused() -> None:
    frames = np.ma.masked_greater(FRAMES.numpy(), 0.5)
    with pytest.raises(Unfit, match="target is masked, and what a mask hides has no score"):
        from_arrays(FRAMES, frames)
    unmasked = through(from_arrays(FRAMES, np.ma.masked_greater(FRAMES.numpy(), 1)))
    torch.testing.assert_close(unmasked[2], FRAMES)


def test_frames_that_carry_gradients_are_scored_as_others() -> None:
    torch.testing.assert_close(
        through(from_arrays(FRAMES.clone().requires_grad_(), FRAMES))[1], FRAMES
    )


def test_only_true_frames_have_to_be_in_range() -> None:
    frames = FRAMES.clone()
    frames[:, :2] *= 3
    through(predicted(Brighter(), ComputedSplit(frames.__getitem__, 13), CLIP))
    frames[5, 3, 1, 2, 2] = 1.5
    with pytest.raises(Unfit, match=r"sequence 5: its frames hold values from 0\.\d+ to 1\.5; "):
        through(predicted(Brighter(), ComputedSplit(frames.__getitem__, 13), CLIP))
