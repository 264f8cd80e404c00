"""The order of training clips is a function of seed and iteration alone."""

from __future__ import annotations

from benchbench.training.order import SEED_STRIDE, Batches


def test_resuming_goes_on_where_the_whole_order_would() -> None:
    whole = list(Batches(7, batch=3, start=0, steps=9, seed=5))
    assert list(Batches(7, batch=3, start=4, steps=9, seed=5)) == whole[4:]


def test_every_clip_comes_once_an_epoch_though_batches_straddle_two() -> None:
    flat = [i for batch in Batches(7, batch=3, start=0, steps=7, seed=5) for i in batch]
    epochs = [flat[start : start + 7] for start in range(0, 21, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_seeds_give_other_orders() -> None:
    first, second = (list(Batches(50, batch=50, start=0, steps=1, seed=s)) for s in (0, 1))
    assert first != second


def test_an_endless_split_never_repeats_a_clip_between_seeds() -> None:
    batches = list(Batches(None, batch=2, start=3, steps=5, seed=1))
    assert batches == [[SEED_STRIDE + 6, SEED_STRIDE + 7], [SEED_STRIDE + 8, SEED_STRIDE + 9]]
