"""Trainer: one predictor in training, an iteration at a time.

A trainer brought to the state of another goes on with the bits of that one on the same machine and
thread count: weights, optimiser, schedule, data order and every random generator are in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset

from benchbench.clip import Clip
from benchbench.dataset import Split
from benchbench.errors import RunFailed
from benchbench.predictor import Criterion, Predictor, Progress, autocast
from benchbench.suite.schema import Train
from benchbench.training.optimiser import optimiser, scheduler
from benchbench.training.order import Batches
from benchbench.training.weights import Weights

ENDLESS_EPOCH = 10_000
"""Clips that count as an epoch of a split without end."""


class Trainer:
    """Trains one predictor.

    Args:
        predictor: on its device, freshly initialised.
        split: the clips to train on.
        clip: how they are cut into context and target.
        train: what the suite asks for.
        seed: decides the order of clips and the random draws of losses.
    """

    def __init__(
        self, predictor: Predictor, split: Split, clip: Clip, train: Train, seed: int
    ) -> None:
        self.predictor = predictor
        self.split = split
        self.clip = clip
        self.train = train
        self.seed = seed
        self.device = next(predictor.parameters()).device
        self.optimizer = optimiser(predictor, train)
        self.scheduler = scheduler(self.optimizer, train)
        self.criterion = Criterion(**train.loss, reduction=train.reduction)
        self.generator = torch.Generator().manual_seed(seed)
        self.steps_per_epoch = max(1, (split.length or ENDLESS_EPOCH) // train.batch)
        self.step = 0
        """Iterations done."""
        self.seconds = 0.0
        """Time of the iterations, loading apart."""
        self.validation_mse: float | None = None
        """Newest validation MSE."""
        self.best: Weights | None = None
        """Weights of the lowest validation MSE, where those are tested."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next iteration."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    @property
    def validates(self) -> bool:
        """Whether a validation follows the iteration just done."""
        return self.step % self.train.validate_every == 0 or self.step == self.train.iterations

    @property
    def progress(self) -> Progress:
        """Where training stands, as a loss may know it."""
        return Progress(
            step=self.step,
            steps=self.train.steps,
            steps_per_epoch=self.steps_per_epoch,
            generator=self.generator,
            sampling=self.train.sampling,
            criterion=self.criterion,
        )

    def batches(self, workers: int) -> Iterator[Tensor]:
        """The remaining batches, (B, T, C, H, W), loaded by a number of processes."""
        order = Batches(
            self.split.length,
            batch=self.train.batch,
            start=self.step,
            steps=self.train.iterations,
            seed=self.seed,
        )
        loader: DataLoader[Tensor] = DataLoader(
            cast("Dataset[Tensor]", self.split),
            batch_sampler=order,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            # the loader's own draws must not move the global generator
            generator=torch.Generator(),
        )
        return iter(loader)

    def iterate(self, frames: Tensor) -> dict[str, float]:
        """One batch: one optimiser update, or two with the reversed clip; the terms, averaged."""
        started = time.monotonic()
        self.predictor.train()
        frames = frames.to(self.device, non_blocking=True)
        draws = self.generator.get_state()
        terms = self.update(frames)
        if self.train.reverse_clip:
            self.generator.set_state(draws)
            back = self.update(frames.flip(1))
            terms = {name: (terms[name] + back[name]) / 2 for name in terms}
        self.step += 1
        plateau = isinstance(self.scheduler, ReduceLROnPlateau)
        if self.step % self.train.schedule_every == 0 and not plateau:
            self.scheduler.step()
        self.seconds += time.monotonic() - started
        return terms

    def update(self, frames: Tensor) -> dict[str, float]:
        """One optimiser update; the loss's terms before it.

        Raises:
            RunFailed: the loss is not finite; the message names the step.
        """
        context, target = self.split_clip(frames)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.train.precision):
            losses = self.predictor.losses(context, target, self.progress)
            loss = self.total(losses)
        terms = {name: term.item() for name, term in losses.items()}
        if not math.isfinite(loss.item()):
            raise RunFailed(
                f"the loss is {loss.item()} at step {self.step + 1} of {self.train.iterations} "
                f"({', '.join(f'{name} {value:g}' for name, value in terms.items())}); "
                "lower train.lr or set train.clip_norm"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        if self.train.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.predictor.parameters(), self.train.clip_norm)
        self.optimizer.step()
        return terms

    def split_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Context and target of clips (B, T, C, H, W)."""
        context, target = torch.split(frames, [self.clip.context, self.clip.horizon], dim=1)
        return context, target

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """What is minimised: the sum of the terms, in float32."""
        return torch.stack([term.float() for term in losses.values()]).sum()

    def judge(self, mse: float) -> None:
        """Takes note of the validation MSE now; keeps the weights if they are the best."""
        self.validation_mse = mse
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(mse)
        lowest = self.best.validation_mse if self.best else None
        if self.train.weights == "best" and mse < (math.inf if lowest is None else lowest):
            state = self.predictor.state_dict()
            tensors = {name: value.detach().clone() for name, value in state.items()}
            self.best = Weights(tensors, self.step, mse)

    def weights(self) -> Weights:
        """The weights to test: of the lowest validation MSE, or of the last iteration."""
        mse = self.validation_mse
        last = Weights(
            self.predictor.state_dict(),
            self.step,
            mse if mse is not None and math.isfinite(mse) else None,
        )
        return replace(self.best or last, train_seconds=self.seconds)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "model": self.predictor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "validation_mse": self.validation_mse,
            "best": vars(self.best) if self.best else None,
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Brings this trainer, and torch's generators, to the state of another."""
        self.predictor.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.validation_mse = state["validation_mse"]
        self.best = Weights(**state["best"]) if state["best"] else None
        self.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"]:
            torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda"]])
