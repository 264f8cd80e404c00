"""Single blocks and cells equal arrays recorded from the reference implementations."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchbench.clip import Clip
from benchbench.models._blocks import Blocks, ContextEmbedding, SpatiotemporalExpression
from benchbench.models._layers import Conv
from benchbench.models.convlstm import ConvLSTMCell
from benchbench.models.sa_convlstm import SelfAttentionCell, cell_of
from benchbench.recurrent import Recurrent, State

from .goldens import Golden, goldens


def side(golden: Golden) -> tuple[int, int]:
    return golden.config["S"], golden.config["S"]


@goldens("x_out_", block="CE")
def test_context_embedding_equals_the_recorded_half_steps(golden: Golden) -> None:
    config = golden.config
    conv = Conv(config["filter_size"], side(golden))
    block = ContextEmbedding(config["input_size"], config["hidden"], conv, steps=10)
    golden.fill(block, "lstm.0.", "stack.cells.0.before.")
    for name in golden.under("x_out_"):  # iter5, zero_h_iter5
        block.steps = int(name.rpartition("iter")[2])
        h = torch.zeros_like(golden["h"]) if "zero_h" in name else golden["h"]
        x, h = block(golden["x"], h)
        golden.check(x, f"x_out_{name}")
        golden.check(h, f"h_out_{name}")


@goldens(block="SE")
def test_spatiotemporal_expression_equals_the_recorded(golden: Golden) -> None:
    config = golden.config
    block = SpatiotemporalExpression(config["dim"], size=side(golden), scales=config["scales"])
    golden.fill(block, "lstm.0.SEBlock.", "stack.cells.0.after.")
    h, m = block(golden["h"], golden["m"])
    golden.check(h, "h_next")
    golden.check(m, "m_next")


@goldens(block="CMSLSTM_cell")
def test_the_cms_lstm_cell_equals_the_recorded_step(golden: Golden) -> None:
    config = golden.config
    inputs, hidden, kernel = config["input_size"], config["hidden"], config["filter_size"]
    scales, steps = config["scales"], config["ce_iterations"]
    host = ConvLSTMCell(inputs, hidden, Conv(kernel, side(golden)), forget_bias=1, norm_cell=True)
    cell = Blocks(["ce", "se"], kernel, side(golden), scales, steps)(host)
    assert isinstance(cell, nn.Module)
    golden.fill(cell, "lstm.0.", "stack.cells.0.")
    state = cell(golden["x"], State(golden["h"], golden["c"], golden["h"]))
    golden.check(state.h, "h_next")
    golden.check(state.c, "c_next")


def self_attention_cell(golden: Golden, *, scaled: bool | None = None) -> SelfAttentionCell:
    source: Any = golden.source
    config = golden.config
    attention = config.get("d_attn", config.get("att_hidden"))
    conv = Conv(config["kernel"], side(golden))
    cell = cell_of(source, config["input_dim"], config["hidden"], conv, attention, scaled)
    theirs = "layers.0." if source == "jerrywn121" else "cell_list.0."
    golden.fill(cell, theirs, "stack.cells.0.")
    return cell


@goldens("sam_h", model="sa_convlstm")
def test_the_self_attention_cells_equal_the_recorded_step(golden: Golden) -> None:
    cell = self_attention_cell(golden)
    h, m = cell.memory(golden["h"], golden["m"])
    golden.check(h, "sam_h")
    golden.check(m, "sam_m")
    state = cell(golden["x"], State(golden["h"], golden["c"], golden["m"]))
    for ours, name in ((state.h, "h_next"), (state.c, "c_next"), (state.m, "m_next")):
        golden.check(ours, name)


@goldens("sam_h_unscaled", model="sa_convlstm")
def test_the_self_attention_memory_equals_the_recorded_without_a_scale(golden: Golden) -> None:
    h, m = self_attention_cell(golden, scaled=False).memory(golden["h"], golden["m"])
    golden.check(h, "sam_h_unscaled")
    golden.check(m, "sam_m_unscaled")


@goldens("layer0_out", model="sa_convlstm")
def test_a_stack_of_self_attention_cells_equals_the_recorded(golden: Golden) -> None:
    config = golden.config
    clip = Clip(config["input_dim"], config["S"], config["S"], config["T"], 1)
    predictor, _ = golden.build(clip, patch=1)
    assert isinstance(predictor, Recurrent)
    carry = predictor.stack.begin(golden["x"][:, 0])
    for t in range(config["T"]):
        _, carry = predictor.stack(golden["x"][:, t], carry)
        for layer, state in enumerate(carry):
            golden.check(state.h, golden[f"layer{layer}_out"][:, t])
    for layer, state in enumerate(carry):
        for name in ("h", "c", "m"):
            golden.check(getattr(state, name), f"layer{layer}_last_{name}")
