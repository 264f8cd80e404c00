"""preflight: a model's first batch, looked at before anything is learned from it.

A wrong shape may broadcast in a loss and train for days on nonsense. Two clips go through `forward`
and `losses` as training and scoring will send them, and nothing of it stays: no weight, buffer,
gradient or random generator is changed.
"""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from benchbench.errors import Unfit
from benchbench.predictor import Predictor, autocast, require_frames
from benchbench.training.trainer import Trainer

CLIPS = 2
DIFFERENCES = frozenset(
    ("sub", "__sub__", "__rsub__", "rsub", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
)
"""Functions of torch that compare two tensors and broadcast where their shapes differ."""
TAKEN = frozenset(("step", "lr", "validation_mse"))
"""What the history calls its own columns."""


def check(trainer: Trainer, frames: Tensor) -> None:
    """Refuses a model whose predictions or losses cannot be trained on.

    Args:
        trainer: before its first iteration.
        frames: the first batch, (B, T, C, H, W).

    Raises:
        Unfit: naming file and line of the model, what it gave and what would be right.
    """
    predictor, precision = trainer.predictor, trainer.train.precision
    context, target = trainer.split_clip(frames[:CLIPS].to(trainer.device))
    with _unchanged(trainer):
        predictor.eval()
        with torch.no_grad(), autocast(trainer.device, precision):
            prediction = predictor(context, trainer.clip.horizon)
        with _at(type(predictor).forward):
            require_frames(prediction, target.shape, precision)
            if not bool(prediction.isfinite().all()):
                raise Unfit("forward gave nan or inf; expected finite frames before any training")
        predictor.train()
        with _at(type(predictor).losses):
            with autocast(trainer.device, precision), _Comparisons(target):
                terms = predictor.losses(context, target, trainer.progress)
            _require_terms(terms)
            _require_gradients(predictor, trainer.total(terms))


def _require_terms(terms: Any) -> None:
    """Raises Unfit unless these are the named terms of a loss."""
    if not isinstance(terms, Mapping) or not terms:
        kind = "an empty one" if isinstance(terms, Mapping) else type(terms).__name__
        raise Unfit(f"losses gave {kind}; expected a dict of named terms, as in {{'mse': loss}}")
    for name, term in terms.items():
        if not isinstance(name, str) or name in TAKEN:
            raise Unfit(
                f"losses named a term {name!r}; expected text other than {', '.join(sorted(TAKEN))}"
            )
        if not isinstance(term, Tensor):
            raise Unfit(f"losses gave {type(term).__name__} as '{name}'; expected a scalar tensor")
        if term.ndim or not term.is_floating_point():
            shape = tuple(term.shape)
            raise Unfit(
                f"losses gave '{name}' as {term.dtype} {shape}; expected a scalar tensor of floats"
            )
        if not bool(term.isfinite()):
            raise Unfit(
                f"losses gave {term.item()} as '{name}'; expected a finite number before step 1"
            )


def _require_gradients(predictor: Predictor, loss: Tensor) -> None:
    """Raises Unfit unless the loss tells a parameter where to go, and none to go nowhere."""
    if not loss.requires_grad:
        raise Unfit(
            "losses gave terms that no parameter has a part in; expected at least one that is "
            "computed from parameters, without detach() or no_grad()"
        )
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: parameter.grad
        for name, parameter in predictor.named_parameters()
        if parameter.grad is not None
    }
    if not gradients:
        raise Unfit("losses gave terms whose gradient reaches no parameter of the model")
    for name, gradient in gradients.items():
        if not bool(gradient.isfinite().all()):
            raise Unfit(f"losses gave nan or inf as the gradient of {name}; expected finite ones")


class _Comparisons(TorchFunctionMode):
    """Refuses the difference of a prediction and true frames whose shapes only broadcast."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.storage = target.untyped_storage().data_ptr()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function.__name__ in DIFFERENCES and all(isinstance(one, Tensor) for one in args[:2]):
            for prediction, truth in (args[:2], args[1::-1]):
                self._compare(prediction, truth)
        return function(*args, **(kwargs or {}))

    def _compare(self, prediction: Tensor, truth: Tensor) -> None:
        computed = prediction.grad_fn is not None and prediction.numel() > 1
        if not computed or truth.untyped_storage().data_ptr() != self.storage:
            return
        if prediction.shape != truth.shape:
            raise Unfit(
                f"losses compares a prediction {tuple(prediction.shape)} with true frames "
                f"{tuple(truth.shape)}; expected equal shapes"
            )


@contextlib.contextmanager
def _at(method: Callable[..., Any]) -> Iterator[None]:
    """Names the place where a fault shows: a line of the model's file, or the method's first."""
    try:
        yield
    except Unfit as error:
        code = inspect.unwrap(method).__code__
        passed = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in passed if frame.filename == code.co_filename]
        line = lines[-1] if lines else code.co_firstlineno
        raise Unfit(f"{code.co_filename}, line {line}: {error}") from None


@contextlib.contextmanager
def _unchanged(trainer: Trainer) -> Iterator[None]:
    """Brings buffers, gradients, mode and random generators back to what they were."""
    predictor, cuda = trainer.predictor, trainer.device.type == "cuda"
    training, draws = predictor.training, trainer.generator.get_state()
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in predictor.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        with torch.random.fork_rng([trainer.device.index or 0] if cuda else []):
            yield
    finally:
        trainer.generator.set_state(draws)
        for module, name, buffer, value in buffers:
            setattr(module, name, buffer.copy_(value))
        predictor.zero_grad(set_to_none=True)
        predictor.train(training)
