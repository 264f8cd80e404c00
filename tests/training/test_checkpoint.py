"""Checkpoints: the last whole one is always there, whatever breaks."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from benchbench.training import checkpoint
from benchbench.training.checkpoint import NAME, PREVIOUS, load, save

CPU = torch.device("cpu")
KEY = "0123456789ab"


def state(step: int, size: int = 1000) -> dict[str, object]:
    return {"step": step, "model": {"w": torch.full((size,), float(step))}}


def step_in(folder: Path) -> int | None:
    content = load(folder, KEY, device=CPU)
    return None if content is None else content["step"]


@contextmanager
def small_disk(largest: int) -> Iterator[None]:
    """No file of this process grows beyond `largest` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path, KEY, device=CPU) is None
    save(tmp_path, state(3), KEY)
    content = load(tmp_path, KEY, device=CPU)
    assert content is not None
    assert torch.equal(content["model"]["w"], torch.full((1000,), 3.0))


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, state(step), KEY)
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS, NAME]
    (tmp_path / NAME).unlink()
    assert step_in(tmp_path) == 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, state(1), KEY)
    save(tmp_path, state(2), KEY)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: int(share * len(whole))])
    assert step_in(tmp_path) == 1
    assert "checkpoint.pt: cut or damaged; deleted, going on from the one before" in caplog.text


@pytest.mark.parametrize("place", [0.02, 0.2, 0.5, 0.7, 0.98])
def test_a_flipped_byte_is_never_taken_for_weights(tmp_path: Path, place: float) -> None:
    save(tmp_path, state(1), KEY)
    save(tmp_path, state(2), KEY)
    broken = bytearray((tmp_path / NAME).read_bytes())
    broken[int(place * len(broken))] ^= 0xFF
    (tmp_path / NAME).write_bytes(broken)
    content = load(tmp_path, KEY, device=CPU)
    assert content is not None
    assert torch.equal(content["model"]["w"], torch.full((1000,), float(content["step"])))


def test_with_both_broken_there_is_none(tmp_path: Path) -> None:
    save(tmp_path, state(1), KEY)
    save(tmp_path, state(2), KEY)
    for name in (NAME, PREVIOUS):
        (tmp_path / name).write_bytes(b"PK")
    assert load(tmp_path, KEY, device=CPU) is None


def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    save(tmp_path, state(1), KEY)
    save(tmp_path, state(2), KEY)
    with small_disk(20_000), pytest.raises(OSError, match="File too large") as caught:
        save(tmp_path, state(3, size=100_000), KEY)
    assert str(caught.value.filename).endswith(NAME)
    assert step_in(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS, NAME]
    save(tmp_path, state(3, size=100_000), KEY)
    assert step_in(tmp_path) == 3


def test_a_disk_that_fails_does_not_cost_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, state(1), KEY)

    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(torch, "load", stale)
    with pytest.raises(OSError, match="Stale"):
        load(tmp_path, KEY, device=CPU)


def test_no_pickled_code_is_run(tmp_path: Path) -> None:
    torch.save({"step": Path("/")}, tmp_path / NAME)
    assert load(tmp_path, KEY, device=CPU) is None


def test_a_kill_between_the_two_renames_leaves_the_newest_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, state(1), KEY)
    save(tmp_path, state(2), KEY)
    real = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if Path(target).name == NAME:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, state(3), KEY)
    assert step_in(tmp_path) == 2


def test_the_checkpoint_of_another_run_is_never_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, state(1), KEY)
    save(tmp_path, state(2), "another")
    assert step_in(tmp_path) == 1
    assert "checkpoint.pt: the checkpoint of run another; deleted, going on from" in caplog.text
    assert not (tmp_path / NAME).exists()
    (tmp_path / PREVIOUS).rename(tmp_path / NAME)
    assert load(tmp_path, "third", device=CPU) is None
    assert "going on from the one before" in caplog.text


def test_no_bit_of_a_checkpoint_can_change_unnoticed(tmp_path: Path) -> None:
    save(tmp_path, state(1, size=10), KEY)
    whole = (tmp_path / NAME).read_bytes()
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        (tmp_path / NAME).write_bytes(broken)
        assert load(tmp_path, KEY, device=CPU) is None


def test_others_read_a_checkpoint_without_us(tmp_path: Path) -> None:
    save(tmp_path, state(3), KEY)
    content = torch.load(tmp_path / NAME, weights_only=True)
    assert (content["key"], content["step"]) == (KEY, 3)


def test_terabytes_of_zeros_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    os.truncate(tmp_path / NAME, 1 << 40)
    assert load(tmp_path, KEY, device=CPU) is None
    assert not (tmp_path / NAME).exists()
