"""The one training loop: load, iterate, validate, write, until the last iteration."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchbench.training.events import Interrupted, Training, Watch
from benchbench.training.journal import Journal
from benchbench.training.trainer import Trainer
from benchbench.training.weights import Weights


class Pace:
    """Seconds an iteration of one attempt; its first iteration, which warms up, does not count."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def at(self, step: int) -> float | None:
        """The pace up to now, when `step` iterations are done; None the first time."""
        now = time.monotonic()
        self.first = self.first or (step, now)
        steps = step - self.first[0]
        return (now - self.first[1]) / steps if steps else None


def train(
    trainer: Trainer,
    journal: Journal,
    validate: Callable[[], float],
    *,
    watch: Watch,
    stop: Callable[[], bool] = lambda: False,
    workers: int = 0,
) -> Weights:
    """Trains to the last iteration, from the newest checkpoint if there is one.

    Args:
        trainer: fresh; a checkpoint replaces its state.
        journal: where checkpoints and the history are.
        validate: gives the validation MSE of the predictor as it stands.
        watch: told where training stands after each iteration.
        stop: asked after each iteration; True makes a checkpoint and raises Interrupted.
        workers: processes that load clips.

    Raises:
        RunFailed: the loss is not finite; the message names the step.
        Interrupted: `stop` said so.
    """
    journal.resume(trainer)
    steps, pace = trainer.train.iterations, Pace()
    for frames in trainer.batches(workers):
        terms = trainer.iterate(frames)
        mse = None
        if trainer.validates:
            trainer.judge(mse := validate())
        journal.add(trainer, terms, mse)
        step, loss = trainer.step, sum(terms.values())
        watch(Training(step, steps, loss, trainer.validation_mse, pace.at(step)))
        stopping = step < steps and stop()
        if stopping or step == steps or step % journal.checkpoint_every == 0:
            journal.save(trainer)
        if stopping:
            raise Interrupted(f"stopped at step {step} of {steps}")
    return trainer.weights()
