"""Single blocks and cells equal arrays recorded from the reference implementations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.models._blocks import ContextEmbedding, Conv, SpatiotemporalExpression, wrap
from benchbench.models.convlstm import ConvLSTMCell
from benchbench.models.sa_convlstm import (
    FusedConvLSTMCell,
    SelfAttentionCell,
    SelfAttentionMemory,
    memory_widths,
)
from benchbench.recurrent import State
from benchbench.registry import build_model
from benchbench.weights.certificate import find_source, options_for
from benchbench.weights.reference import load_reference, place

HERE = Path(__file__).parents[1] / "goldens" / "models"


class Golden:
    """One file of recorded arrays, in float64."""

    def __init__(self, name: str) -> None:
        complete = Path(os.environ.get("BENCH_GOLDENS", "")) / "core" / f"{name}.npz"
        path = complete if complete.is_file() else HERE / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"{name}: set BENCH_GOLDENS to a folder with the complete recordings")
        with np.load(path) as arrays:
            self.meta: dict[str, Any] = json.loads(str(arrays["meta"]))
            self.arrays = {
                k: torch.from_numpy(arrays[k].astype(np.float64))
                for k in arrays.files
                if k != "meta"
            }

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def fill(self, module: nn.Module, model: str, source: str, theirs: str, ours: str) -> None:
        """Loads `param/*`, which are `theirs`* in the whole network, into `ours`* of ours."""
        state = {
            theirs + k.removeprefix("param/"): v
            for k, v in self.arrays.items()
            if k.startswith("param/")
        }
        placed, _, faults = place(find_source(model, source), state)
        assert not faults
        module.double().load_state_dict(
            {name.removeprefix(ours): tensor for name, (_, tensor) in placed.items()}
        )


def close(ours: Tensor, recorded: Tensor) -> bool:
    difference = (ours - recorded).abs().max().item()
    print(f"MEASURED {difference:.2g}")
    return difference <= 1e-8


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10])
def test_context_embedding_equals_the_recorded_half_steps(steps: int) -> None:
    golden = Golden("ce_block")
    if f"x_out_iter{steps}" not in golden.arrays:
        pytest.skip("not in the extract")
    meta = golden.meta
    size = (meta["S"], meta["S"])
    block = ContextEmbedding(
        meta["input_size"], meta["hidden"], kernel=meta["filter_size"], size=size, steps=10
    )
    golden.fill(block, "cms_lstm", "czh-98", "lstm.0.", "stack.cells.0.before.")
    block.steps = steps
    x, h = block(golden["x"], golden["h"])
    assert close(x, golden[f"x_out_iter{steps}"])
    assert close(h, golden[f"h_out_iter{steps}"])


def test_context_embedding_equals_the_recorded_on_a_hidden_state_of_zeros() -> None:
    golden = Golden("ce_block")
    meta = golden.meta
    size = (meta["S"], meta["S"])
    block = ContextEmbedding(
        meta["input_size"], meta["hidden"], kernel=meta["filter_size"], size=size
    )
    golden.fill(block, "cms_lstm", "czh-98", "lstm.0.", "stack.cells.0.before.")
    x, h = block(golden["x"], torch.zeros_like(golden["h"]))
    assert close(x, golden["x_out_zero_h_iter5"])
    assert close(h, golden["h_out_zero_h_iter5"])


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_spatiotemporal_expression_equals_the_recorded(scales: int) -> None:
    golden = Golden(f"se_block_{scales}scale")
    meta = golden.meta
    block = SpatiotemporalExpression(
        meta["dim"], size=(meta["S"], meta["S"]), scales=meta["scales"]
    )
    golden.fill(block, "cms_lstm", "czh-98", "lstm.0.SEBlock.", "stack.cells.0.after.")
    h, m = block(golden["h"], golden["m"])
    assert close(h, golden["h_next"])
    assert close(m, golden["m_next"])


def test_the_cms_lstm_cell_equals_the_recorded_step() -> None:
    golden = Golden("cms_cell_step")
    meta = golden.meta
    inputs, hidden, size = meta["input_size"], meta["hidden"], (meta["S"], meta["S"])
    conv = Conv(meta["filter_size"], size)
    cell = wrap(
        ConvLSTMCell(inputs, hidden, conv, forget_bias=1.0, norm_cell=True),
        ["ce", "se"],
        inputs=inputs,
        kernel=meta["filter_size"],
        size=size,
        se_scales=meta["scales"],
        ce_steps=meta["ce_iterations"],
    )
    assert isinstance(cell, nn.Module)
    golden.fill(cell, "cms_lstm", "czh-98", "lstm.0.", "stack.cells.0.")
    state = cell(golden["x"], State(golden["h"], golden["c"], golden["h"]))
    assert close(state.h, golden["h_next"])
    assert close(state.c, golden["c_next"])


@pytest.mark.parametrize("source", ["jerrywn121", "caicandong"])
def test_the_self_attention_cells_equal_the_recorded_step(source: str) -> None:
    golden = Golden("sa_cell_jerrywn" if source == "jerrywn121" else "sa_cell_caicandong")
    meta = golden.meta
    hidden, kernel = meta["hidden"], meta["kernel"]
    attention = meta.get("d_attn", meta.get("att_hidden"))
    widths = memory_widths(source, hidden, attention, kernel)  # type: ignore[arg-type]
    cell = SelfAttentionCell(
        FusedConvLSTMCell(
            meta["input_dim"], hidden, kernel=kernel, forget_bias=0.0, norm=source == "caicandong"
        ),
        SelfAttentionMemory(hidden, widths, scaled=source == "jerrywn121"),
    )
    theirs = "layers.0." if source == "jerrywn121" else "cell_list.0."
    golden.fill(cell, "sa_convlstm", source, theirs, "stack.cells.0.")
    h, m = cell.memory(golden["h"], golden["m"])
    assert close(h, golden["sam_h"])
    assert close(m, golden["sam_m"])
    state = cell(golden["x"], State(golden["h"], golden["c"], golden["m"]))
    for ours, name in ((state.h, "h_next"), (state.c, "c_next"), (state.m, "m_next")):
        assert close(ours, golden[name]), name


def test_the_self_attention_memory_equals_the_recorded_without_a_scale() -> None:
    golden = Golden("sa_cell_jerrywn")
    meta = golden.meta
    widths = memory_widths("jerrywn121", meta["hidden"], meta["d_attn"], meta["kernel"])
    cell = SelfAttentionCell(
        FusedConvLSTMCell(
            meta["input_dim"], meta["hidden"], kernel=meta["kernel"], forget_bias=0.0, norm=False
        ),
        SelfAttentionMemory(meta["hidden"], widths, scaled=False),
    )
    golden.fill(cell, "sa_convlstm", "jerrywn121", "layers.0.", "stack.cells.0.")
    h, m = cell.memory(golden["h"], golden["m"])
    assert close(h, golden["sam_h_unscaled"])
    assert close(m, golden["sam_m_unscaled"])


def test_a_stack_of_self_attention_cells_equals_the_recorded() -> None:
    golden = Golden("sa_stack_caicandong")
    meta = golden.meta
    clip = Clip(meta["input_dim"], meta["S"], meta["S"], meta["T"], 1)
    options = options_for("sa_convlstm", "caicandong")
    hidden = [meta["hidden"]] * meta["layers"]
    predictor = build_model(
        "sa_convlstm", clip, **options, hidden=hidden, kernel=meta["kernel"], patch=1,
        attention=meta["att_hidden"],
    ).double()  # fmt: skip
    state = {
        k.removeprefix("param/"): v for k, v in golden.arrays.items() if k.startswith("param/")
    }
    load_reference(predictor, "caicandong", state)
    carry = predictor.stack.begin(golden["x"][:, 0])  # type: ignore[union-attr, operator]
    for t in range(meta["T"]):
        _, carry = predictor.stack(golden["x"][:, t], carry)  # type: ignore[operator]
        for layer, state in enumerate(carry):
            assert close(state.h, golden[f"layer{layer}_out"][:, t])
    for layer, state in enumerate(carry):
        for name in ("h", "c", "m"):
            assert close(getattr(state, name), golden[f"layer{layer}_last_{name}"])
