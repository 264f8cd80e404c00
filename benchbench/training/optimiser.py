"""The optimiser and its schedule, as a suite's `train` says."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
)

from benchbench.suite.schema import Train


def optimiser(predictor: nn.Module, train: Train) -> Optimizer:
    """Adam or AdamW over all the parameters, weight decay on all of them, as the field has it."""
    build = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    beta1, beta2 = train.betas
    return build(
        predictor.parameters(),
        lr=train.lr,
        betas=(beta1, beta2),
        eps=train.eps,
        weight_decay=train.weight_decay,
    )


def scheduler(optimizer: Optimizer, train: Train) -> LRScheduler:
    """The learning rate over the run, to be moved once every `schedule_every` iterations."""
    moves = max(1, train.steps // train.schedule_every)
    warmup = min(train.warmup // train.schedule_every, moves - 1)
    main: LRScheduler
    if train.schedule == "cosine":
        main = CosineAnnealingLR(optimizer, T_max=moves - warmup, eta_min=train.final_lr)
    elif train.schedule == "one_cycle":
        return OneCycleLR(optimizer, max_lr=train.lr, total_steps=moves)
    else:
        main = ConstantLR(optimizer, factor=1.0, total_iters=0)
    if warmup == 0:
        return main
    rise = LinearLR(optimizer, start_factor=0.01, total_iters=warmup)
    return SequentialLR(optimizer, [rise, main], milestones=[warmup])
