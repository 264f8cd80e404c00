"""The recurrent skeleton, on stacks small enough to follow by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import SchemaError, Unfit
from benchbench.predictor import Criterion, Progress
from benchbench.recurrent import Recurrent, State, Straight, Wrapped, Zigzag, fold, folded, unfold


class Adder(nn.Module):
    """h' = x + h, c' = c + 1, m' = m + 1."""

    inputs = hidden = 1

    def forward(self, x: Tensor, state: State) -> State:
        return State(x + state.h, state.c + 1, state.m + 1)


class Doubler(nn.Module):
    """Doubles both maps."""

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * first, 2 * second


class Echo(Straight):
    """Predicts what it was fed plus ten, and remembers what that was."""

    def __init__(self) -> None:
        super().__init__([Adder()], nn.Identity())
        self.fed: list[float] = []

    def forward(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        self.fed.append(x.flatten()[0].item())
        return x + 10, carry


def ramp(batch: int, frames: int) -> Tensor:
    return torch.arange(frames, dtype=torch.float32).view(1, -1, 1, 1, 1).repeat(batch, 1, 1, 1, 1)


@pytest.mark.parametrize("order", ["thuml", "cms", "torch"])
@pytest.mark.parametrize("patch", [1, 2])
def test_unfold_is_the_inverse_of_fold(order: str, patch: int) -> None:
    frames = torch.rand(2, 3, 2, 4, 6)
    folds = fold(frames, patch, order)  # type: ignore[arg-type]
    assert folds.shape == (2, 3, 2 * patch**2, 4 // patch, 6 // patch)
    assert torch.equal(unfold(folds, patch, order), frames)  # type: ignore[arg-type]


def test_each_patch_order_puts_a_pixel_where_its_source_does() -> None:
    # value = 100 channel + 10 row + column, of one 2x2 patch of two channels
    c, y, x = torch.meshgrid(torch.arange(2), torch.arange(2), torch.arange(2), indexing="ij")
    frames = (100 * c + 10 * y + x).view(1, 1, 2, 2, 2)
    layout = {
        order: fold(frames, 2, order).flatten().tolist()  # type: ignore[arg-type]
        for order in ("thuml", "cms", "torch")
    }
    assert layout["thuml"] == [0, 100, 1, 101, 10, 110, 11, 111]
    assert layout["cms"] == [0, 10, 1, 11, 100, 110, 101, 111]
    assert layout["torch"] == [0, 1, 10, 11, 100, 101, 110, 111]
    shuffled = nn.functional.pixel_unshuffle(frames[0].float(), 2).flatten().tolist()
    assert layout["torch"] == shuffled


def test_folded_gives_the_shape_of_folded_frames() -> None:
    assert folded(Clip(3, 8, 12, 1, 1), 4) == (48, 2, 3)


@pytest.mark.parametrize("patch", [0, 3])
def test_frames_that_do_not_divide_into_patches_are_refused(patch: int) -> None:
    with pytest.raises(Unfit, match="patch"):
        folded(Clip(1, 8, 8, 1, 1), patch)


def test_the_roll_feeds_the_context_and_then_its_own_predictions() -> None:
    predictor = Recurrent(Echo(), patch=1)
    predicted = predictor(ramp(1, 3), 2)
    assert predictor.stack.fed == [0, 1, 2, 12]  # type: ignore[comparison-overlap]
    assert predicted.flatten().tolist() == [12, 22]


def test_the_roll_feeds_what_the_mask_says() -> None:
    predictor = Recurrent(Echo(), patch=1)
    truth = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.5]])
    predictor.roll(ramp(1, 6), 5, truth)
    # own prediction of frame 2 is 11; half of frame 4 and half of the prediction 13 of it
    assert predictor.stack.fed == [0, 1, 11, 3, 8.5]  # type: ignore[comparison-overlap]


def test_the_first_input_is_true_whatever_the_mask_says() -> None:
    predictor = Recurrent(Echo(), patch=1)
    predictor.roll(ramp(1, 2), 1, torch.zeros(1, 1))
    assert predictor.stack.fed == [0]  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(("first_scored", "scored"), [(1, 4), (2, 3)])
def test_the_loss_covers_the_warm_up_from_the_first_scored_frame(
    first_scored: int, scored: int
) -> None:
    predictor = Recurrent(Echo(), patch=1, first_scored=first_scored)
    frames = ramp(1, 5)
    progress = Progress(
        step=0, steps=1, criterion=Criterion(reduction="sum"), truth=torch.ones(1, 1)
    )
    losses = predictor.losses(frames[:, :3], frames[:, 3:], progress)
    assert losses["mse"].item() == scored * 81  # every prediction is 9 too high


def test_a_forced_mask_of_the_wrong_shape_is_refused() -> None:
    progress = Progress(step=0, steps=1, truth=torch.ones(2, 4))
    with pytest.raises(SchemaError, match="expected a mask of 1x1 or 1x4, not 2x4"):
        progress.mask(1, 3, 2)


def test_a_forced_mask_may_cover_all_the_inputs() -> None:
    truth = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    assert torch.equal(Progress(step=0, steps=1, truth=truth).mask(1, 3, 2), truth)


def test_each_layer_of_a_stack_keeps_its_own_memory() -> None:
    stack = Straight([Adder(), Adder()], nn.Identity())
    carry = stack.begin(torch.ones(1, 1, 1, 1))
    for _ in range(2):
        _, carry = stack(torch.ones(1, 1, 1, 1), carry)
    assert [state.m.item() for state in carry] == [2, 2]


def test_the_memory_of_a_zigzag_climbs_the_layers_and_enters_the_lowest_again() -> None:
    stack = Zigzag([Adder(), Adder()], nn.Identity())
    carry = stack.begin(torch.ones(1, 1, 1, 1))
    seen = []
    for _ in range(2):
        _, carry = stack(torch.ones(1, 1, 1, 1), carry)
        seen.append([state.m.item() for state in carry])
    assert seen == [[1, 2], [3, 4]]


def test_a_wrapped_cell_refines_before_its_gates_and_after_them() -> None:
    one = torch.ones(1, 1, 1, 1)
    state = State(one, one, one)
    before = Wrapped(Adder(), before=Doubler())(one, state)
    assert (before.h.item(), before.c.item()) == (4, 2)
    after = Wrapped(Adder(), after=Doubler())(one, state)
    assert (after.h.item(), after.c.item(), after.m.item()) == (4, 4, 2)
