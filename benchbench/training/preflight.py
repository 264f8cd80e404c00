"""preflight: a model's first batch, looked at before anything is learned from it.

A wrong shape may broadcast in a loss and train for days on nonsense. Two clips go through `forward`
and `losses` as training and scoring will send them, and nothing of it stays: no weight, buffer,
attribute, gradient or random generator is changed.
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
    (
        *("sub", "sub_", "subtract", "subtract_", "rsub", "__sub__", "__isub__", "__rsub__"),
        *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss", "kl_div"),
        *("poisson_nll_loss", "pairwise_distance", "cosine_similarity", "dist"),
    )
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
    clips = frames[:CLIPS].to(trainer.device)
    context, target = (part.clone() for part in trainer.split_clip(clips))
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
    """Refuses the difference of a prediction and true frames whose shapes only broadcast.

    True frames are the target and whatever is computed from all of it without parameters, scaled,
    copied or joined to others. They may be repeated, over samples say; a prediction may not.
    """

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = target
        self.truths = {target.untyped_storage().data_ptr(): target}

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
        if function.__name__ in DIFFERENCES and len(tensors) > 1:
            self._compare(tensors[0], tensors[1])
            self._compare(tensors[1], tensors[0])
        result = function(*args, **kwargs)
        if isinstance(result, Tensor) and self._holds_all(result):
            joined = [one for item in args if isinstance(item, list | tuple) for one in item]
            if any(isinstance(one, Tensor) and self._is_true(one) for one in (*tensors, *joined)):
                self.truths[result.untyped_storage().data_ptr()] = result
        return result

    def _holds_all(self, tensor: Tensor) -> bool:
        return tensor.grad_fn is None and tensor.numel() >= self.target.numel()

    def _is_true(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self.truths

    def _compare(self, prediction: Tensor, truth: Tensor) -> None:
        if prediction.grad_fn is None or prediction.numel() == 1 or not self._is_true(truth):
            return
        predicted, shape = prediction.shape, truth.shape
        sizes = zip(reversed(predicted), reversed(shape), strict=False)
        fits = len(shape) <= len(predicted) and all(one in (1, other) for other, one in sizes)
        whole = shape == self.target.shape and len(shape) == len(predicted)
        if not fits or (whole and shape != predicted):
            raise Unfit(
                f"losses compares a prediction {tuple(predicted)} with true frames "
                f"{tuple(shape)}; expected equal shapes, by expand() where this is meant"
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
    """Brings attributes, buffers, gradients and random generators back to what they were."""
    predictor, cuda = trainer.predictor, trainer.device.type == "cuda"
    draws = trainer.generator.get_state()
    attributes = [(vars(module), dict(vars(module))) for module in predictor.modules()]
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
        for present, past in attributes:
            present.clear()
            present.update(past)
        for module, name, buffer, value in buffers:
            setattr(module, name, buffer.copy_(value))
        predictor.zero_grad(set_to_none=True)
