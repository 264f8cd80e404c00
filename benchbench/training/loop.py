"""The one training loop: load, iterate, validate, write; and the files that it writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchbench.training import checkpoint, preflight
from benchbench.training.events import Interrupted, Training, Watch
from benchbench.training.history import EMPTY, History
from benchbench.training.trainer import Trainer
from benchbench.training.weights import Weights


class Journal:
    """What training writes in a run's folder: checkpoints, and the history.

    Args:
        folder: where they are.
        key: the run's.
        checkpoint_every: iterations between two checkpoints.
    """

    def __init__(self, folder: Path, key: str, checkpoint_every: int) -> None:
        self.folder = folder
        self.key = key
        self.history = History(folder)
        self.checkpoint_every = checkpoint_every

    def resume(self, trainer: Trainer) -> None:
        """Brings a fresh trainer to the newest checkpoint, and cuts the history back to it."""
        state = checkpoint.load(self.folder, self.key, device=trainer.device)
        if state is not None:
            trainer.load_state_dict(state)
        self.history.resume(trainer.step, EMPTY if state is None else state["history"])

    def save(self, trainer: Trainer) -> None:
        """Writes a checkpoint."""
        state = {**trainer.state_dict(), "history": self.history.mark}
        checkpoint.save(self.folder, state, self.key)

    def add(self, trainer: Trainer, terms: dict[str, float], validation_mse: float | None) -> None:
        """Appends a line to the history, about 1,000 in a run and every validation."""
        every = max(1, trainer.train.iterations // 1000)
        if trainer.step % every and validation_mse is None:
            return
        validation = {} if validation_mse is None else {"validation_mse": validation_mse}
        row = {"step": trainer.step, **terms, **validation, "lr": trainer.learning_rate}
        self.history.append(row)


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
        Unfit: the model's first predictions or losses cannot be trained on.
        RunFailed: the loss is not finite; the message names the step.
        Interrupted: `stop` said so.
    """
    journal.resume(trainer)
    steps, first, began = trainer.train.iterations, trainer.step + 1, 0.0
    for frames in trainer.batches(workers):
        if trainer.step == 0:
            preflight.check(trainer, frames)
        terms = trainer.iterate(frames)
        mse = None
        if trainer.validates:
            trainer.judge(mse := validate())
        journal.add(trainer, terms, mse)
        step, loss, now = trainer.step, sum(terms.values()), time.monotonic()
        began = began or now  # the first iteration of an attempt warms up, and does not count
        pace = (now - began) / (step - first) if step > first else None
        watch(Training(step, steps, loss, trainer.validation_mse, pace))
        stopping = step < steps and stop()
        if stopping or step == steps or step % journal.checkpoint_every == 0:
            journal.save(trainer)
        if stopping:
            raise Interrupted(f"stopped at step {step} of {steps}")
    return trainer.weights()
