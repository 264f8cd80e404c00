"""The one training loop: optimiser, schedule, precision, validation, checkpoint, resume.

A run resumed from its checkpoint ends with the bits of the uninterrupted one on the same machine
and thread count: weights, optimiser, schedule, data order, and every random generator are in it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchbench.clip import Clip
from benchbench.dataset import Split
from benchbench.errors import BenchError, RunFailed
from benchbench.precision import autocast
from benchbench.predictor import Predictor, Progress
from benchbench.suite.schema import Train
from benchbench.training import checkpoint
from benchbench.training.events import Training, Watch
from benchbench.training.optimiser import criterion, optimiser, sampling, scheduler
from benchbench.training.order import Batches

Weights = dict[str, Tensor]


class Interrupted(BenchError):
    """Training stopped when asked to, with a checkpoint of the step it had reached."""


@dataclass(frozen=True)
class Result:
    """What training gives: the weights to test, and where they come from."""

    weights: Weights
    step: int
    """Training iteration of the weights."""
    validation_mse: float | None
    seconds: float

    def to_state(self) -> dict[str, Any]:
        """What the checkpoint of a finished run holds; an unfinished one holds an optimiser too."""
        return {
            "model": self.weights,
            "step": self.step,
            "validation_mse": self.validation_mse,
            "seconds": self.seconds,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Result:
        """The inverse of `to_state`."""
        return cls(state["model"], state["step"], state["validation_mse"], state["seconds"])


class Pace:
    """Seconds an iteration, from the first one that is told of."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def at(self, step: int) -> float | None:
        """The pace up to now, when `step` iterations are done; None the first time."""
        now = time.monotonic()
        self.first = self.first or (step, now)
        steps = step - self.first[0]
        return (now - self.first[1]) / steps if steps else None


