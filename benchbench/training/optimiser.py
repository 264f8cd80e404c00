"""The optimiser and its schedule, as a suite's `train` says."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from benchbench.suite.schema import Train
from benchbench.training.descent import AdamRoot, AdamTensorFlow, Momentum, RMSPropTensorFlow

OPTIMISERS: dict[str, tuple[Callable[..., Optimizer], tuple[str, ...]]] = {
    "adam": (torch.optim.Adam, ("betas", "eps")),
    "adamw": (torch.optim.AdamW, ("betas", "eps")),
    "adam_root": (AdamRoot, ("betas", "eps")),
    "adam_tensorflow": (AdamTensorFlow, ("betas", "eps")),
    "rmsprop_tensorflow": (RMSPropTensorFlow, ("betas", "eps", "momentum")),
    "sgd": (Momentum, ("momentum", "clip_step")),
}
"""Class of each optimiser, and the train settings that it takes beside rate and decay."""


def optimiser(predictor: nn.Module, train: Train) -> Optimizer:
    """The optimiser over all the parameters, weight decay on all of them, as the field has it."""
    build, names = OPTIMISERS[train.optimizer]
    settings = {name: getattr(train, name) for name in names}
    return build(predictor.parameters(), lr=train.lr, weight_decay=train.weight_decay, **settings)


def scheduler(optimizer: Optimizer, train: Train) -> LRScheduler:
    """The learning rate over the run, to be moved once every `schedule_every` iterations.

    That of `plateau` is moved by each validation instead.
    """
    moves = max(1, train.steps // train.schedule_every)
    warmup = min(train.warmup // train.schedule_every, moves - 1)
    main: LRScheduler
    if train.schedule == "cosine":
        main = CosineAnnealingLR(optimizer, T_max=moves - warmup, eta_min=train.final_lr)
    elif train.schedule == "one_cycle":
        return OneCycleLR(optimizer, max_lr=train.lr, total_steps=moves)
    elif train.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=train.factor, patience=train.patience)
    elif train.schedule == "multistep":
        moments = [step // train.schedule_every - warmup for step in train.milestones]
        main = MultiStepLR(optimizer, milestones=moments, gamma=train.factor)
    else:
        main = ConstantLR(optimizer, factor=1.0, total_iters=0)
    if warmup == 0:
        return main
    rise = LinearLR(optimizer, start_factor=0.01, total_iters=warmup)
    return SequentialLR(optimizer, [rise, main], milestones=[warmup])
