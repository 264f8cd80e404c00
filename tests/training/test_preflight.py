"""Models that would train on nonsense: refused before step 1, in one sentence with the place."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.predictor import Criterion, Predictor, Progress
from benchbench.registry import build_model
from benchbench.suite.schema import Train
from benchbench.training import preflight
from benchbench.training.trainer import Trainer

from ..stand_ins import ComputedSplit, install

CLIP = Clip(1, 8, 8, 3, 4)
FRAMES = torch.rand(2, *CLIP.shape, generator=torch.Generator().manual_seed(0))

FORWARD: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "one frame": (lambda x: x[:, :1], r"forward gave frames \(2, 1, 1, 8, 8\); expected .*\(2, 4,"),
    "T and C swapped": (lambda x: x.transpose(1, 2), r"forward gave frames \(2, 1, 4, 8, 8\)"),
    "too few frames": (lambda x: x[:, 1:], r"forward gave frames \(2, 3, 1, 8, 8\)"),
    "too many frames": (lambda x: torch.cat([x, x], 1), r"forward gave frames \(2, 8, 1, 8, 8\)"),
    "lost channel": (lambda x: x[:, :, 0], r"forward gave frames \(2, 4, 8, 8\)"),
    "wrong size": (lambda x: x[..., :4], r"forward gave frames \(2, 4, 1, 8, 4\)"),
    "one clip": (lambda x: x[:1], r"forward gave frames \(1, 4, 1, 8, 8\)"),
    "tuple": (lambda x: (x, x), r"forward gave tuple; expected frames .*one tensor"),
    "list": (list, "forward gave list"),
    "nothing": (lambda x: None, "forward gave NoneType"),
    "array": (lambda x: x.detach().numpy(), "forward gave ndarray"),
    "double": (lambda x: x.double(), r"of torch\.float64; expected torch\.float32"),
    "half": (lambda x: x.half(), r"of torch\.float16; expected torch\.float32"),
    "nan": (lambda x: x / (x - x), "forward gave nan or inf"),
    "inf": (lambda x: x + torch.inf, "forward gave nan or inf"),
}
LOSSES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "bare tensor": (lambda loss: loss, "losses gave Tensor; expected a dict of named terms"),
    "tuple": (lambda loss: (loss, loss), "losses gave tuple; expected a dict"),
    "nothing": (lambda loss: None, "losses gave NoneType; expected a dict"),
    "no terms": (lambda loss: {}, "losses gave an empty one; expected a dict"),
    "number": (lambda loss: {"mse": loss.item()}, "losses gave float as 'mse'"),
    "nested": (lambda loss: {"mse": {"a": loss}}, "losses gave dict as 'mse'"),
    "unreduced": (lambda loss: {"mse": loss.expand(2)}, r"'mse' as torch.float32 \(2,\); expected"),
    "of integers": (lambda loss: {"mse": loss.long()}, r"'mse' as torch.int64 \(\); expected"),
    "nan": (lambda loss: {"mse": loss * torch.nan}, "losses gave nan as 'mse'"),
    "inf": (lambda loss: {"a": loss, "b": loss + torch.inf}, "losses gave inf as 'b'"),
    "numbered": (lambda loss: {0: loss}, "losses named a term 0"),
    "column's name": (lambda loss: {"step": loss}, "losses named a term 'step'; expected .* lr, "),
    "detached": (lambda loss: {"mse": loss.detach()}, "no parameter has a part in"),
    "of its own": (
        lambda loss: {"mse": torch.ones((), requires_grad=True) * loss.detach()},
        "reaches no parameter",
    ),
    "rough": (lambda loss: {"mse": (loss - loss).sqrt()}, "nan or inf as the gradient of gain"),
}
DIFFERENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "minus": lambda prediction, target: (prediction - target).square().mean(),
    "reversed": lambda prediction, target: (target - prediction).abs().mean(),
    "sub": lambda prediction, target: torch.sub(prediction, target).square().mean(),
    "mse_loss": nn.functional.mse_loss,
    "l1_loss": nn.functional.l1_loss,
    "MSELoss": nn.MSELoss(),
    "smooth": nn.SmoothL1Loss(),
    "subtract": lambda prediction, target: torch.subtract(target, prediction).square().mean(),
    "in place": lambda prediction, target: target.clone().sub_(prediction).square().mean(),
    "named": lambda prediction, target: torch.sub(input=prediction, other=target).abs().mean(),
    "likelihood": lambda prediction, target: (
        -torch.distributions.Laplace(prediction, 1.0).log_prob(target).mean()
    ),
    "scaled": lambda prediction, target: (prediction - (2 * target - 1)).square().mean(),
    "double": lambda prediction, target: (prediction - target.double()).square().mean(),
    "joined": lambda prediction, target: (
        (prediction - torch.cat([target, target], 1)[:, :4]).square().mean()
    ),
}
SOUND: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "scaled and shifted": lambda prediction, target: (
        prediction - (2 * target - 1) + (target - prediction.mean()).mean()
    ).mean(),
    "named": lambda prediction, target: torch.sub(input=prediction, other=target).abs().mean(),
    "frame by frame": lambda prediction, target: (prediction[:, 1] - target[:, 1]).abs().mean(),
    "of motion": lambda prediction, target: (
        (prediction.diff(dim=1) - target.diff(dim=1)).square().mean()
    ),
    "from the first frame": lambda prediction, target: (prediction - target[:, :1]).abs().mean(),
    "best of two": lambda prediction, target: (
        (torch.stack([prediction, 2 * prediction]) - target).square().mean((1, 2, 3, 4, 5)).min()
    ),
    "of two for each": lambda prediction, target: (
        (torch.stack([prediction, 2 * prediction], 1) - target[:, None]).square().mean()
    ),
}


class Flawed(Predictor):
    """The last frame, scaled, with a flaw in `forward`, in what `losses` compares or in both."""

    def __init__(self, *, forward: Any = None, compared: Any = None, losses: Any = None) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.flaws = forward, compared, losses
        self.compare: Any = None

    def scaled(self, context: Tensor, horizon: int) -> Tensor:
        return self.gain * context[:, -1:].expand(-1, horizon, -1, -1, -1)

    def forward(self, context: Tensor, horizon: int) -> Any:
        frames = self.scaled(context, horizon)
        return self.flaws[0](frames) if self.flaws[0] else frames

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> Any:
        _, compared, flaw = self.flaws
        frames = self.scaled(context, target.shape[1])
        frames = compared(frames) if compared else frames
        compare = self.compare or (lambda *both: progress.criterion(*both)["mse"])
        loss = compare(frames, target)
        return flaw(loss) if flaw else {"mse": loss}


def check(predictor: Predictor) -> Trainer:
    train = Train.model_validate({"steps": 4, "batch": 2})
    trainer = Trainer(predictor, ComputedSplit(FRAMES.__getitem__, 2), CLIP, train, seed=0)
    preflight.check(trainer, FRAMES)
    return trainer


def line_of(method: Callable[..., Any], text: str) -> int:
    """The line of this file that holds a text, within a method."""
    first = method.__code__.co_firstlineno  # type: ignore[attr-defined]
    lines = Path(__file__).read_text().splitlines()
    return next(number for number in itertools.count(first) if text in lines[number - 1])


def refused(predictor: Predictor, message: str, line: int) -> None:
    with pytest.raises(Unfit, match=message) as caught:
        check(predictor)
    assert str(caught.value).startswith(f"{__file__}, line {line}: ")


@pytest.mark.parametrize("flaw", FORWARD)
@pytest.mark.parametrize("through", [True, False], ids=["through forward", "its own way"])
def test_frames_that_are_not_as_asked_are_refused_with_the_line_of_forward(
    flaw: str, through: bool
) -> None:
    spoil, message = FORWARD[flaw]
    predictor = Flawed(forward=spoil, compared=spoil if through else None)
    refused(predictor, message, Flawed.forward.__code__.co_firstlineno)


@pytest.mark.parametrize("flaw", LOSSES)
def test_losses_that_cannot_be_minimised_are_refused_with_their_line(flaw: str) -> None:
    spoil, message = LOSSES[flaw]
    refused(Flawed(losses=spoil), message, Flawed.losses.__code__.co_firstlineno)


@pytest.mark.parametrize("flaw", ["one frame", "T and C swapped", "lost channel", "one clip"])
def test_a_criterion_refuses_shapes_that_only_broadcast(flaw: str) -> None:
    spoil = FORWARD[flaw][0]
    line = line_of(Flawed.losses, "progress.criterion(*both)")
    refused(Flawed(compared=spoil), r"compares a prediction \(.*expected equal shapes", line)
    with pytest.raises(Unfit, match=r"a prediction \(2, 1\) with true frames \(2, 3\)"):
        Criterion()(torch.ones(2, 1), torch.ones(2, 3))


@pytest.mark.parametrize("compare", DIFFERENCES)
@pytest.mark.parametrize("flaw", ["one frame", "one clip"])
def test_a_loss_of_a_models_own_that_only_broadcasts_is_refused(compare: str, flaw: str) -> None:
    predictor = Flawed(compared=FORWARD[flaw][0])
    predictor.compare = DIFFERENCES[compare]
    with pytest.raises(Unfit, match=r"line \d+: losses compares .*expected equal shapes"):
        check(predictor)


def test_a_prediction_of_three_channels_is_not_compared_with_grey_frames() -> None:
    predictor = Flawed(compared=lambda frames: frames.expand(-1, -1, 3, -1, -1) * 1)
    predictor.compare = nn.functional.l1_loss
    with pytest.raises(Unfit, match=r"\(2, 4, 3, 8, 8\) with true frames \(2, 4, 1, 8, 8\)"):
        check(predictor)


@pytest.mark.parametrize("compare", SOUND)
def test_a_loss_may_scale_select_and_repeat_true_frames(compare: str) -> None:
    predictor = Flawed()
    predictor.compare = SOUND[compare]
    check(predictor)


class Moving(Flawed):
    """Compares motion since the last frame read, which lies beside the true ones."""

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> Any:
        last = context[:, -1:]
        motion = self.scaled(context, target.shape[1]) - last
        return {"mse": (motion - (target - last)).square().mean()}


def test_a_loss_may_compare_predictions_with_the_last_frame_read() -> None:
    check(Moving())


class Remembering(Flawed):
    """Has everything that a batch may change."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(1)
        self.register_buffer("batches", torch.zeros((), dtype=torch.long), persistent=False)
        self.calls = 0

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        self.batches = self.batches + 1
        self.calls += 1
        frames = nn.functional.dropout(self.norm(self.scaled(context, horizon)[:, :, 0][:, None]))
        return frames.transpose(1, 2)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        coin = torch.rand((), generator=progress.generator)
        prediction = coin * self(context, target.shape[1])
        return progress.criterion(prediction, target.mul_(2).sub_(1))


