"""Files of weights: whole, ours, and readable by others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchbench.errors import DataMissing
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
    weights.save(tmp_path, state)
    path = tmp_path / weights.NAME
    for tensors in (load_file(path), weights.load(tmp_path, weights.sha256(path))):
        assert tensors.keys() == state.keys()
        assert all(torch.equal(tensors[name], state[name]) for name in state)
        assert tensors["half"].dtype == torch.bfloat16


def test_the_same_weights_have_the_same_digest(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        torch.manual_seed(3)
        weights.save(tmp_path / name, torch.nn.Linear(3, 2).state_dict())
        digests.add(weights.sha256(tmp_path / name / weights.NAME))
    assert len(digests) == 1


def test_no_file_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"weights\.safetensors: not the whole weights"):
        weights.load(tmp_path, "0" * 64)