@dataclass
class Trainer:
    """Trains one predictor in one folder.

    Args:
        predictor: on its device, freshly initialised; a checkpoint in the folder replaces it.
        train: what the suite asks for.
        seed: of data order and of the loss's random draws.
        folder: holds `checkpoint.pt` and `history.jsonl`.
        checkpoint_every: iterations between two checkpoints.
        workers: processes that load clips.
        validate: gives the validation MSE of the predictor as it stands.
        watch: told where training stands after each iteration.
        stop: asked after each iteration; True makes a checkpoint and raises Interrupted.
    """

    predictor: Predictor
    train: Train
    clip: Clip
    seed: int
    folder: Path
    checkpoint_every: int
    workers: int
    validate: Callable[[], float]
    watch: Watch
    stop: Callable[[], bool] = lambda: False
    step: int = 0
    seconds: float = 0.0
    best: Weights | None = None
    best_step: int = 0
    best_mse: float = math.inf
    generator: torch.Generator = field(default_factory=torch.Generator)

    def __post_init__(self) -> None:
        self.device = next(self.predictor.parameters()).device
        self.optimizer = optimiser(self.predictor, self.train)
        self.scheduler = scheduler(self.optimizer, self.train)
        self.sampling = sampling(self.train)
        self.criterion = criterion(self.train)
        self.generator.manual_seed(self.seed)

    def run(self, split: Split) -> Result:
        """Trains to the last iteration, from the newest checkpoint if there is one.

        Raises:
            RunFailed: the loss is not finite; the message names the step.
            Interrupted: `stop` said so.
        """
        if (finished := self.resume()) is not None:
            return finished
        epoch = split.length or 10_000
        per_epoch = max(1, epoch // self.train.batch)
        validation = None if self.best is None else self.best_mse
        pace = Pace()
        for frames in self.batches(split):
            started = time.monotonic()
            self.predictor.train()
            terms = self.iterate(frames.to(self.device, non_blocking=True), per_epoch)
            self.step += 1
            self.seconds += time.monotonic() - started
            row: dict[str, Any] = {"step": self.step, **terms}
            if self.step % self.train.validate_every == 0 or self.step == self.train.steps:
                row["validation_mse"] = validation = self.validated()
            self.remember(row)
            self.watch(
                Training(
                    self.step,
                    self.train.steps,
                    loss=sum(terms.values()),
                    validation=validation,
                    seconds_a_step=pace.at(self.step),
                )
            )
            stopping = self.step < self.train.steps and self.stop()
            if stopping or self.step % self.checkpoint_every == 0:
                self.save()
            if stopping:
                raise Interrupted(f"stopped at step {self.step} of {self.train.steps}")
        result = self.result()
        checkpoint.save(self.folder, result.to_state())
        return result

    def batches(self, split: Split) -> Iterator[Tensor]:
        """The remaining batches, (B, T, C, H, W)."""
        order = Batches(
            split.length,
            batch=self.train.batch,
            start=self.step,
            steps=self.train.steps,
            seed=self.seed,
        )
        loader: DataLoader[Tensor] = DataLoader(
            split,
            batch_sampler=order,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            # the loader's own draws must not move the global generator
            generator=torch.Generator(),
        )
        return iter(loader)

    def iterate(self, frames: Tensor, steps_per_epoch: int) -> dict[str, float]:
        """One batch: one optimiser update, or two with the reversed clip; the terms, averaged."""
        draws = self.generator.get_state()
        terms = self.update(frames, steps_per_epoch)
        if self.train.reverse_clip:
            self.generator.set_state(draws)
            back = self.update(frames.flip(1), steps_per_epoch)
            terms = {name: (terms[name] + back[name]) / 2 for name in terms}
        if (self.step + 1) % self.train.schedule_every == 0:
            self.scheduler.step()
        return terms

    def update(self, frames: Tensor, steps_per_epoch: int) -> dict[str, float]:
        """One optimiser update; the loss's terms before it."""
        progress = Progress(
            step=self.step,
            steps=self.train.steps,
            steps_per_epoch=steps_per_epoch,
            generator=self.generator,
            sampling=self.sampling,
            criterion=self.criterion,
        )
        context, target = torch.split(frames, [self.clip.context, self.clip.horizon], dim=1)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.train.precision):
            losses = self.predictor.losses(context, target, progress)
            loss = torch.stack([term.float() for term in losses.values()]).sum()
        terms = {name: term.item() for name, term in losses.items()}
        if not math.isfinite(loss.item()):
            raise RunFailed(
                f"the loss is {loss.item()} at step {self.step + 1} of {self.train.steps} "
                f"({', '.join(f'{name} {value:g}' for name, value in terms.items())}); "
                "lower train.lr or set train.clip_norm"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        if self.train.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.predictor.parameters(), self.train.clip_norm)
        self.optimizer.step()
        return terms

    def validated(self) -> float:
        """The validation MSE now; keeps the weights if they are the best."""
        mse = self.validate()
        if self.train.weights == "best" and mse < self.best_mse:
            self.best = {
                name: value.detach().clone() for name, value in self.predictor.state_dict().items()
            }
            self.best_step = self.step
        self.best_mse = min(mse, self.best_mse) if self.train.weights == "best" else mse
        return mse

    def result(self) -> Result:
        """The weights to test."""
        if self.best is not None:
            return Result(self.best, self.best_step, self.best_mse, self.seconds)
        mse = self.best_mse if math.isfinite(self.best_mse) else None
        return Result(self.predictor.state_dict(), self.step, mse, self.seconds)

    def remember(self, row: dict[str, Any]) -> None:
        """Appends a line to the history, about 1,000 in a run and every validation."""
        every = max(1, self.train.steps // 1000)
        if self.step % every == 0 or "validation_mse" in row:
            row["lr"] = self.optimizer.param_groups[0]["lr"]
            with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def save(self) -> None:
        """Writes a checkpoint of everything that the next iteration depends on."""
        state = {
            "model": self.predictor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "best_step": self.best_step,
            "best_mse": self.best_mse,
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }
        checkpoint.save(self.folder, state)

    def resume(self) -> Result | None:
        """Takes up the newest checkpoint and cuts the history back to it.

        Returns what training gave where it had ended already, and only scores were lacking.
        """
        state = checkpoint.load(self.folder, device=self.device)
        if state is not None and "optimizer" not in state:
            return Result(
                state["model"], *(state[k] for k in ("step", "validation_mse", "seconds"))
            )
        if state is not None:
            self.predictor.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            self.step, self.seconds = state["step"], state["seconds"]
            self.best, self.best_step = state["best"], state["best_step"]
            self.best_mse = state["best_mse"]
            self.generator.set_state(state["generator"].cpu())
            torch.set_rng_state(state["torch"].cpu())
            if state["cuda"]:
                torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda"]])
        history = self.folder / "history.jsonl"
        rows = history.read_text(encoding="utf-8").splitlines() if history.exists() else []
        kept = [row for row in rows if row.endswith("}") and json.loads(row)["step"] <= self.step]
        history.write_text("".join(f"{row}\n" for row in kept), encoding="utf-8")
        return None
