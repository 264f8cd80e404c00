"""Initial weights are drawn as the sources draw them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from benchbench.clip import Clip
from benchbench.registry import build_model

CLIP = Clip(1, 16, 16, 2, 2)
SIZES: dict[str, Any] = {"hidden": [6, 6], "kernel": 3, "patch": 2}
THOUSANDTH = [("predrnn", {"source": "predrnn-pp"}), ("predrnn_pp", {})]


def convolutions(model: str, **options: Any) -> Iterator[tuple[str, nn.Conv2d | nn.Conv3d]]:
    """Those of the model by name, less the blocks'."""
    torch.manual_seed(0)
    for name, module in build_model(model, CLIP, **SIZES, **options).named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)) and "before" not in name:
            yield name, module


def reach(conv: nn.Conv2d | nn.Conv3d) -> float:
    """The largest weight, as a share of the bound that ignores the kernel's area."""
    return conv.weight.abs().max().item() / math.sqrt(6 / (conv.in_channels + conv.out_channels))


@pytest.mark.parametrize(("model", "options"), THOUSANDTH)
@pytest.mark.parametrize("blocks", [[], ["ce"]])
def test_the_gates_of_the_first_releases_start_within_a_thousandth(
    model: str, options: dict[str, Any], blocks: list[str]
) -> None:
    for name, conv in convolutions(model, **options, blocks=blocks):
        if conv.kernel_size == (1, 1):
            assert 0.8 < reach(conv) <= 1, name
        else:
            assert 0.0009 < conv.weight.abs().max() <= 0.001, name
        assert conv.bias is not None
        assert not conv.bias.any(), name


def test_mim_starts_within_a_bound_that_ignores_the_kernels_area() -> None:
    for name, conv in convolutions("mim"):
        if ".units." in name:
            assert 0.0009 < conv.weight.abs().max() <= 0.001, name
        else:
            assert 0.8 < reach(conv) <= 1, name


def test_e3d_lstm_starts_as_tensorflow_does() -> None:
    for name, conv in convolutions("e3d_lstm"):
        assert 0.8 < reach(conv) * math.sqrt(math.prod(conv.kernel_size)) <= 1, name


@pytest.mark.parametrize("model", ["predrnn", "predrnn_pp", "mim"])
def test_openstls_sources_and_init_torch_start_as_pytorch_does(model: str) -> None:
    for options in ({"source": "openstl"}, {"init": "torch"}):
        for name, conv in convolutions(model, **options):
            area = conv.in_channels * math.prod(conv.kernel_size)
            assert 0.7 < conv.weight.abs().max() * math.sqrt(area) <= 1, name
