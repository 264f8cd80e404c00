"""Which clips each training iteration sees: a pure function of the seed and the iteration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

SEED_STRIDE = 2**40
"""Clips of an endless split that each seed has to itself."""


class Batches(Sampler[list[int]]):
    """Index lists of the iterations `start` … `steps` - 1.

    A finite split is shuffled anew each epoch, and a batch may straddle two; no clip is dropped.
    An endless one is read in order, each seed from its own place.
    """

    def __init__(
        self, length: int | None, *, batch: int, start: int, steps: int, seed: int
    ) -> None:
        self.length = length
        self.batch = batch
        self.start = start
        self.steps = steps
        self.seed = seed

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[int]]:
        epoch, order = -1, []
        for step in range(self.start, self.steps):
            indices = []
            for position in range(step * self.batch, (step + 1) * self.batch):
                if self.length is None:
                    indices.append(self.seed * SEED_STRIDE + position)
                    continue
                if position // self.length != epoch:
                    epoch = position // self.length
                    order = self.permutation(epoch)
                indices.append(order[position % self.length])
            yield indices

    def permutation(self, epoch: int) -> list[int]:
        """The order of a finite split in one epoch."""
        assert self.length is not None
        # not torch's generator, which looks at the lowest 32 bits of a seed only
        order: list[int] = (
            np.random.default_rng([self.seed, epoch]).permutation(self.length).tolist()
        )
        return order
