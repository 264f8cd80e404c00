"""FC-LSTM equals arrays recorded of its source's wiring around a transcription of its cell."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.models.fc_lstm import FCLSTM, PeepholeLSTMCell, State
from benchbench.predictor import Progress
from benchbench.registry import build_model
from benchbench.sampling import Sampling

from .goldens import Golden, goldens

PRECISION = 1e-7  # the arrays are float64, written as float32


def clip(golden: Golden) -> Clip:
    config = golden.config
    return Clip(1, 1, config["D"], config["Te"], config["Tf"])


def build(golden: Golden) -> FCLSTM:
    config = golden.config
    predictor, _ = golden.build(clip(golden), hidden=config["hid"], copy_state=config["copy"])
    assert isinstance(predictor, FCLSTM)
    return predictor


def frames(golden: Golden) -> tuple[Tensor, Tensor]:
    """Context and target, (B, T, 1, 1, D)."""
    both = golden["in/frames"][:, :, None, None]
    return both[:, : golden.config["Te"]], both[:, golden.config["Te"] :]


@goldens("out/recon_train", "out/future_train", model="fc_lstm")
def test_frames_of_both_decoders_equal_the_recorded(golden: Golden) -> None:
    predictor = build(golden)
    context, target = frames(golden)
    with torch.no_grad():
        recalled, continued = predictor.logits(context, target)
        forecast = predictor(context, golden.config["Tf"])
    for name in ("out/recon_train", "out/recon_test"):
        golden.check(torch.sigmoid(recalled)[:, : golden.config["Td"]], name, atol=PRECISION)
    golden.check(torch.sigmoid(continued), "out/future_train", atol=PRECISION)
    golden.check(forecast.flatten(2), "out/future_test", atol=PRECISION)


@goldens("out/loss_", model="fc_lstm")
def test_losses_equal_the_recorded(golden: Golden) -> None:
    predictor = build(golden)
    context, target = frames(golden)
    mask = torch.zeros(len(target), target.shape[1] - 1)
    for mode, truth in (("train", None), ("test", mask)):
        terms = predictor.losses(context, target, Progress(step=0, steps=1, truth=truth))
        # the source reports means over frames, and descends the gradient of the sums
        recalled = terms["reconstruction"].item() / context[:, :, 0, 0, 0].numel()
        continued = terms["future"].item() / target[:, :, 0, 0, 0].numel()
        golden.check_loss(recalled, f"out/loss_recon_{mode}")
        golden.check_loss(continued, f"out/loss_future_{mode}")


@goldens("param/", model="fc_lstm")
def test_a_checkpoint_is_imported_at_the_sizes_that_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    imported = golden.imported(tmp_path, clip(golden), copy_state=golden.config["copy"])
    assert list(imported.options["hidden"]) == golden.config["hid"]
    for name, tensor in build(golden).state_dict().items():
        assert torch.equal(imported.state_dict[name].double(), tensor)


def small(**options: Any) -> FCLSTM:
    torch.manual_seed(0)
    predictor = build_model("fc_lstm", Clip(1, 4, 4, 3, 3), **{"hidden": [5], **options})
    assert isinstance(predictor, FCLSTM)
    return predictor.double()


def test_a_step_of_the_cell_is_the_equation_of_one_unit() -> None:
    cell = PeepholeLSTMCell(1, 1).double()
    weights = {
        "w_input": [[0.1], [0.2], [0.3], [0.4]],
        "w_dense": [[0.5], [0.6], [0.7], [0.8]],
        "w_diag": [[0.9, 1.0, 1.1]],
        "bias": [[0.01, 0.02, 0.03, 0.04]],
    }
    cell.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in weights.items()})
    x, h, c = 2.0, 0.5, -0.25

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    i = sigmoid(0.1 * x + 0.5 * h + 0.9 * c + 0.01)
    f = sigmoid(0.2 * x + 0.6 * h + 1.0 * c + 0.02)
    new = f * c + i * math.tanh(0.3 * x + 0.7 * h + 0.03)
    o = sigmoid(0.4 * x + 0.8 * h + 1.1 * new + 0.04)
    state = cell(
        *(torch.full((1, 1), x).double(),),
        State(torch.full((1, 1), h).double(), torch.full((1, 1), c).double()),
    )
    assert state.c.item() == pytest.approx(new, abs=1e-12)
    assert state.h.item() == pytest.approx(o * math.tanh(new), abs=1e-12)


def test_a_copied_state_writes_the_first_frame_itself() -> None:
    predictor = small(copy_state=True, hidden=[5, 4])
    context = torch.rand(2, 3, 1, 4, 4, dtype=torch.float64)
    states = predictor.encoder(context.flatten(2))
    written = predictor.future(states, 1)[:, 0]
    expected = states[-1].h @ predictor.future.w_output.T + predictor.future.b_output
    torch.testing.assert_close(written, expected, rtol=0, atol=1e-12)


def test_the_reconstruction_is_of_the_context_backwards() -> None:
    predictor = small()
    context = torch.rand(2, 3, 1, 4, 4, dtype=torch.float64)
    recalled, _ = predictor.logits(context, context)
    expected = torch.nn.functional.binary_cross_entropy(
        torch.sigmoid(recalled), context.flip(1).flatten(2), reduction="sum"
    )
    terms = predictor.losses(context, context, Progress(step=0, steps=1))
    assert terms["reconstruction"].item() == pytest.approx(expected.item())


def test_a_sampling_of_the_suite_feeds_the_decoder_its_own_frames() -> None:
    predictor = small()
    context, target = torch.rand(2, 2, 3, 1, 4, 4, dtype=torch.float64)
    done = Progress(step=10, steps=20, sampling=Sampling("scheduled", until=10))
    own = torch.nn.functional.binary_cross_entropy(predictor(context, 3), target, reduction="sum")
    terms = predictor.losses(context, target, done)
    assert terms["future"].item() == pytest.approx(own.item())


def test_weights_are_drawn_within_the_sources_limits() -> None:
    predictor = small(hidden=[64])
    for name, parameter in predictor.named_parameters():
        if name.endswith(("bias", "b_output")):
            assert not parameter.any()
            continue
        limit = 0.1 if name.endswith("w_diag") else 0.01
        assert 0.9 * limit < parameter.abs().max() <= limit
        assert parameter.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.15)
