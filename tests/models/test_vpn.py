"""VPN equals arrays recorded from a public code; its decoder sees nothing that is to come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.models._layers import glorot
from benchbench.models.vpn import VPN
from benchbench.predictor import Progress
from benchbench.recurrent import State
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

TINY = {"width": 3, "encoders": 1, "decoders": 3}


def clip_of(golden: Golden) -> Clip:
    return Clip(1, *golden.config["hw"], 1, golden.config["steps"])


def build(golden: Golden) -> tuple[VPN, Loaded]:
    config = golden.config
    predictor, loaded = golden.build(
        clip_of(golden),
        width=config["rmb_c"],
        encoders=config["enc"],
        decoders=config["dec"],
        dilated=config["dil"],
    )
    assert isinstance(predictor, VPN)
    return predictor, loaded


def channels_first(tensor: Tensor) -> Tensor:
    return tensor.movedim(-1, -3)


def recorded_state(golden: Golden) -> State:
    c, h = channels_first(golden["in/initial_lstm_state"])
    return State(h, c, c)


def small(clip: Clip | None = None, **options: Any) -> VPN:
    torch.manual_seed(0)
    predictor = build_model("vpn", clip or Clip(1, 8, 8, 2, 2), **{**TINY, **options})
    assert isinstance(predictor, VPN)
    return predictor


@goldens("out/final_c", "out/final_h", model="vpn")
def test_logits_and_states_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        levels = channels_first(golden["in/sequences"])
        logits, state = predictor.follow(levels, recorded_state(golden))
    if "out/logits" in golden:
        golden.check(logits, channels_first(golden["out/logits"]))
    golden.check(state.c, channels_first(golden["out/final_c"]))
    golden.check(state.h, channels_first(golden["out/final_h"]))


@goldens("out/encoder_state_0", "out/inference_logits_1", model="vpn")
def test_one_frame_alone_gives_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    levels = channels_first(golden["in/sequences"])
    with torch.no_grad():
        state = predictor.read(levels[:, 0], recorded_state(golden))
        golden.check(state.h, channels_first(golden["out/encoder_state_0"]))
        logits = predictor.logits(predictor.decoder[0](state.h), levels[:, 1])
    golden.check(logits, channels_first(golden["out/inference_logits_1"]))


@goldens("out/loss", model="vpn")
def test_the_loss_and_its_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    levels = channels_first(golden["in/sequences"])
    logits, _ = predictor.follow(levels, recorded_state(golden))
    loss = functional.cross_entropy(logits.transpose(1, 2), levels[:, 1:, 0].long())
    golden.check_loss(loss.item(), "out/loss")
    loss.backward()
    if norms := golden.meta.get("grad_l2"):
        golden.check_gradients(predictor, loaded, norms)


@goldens("param/", model="vpn")
def test_a_checkpoint_is_imported_with_what_its_tensors_show(
    golden: Golden, tmp_path: Path
) -> None:
    predictor, _ = build(golden)
    golden.check_import(predictor, clip_of(golden), tmp_path, dilated=golden.config["dil"])


def test_logits_of_a_pixel_see_only_those_before_it() -> None:
    predictor = small(decoders=5).double()
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.normal_(std=0.5)
        seen, frame = torch.rand(1, 6, 6, 6).double(), torch.rand(1, 1, 6, 6).double()
        before = predictor.logits(seen, frame)
        frame[0, 0, 3, 2] += 1.0
        changed = (predictor.logits(seen, frame) - before).abs().sum(dim=1)[0] > 0
    assert not changed[:3].any()
    assert not changed[3, :3].any()
    assert changed[3, 3]
    assert changed[4, :].any()


def test_only_blocks_before_the_memory_are_spread_by_the_sources_rates() -> None:
    spread, plain = small(encoders=6, dilated=True), small(encoders=6)

    def rates(block: nn.Module) -> set[tuple[int, ...]]:
        convs = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
        return {conv.dilation for conv in convs if conv.kernel_size == (3, 3)}

    assert [rates(block) for block in spread.encoder] == [{(n, n)} for n in (1, 2, 4, 8, 1, 2)]
    for blocks in (spread.decoder, plain.encoder):
        assert all(rates(block) == {(1, 1)} for block in blocks)
    with torch.no_grad():
        frame = torch.rand(1, 1, 8, 8)
        assert spread.read(frame, spread.begin(frame)).h.shape == (1, 6, 8, 8)


def test_a_frame_is_chosen_as_the_whole_decoder_would() -> None:
    predictor = small(Clip(1, 12, 12, 2, 2)).double().eval()  # larger than what a pixel depends on
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.normal_(std=0.3)
        h = torch.rand(2, 6, 12, 12).double()
        frame = predictor.choose(h)
        logits = predictor.logits(predictor.decoder[0](h), frame)
    assert torch.equal(logits.argmax(dim=1, keepdim=True).double(), frame)
    assert frame.unique().numel() > 1


def test_predictions_are_levels_and_the_loss_is_their_likelihood() -> None:
    predictor = small()
    frames = torch.rand(2, 4, 1, 8, 8)
    with torch.no_grad():
        predicted = predictor.eval()(frames[:, :2], 2)
        terms = predictor.losses(frames[:, :2], frames[:, 2:], Progress(step=0, steps=1))
        uniform = small()
        for parameter in uniform.parameters():
            parameter.zero_()
        even = uniform.losses(frames[:, :2], frames[:, 2:], Progress(step=0, steps=1))
    torch.testing.assert_close(predicted * 255, (predicted * 255).round())
    assert set(terms) == {"nll"}
    assert even["nll"].item() == pytest.approx(torch.tensor(256.0).log().item())


def test_initial_kernels_are_within_glorots_bound() -> None:
    predictor = small(width=16)
    conv = predictor.memory.of_xh
    bound = glorot(conv)
    assert bound * 0.99 < conv.weight.abs().max().item() <= bound
    assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
    assert not any(p.any() for n, p in predictor.named_parameters() if n.endswith("bias"))


def test_it_says_how_many_passes_a_frame_takes_and_refuses_many() -> None:
    assert small().cost == "64 passes of the decoder a frame, one after another, 128 a clip"
    moving_mnist = Clip(1, 64, 64, 10, 10)
    with pytest.raises(Unfit, match=r"takes 4,096 passes .* 40,960 a clip; .* allows 1,024"):
        small(moving_mnist)
    assert small(moving_mnist, most_passes=4096).cost.startswith("4,096 passes")


@pytest.mark.parametrize(
    ("options", "message"), [({"decoders": 2}, "at least 3"), ({"width": 1}, "at least 2")]
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(Clip(1, 8, 8, 2, 2), **options)


def test_the_channels_of_a_pixel_are_read_as_pixels_of_a_row() -> None:
    frames = torch.rand(2, 3, 2, 4, 5)
    rows = torch.stack([frames[:, :, 0], frames[:, :, 1]], dim=-1).reshape(2, 3, 1, 4, 10)
    torch.manual_seed(5)
    two = small(Clip(2, 4, 5, 2, 1)).eval()
    torch.manual_seed(5)
    one = small(Clip(1, 4, 10, 2, 1)).eval()
    with torch.no_grad():
        predicted, laid = two(frames[:, :2], 1), one(rows[:, :2], 1)
    assert predicted.shape == (2, 1, 2, 4, 5)
    for channel in range(2):
        assert torch.equal(predicted[:, :, channel], laid[:, :, 0, :, channel::2])
