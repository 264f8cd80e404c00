"""SwinLSTM-D and -B equal arrays recorded from OpenSTL, and their pieces do what Swin's do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.models._layers import DropPath
from benchbench.models._swin import PatchExpanding, PatchMerging, SwinBlock
from benchbench.predictor import Progress
from benchbench.recurrent import Recurrent
from benchbench.registry import build_model
from benchbench.weights.reference import Loaded

from .goldens import Golden, goldens

CLIP = Clip(1, 32, 32, 2, 2)


def build(golden: Golden) -> tuple[Recurrent, Loaded]:
    """The configurations list the way up backwards: depths and heads are read from the tensors."""
    config = golden.config
    cells: dict[tuple[str, int], list[Tensor]] = {}
    for name in golden.names:
        match = re.search(r"(Down|Up|ST).*?(\d*)\.STBs\.\d+\.attn\.relative_position_bias", name)
        if match and name.endswith("table"):
            cells.setdefault((match[1], int(match[2] or 0)), []).append(golden[name])
    order = sorted(cells)
    predictor, loaded = golden.build(
        clip_of(golden),
        width=config["dim"],
        window=config["ws"],
        depths=[len(cells[cell]) for cell in order],
        heads=[cells[cell][0].shape[1] for cell in order],
    )
    assert isinstance(predictor, Recurrent)
    return predictor, loaded


def clip_of(golden: Golden) -> Clip:
    config = golden.config
    return Clip(config["C"], config["hw"], config["hw"], config["Tin"], config["Tout"])


def small(**options: Any) -> Recurrent:
    torch.manual_seed(0)
    sizes = {"width": 8, "depths": [2, 6, 2, 6], "heads": [2, 4, 4, 2], "window": 4}
    predictor = build_model("swinlstm", CLIP, **{**sizes, **options})
    assert isinstance(predictor, Recurrent)
    return predictor


@goldens("out/pred", model="swinlstm")
def test_predictions_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    with torch.no_grad():
        golden.check(predictor(golden["in/x"], golden.config["Tout"]), "out/pred")


@goldens("out/pred", model="swinlstm")
def test_a_checkpoint_shows_all_options_but_the_window(golden: Golden, tmp_path: Path) -> None:
    predictor, _ = build(golden)
    golden.check_import(predictor, clip_of(golden), tmp_path, window=golden.config["ws"])


@goldens("out/next_frames", model="swinlstm")
def test_predictions_of_the_context_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = build(golden)
    recorded = golden["out/next_frames"]
    with torch.no_grad():
        rolled = predictor.roll(golden["in/x"], recorded.shape[1])
    golden.check(rolled.permute(0, 1, 3, 4, 2), "out/next_frames")


@goldens("out/train_loss", model="swinlstm")
def test_the_loss_and_gradients_equal_the_recorded(golden: Golden) -> None:
    predictor, loaded = build(golden)
    progress = Progress(step=0, steps=1)
    (loss,) = predictor.losses(golden["in/x"], golden["in/y"], progress).values()
    golden.check_loss(loss.item(), "out/train_loss")
    loss.backward()
    golden.check_gradients(predictor, loaded, golden.meta["grad_l2"])


def test_merging_lays_the_left_column_before_the_right_one() -> None:
    merging = PatchMerging(3).double()
    x = torch.rand(2, 4, 6, 3, dtype=torch.float64)
    corners = [x[:, dy::2, dx::2] for dx in (0, 1) for dy in (0, 1)]
    expected = merging.reduce(merging.norm(torch.cat(corners, dim=3)))
    torch.testing.assert_close(merging(x), expected)


def test_expanding_puts_the_upper_row_before_the_lower_one() -> None:
    expanding = PatchExpanding(4).double()
    x = torch.rand(2, 3, 2, 4, dtype=torch.float64)
    grown, pieces = expanding(x), expanding.expand(x).chunk(4, dim=3)
    for piece, (dy, dx) in zip(pieces, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        torch.testing.assert_close(grown[:, dy::2, dx::2], expanding.norm(piece))


def reach(block: SwinBlock, place: tuple[int, int]) -> set[tuple[int, int]]:
    """The places of the input that one place of the output depends on."""
    x = torch.rand(1, *block.size, 4, dtype=torch.float64, requires_grad=True)
    block.double()(x)[0, place[0], place[1]].sum().backward()
    assert x.grad is not None
    # a masked score still has a weight of exp(-100)
    return {(int(y), int(z)) for y, z in (x.grad[0].abs().sum(dim=2) > 1e-30).nonzero()}


def block(*, shifted: bool, size: tuple[int, int] = (8, 8)) -> SwinBlock:
    torch.manual_seed(0)
    return SwinBlock(
        4, size, heads=2, window=4, shifted=shifted, joins=False, mlp_ratio=2.0, drop_path=0.0
    )


def square(y: int, x: int, side: int) -> set[tuple[int, int]]:
    return {(a, b) for a in range(y, y + side) for b in range(x, x + side)}


def test_a_window_sees_itself_and_a_shifted_one_half_of_its_neighbours() -> None:
    assert reach(block(shifted=False), (1, 6)) == square(0, 4, 4)
    assert reach(block(shifted=True), (3, 3)) == square(2, 2, 4)
    # what the shift wraps around is masked
    assert reach(block(shifted=True), (0, 0)) == square(0, 0, 2)
    assert reach(block(shifted=True), (7, 7)) == square(6, 6, 2)


def test_maps_of_one_window_are_not_shifted() -> None:
    assert reach(block(shifted=True, size=(4, 4)), (0, 0)) == square(0, 0, 4)


def test_stochastic_depth_rises_along_the_way_down_and_the_way_up_counted_from_its_end() -> None:
    predictor = small()
    levels = [*predictor.stack.down, *predictor.stack.up]  # type: ignore[misc]
    rates = [
        [module.rate for module in level.modules() if isinstance(module, DropPath)]
        for level in levels
    ]
    rising = [0.1 * n / 7 for n in range(8)]
    for cell, expected in zip(rates, (rising[:2], rising[2:], rising[6:], rising[:6]), strict=True):
        assert cell == pytest.approx(expected)


def test_position_biases_start_with_a_deviation_of_2_percent() -> None:
    predictor = small()
    biases = [v.flatten() for k, v in predictor.named_parameters() if k.endswith("attention.bias")]
    assert torch.cat(biases).std().item() == pytest.approx(0.02, rel=0.05)


def test_predictions_are_between_0_and_1() -> None:
    predictor = small().eval()
    with torch.no_grad():
        predicted = predictor(50 * torch.randn(2, 2, 1, 32, 32), 3)
    assert predicted.min() >= 0
    assert predicted.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": [2, 2, 2], "heads": [2, 2, 2]}, "as many going down as up"),
        ({"heads": [2, 4]}, "expected one of each"),
        ({"heads": [3, 4, 4, 2]}, "does not divide into 3 heads"),
        ({"window": 3}, "do not divide into windows of 3"),
        ({"depths": [1] * 12, "heads": [1] * 12}, "cannot be halved 7 times"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        small(**options)