def test_nothing_is_changed_by_it() -> None:
    predictor = Remembering()
    predictor.eval()
    before = {name: value.clone() for name, value in predictor.state_dict().items()}
    frames = FRAMES.clone()
    draws = torch.get_rng_state()
    trainer = check(predictor)
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.equal(trainer.generator.get_state(), torch.Generator().manual_seed(0).get_state())
    assert all(torch.equal(before[name], value) for name, value in predictor.state_dict().items())
    assert (int(predictor.batches), predictor.calls) == (0, 0)
    assert torch.equal(frames, FRAMES)
    assert predictor.gain.grad is None
    assert not predictor.training


def test_a_sound_model_passes_in_half_precision_too() -> None:
    predictor = build_model("convlstm", CLIP, hidden=[4], patch=4)
    train = Train.model_validate({"steps": 4, "batch": 2, "precision": "bf16"})
    split = ComputedSplit(FRAMES.__getitem__, 2)
    preflight.check(Trainer(predictor, split, CLIP, train, seed=0), FRAMES)


MODULE = """
import torch
from benchbench.predictor import Predictor
from benchbench.registry import register_model

class Broken(Predictor):
    def __init__(self, bug):
        super().__init__()
        self.gain, self.bug = torch.nn.Parameter(torch.ones(())), bug

    def forward(self, context, horizon):
        if self.bug == "key":
            return {}["hidden"]
        frames = 1 if self.bug == "one" else horizon
        return self.gain * context[:, -1:].expand(-1, frames, -1, -1, -1)

    def losses(self, context, target, progress):
        return {"mse": (self(context, target.shape[1]) - target).square().mean()}

@register_model("broken")
def broken(clip, *, bug: str = "one") -> Predictor:
    return Broken(bug)
"""


def test_a_person_reads_file_and_line_of_the_model_and_the_log_has_the_traceback(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    package = install(tmp_path / "site", "[benchbench.models]\nbroken = theirs\n", theirs=MODULE)
    models = "models=[{name: broken}, {name: broken, label: k, options: {bug: key}}]"
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "benchbench", "run", str(write_suite()), models),
            *("--results", str(tmp_path / "out"), "--executor", "inline"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package), *sys.path])},
    )
    assert answer.returncode == 1, answer.stderr
    assert "theirs.py, line 11: forward gave frames (2, 1, 1, 16, 16); expected" in answer.stdout
    assert "theirs.py, line 13: KeyError: 'hidden'" in answer.stdout
    logs = "".join(path.read_text() for path in (tmp_path / "out").rglob("log.txt"))
    assert "Traceback" in logs
    assert not any(path.read_text() for path in (tmp_path / "out").rglob("history.jsonl"))
