"""Files of weights: whole, ours, and readable by others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from benchbench.errors import Damaged
from benchbench.training import weights


def test_any_tensors_of_a_state_are_written_and_read(tmp_path: Path) -> None:
    shared = torch.rand(3, 4)
    state = {
        "one": shared,
        "two": shared,  # the same memory
        "turned": shared.T,
        "count": torch.tensor(7),
        "half": torch.rand(2).bfloat16(),
    }
    path = tmp_path / "w.safetensors"
    weights.save(path, state, "0123456789ab")
    for tensors in (load_file(path), weights.load(path, "0123456789ab", "")):
        assert tensors.keys() == state.keys()
        assert all(torch.equal(tensors[name], state[name]) for name in state)
        assert tensors["half"].dtype == torch.bfloat16


def test_the_same_weights_are_the_same_file(tmp_path: Path) -> None:
    contents = set()
    for _ in range(8):
        torch.manual_seed(3)
        weights.save(tmp_path / "w", torch.nn.Linear(3, 2).state_dict(), "0123456789ab")
        contents.add((tmp_path / "w").read_bytes())
    assert len(contents) == 1


def test_weights_tell_whose_they_are_without_a_record(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(path, {"one": torch.ones(2)}, "0123456789ab")
    with safe_open(path, "pt") as file:
        assert file.metadata()["key"] == "0123456789ab"
    with pytest.raises(Damaged, match="the weights of run 0123456789ab, not of ffff; run it again"):
        weights.load(path, "ffff", "run it again")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff" * 100])
def test_a_file_that_is_not_weights_is_an_error_in_words(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Damaged, match=r"w\.safetensors: not whole weights \(.*; run it again"):
        weights.load(path, "0123456789ab", "run it again")
