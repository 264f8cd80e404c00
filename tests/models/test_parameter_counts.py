"""Parameter counts: ours are the certificates', which are the published ones, or explain them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbench.clip import Clip
from benchbench.predictor import Predictor
from benchbench.registry import MODELS, build_model
from benchbench.weights.certificate import Count, certificate, options_for

CERTIFIED = [(name, count) for name in MODELS.names() for count in certificate(name).counts]

# totals of OpenSTL's models on 16 channels of 16x16, four layers, in millions: 3x3 and 5x5, without
# and with layer norm, at width 64; 5x5 without at width 128
OPENSTL = {
    "convlstm": (1.398, 2.577, 3.823, 5.002, 15.084),
    "predrnn": (2.200, 4.166, 6.050, 8.016, 23.839),
    "predrnn_pp": (3.527, 6.607, 9.736, 12.816, 38.584),
    "mim": (3.736, 6.881, 9.748, 12.894, 38.044),
}
SETTINGS = ((64, 3, False), (64, 3, True), (64, 5, False), (64, 5, True), (128, 5, False))


def build(model: str, frames: tuple[int, ...], context: int = 10, **options: Any) -> Predictor:
    with torch.device("meta"):
        return build_model(model, Clip(*frames, context, context), **options)


def parameters(model: str, frames: tuple[int, ...] = (1, 64, 64), **options: Any) -> int:
    return sum(parameter.numel() for parameter in build(model, frames, **options).parameters())


@pytest.mark.parametrize(
    ("model", "count"), CERTIFIED, ids=[f"{n}: {c.what}" for n, c in CERTIFIED]
)
def test_a_certified_count_is_the_models(model: str, count: Count) -> None:
    predictor = build(model, count.frames, count.context, **count.options)
    sizes = {name: parameter.numel() for name, parameter in predictor.named_parameters()}
    assert sum(sizes.values()) == count.parameters
    assert sum(sizes[name] for name in predictor.dead_parameters()) == count.without_gradient


def test_cms_lstm_has_the_published_size_with_its_unused_scalars() -> None:
    assert parameters("cms_lstm") + 4 * 3 == 7_967_580


def test_predrnn_pp_has_the_published_size_without_the_convolved_cell() -> None:
    assert parameters("predrnn_pp", source="predrnn-pp-2018") == 13_236_880


def test_the_published_sizes_of_predrnn_and_e3d_lstm_count_adams_moments() -> None:
    taxibj = parameters("predrnn", (2, 32, 32), source="predrnn-pp", patch=2)
    assert 3 * taxibj + 1 == 13_798_681
    assert 3 * parameters("predrnn", source="predrnn-pp") + 1 == 13_953_841
    assert 3 * parameters("e3d_lstm") + 1 == 38_696_497


def test_the_published_size_of_mim_is_that_of_neither_variant() -> None:
    assert 3 * parameters("mim") + 1 == 28_688_497
    assert 3 * parameters("mim", (2, 32, 32), patch=2) + 1 == 28_533_337
    assert 3 * parameters("mim_star") + 1 == 36_922_801


def openstl_dead(model: str, width: int, kernel: int, norm: bool) -> int:
    """Parameters that OpenSTL's modules build and never call, with four layers on 16x16 maps."""
    conv_o = 2 * width * width * kernel**2 + (2 * width * 256 if norm else 0)
    conv_last = 2 * width * width
    if model == "convlstm":
        return 4 * (conv_o + conv_last)
    if model == "predrnn_pp":
        # its highway's two norms have half the channels they need
        return 4 * conv_o - (2 * 2 * width * 256 if norm else 0)
    return 3 * conv_last if model == "mim" else 0


@pytest.mark.parametrize("model", OPENSTL)
@pytest.mark.parametrize("column", range(5))
def test_openstls_sizes_are_ours_and_what_it_never_uses(model: str, column: int) -> None:
    width, kernel, norm = SETTINGS[column]
    options = options_for(model, "openstl")
    total = parameters(model, hidden=[width] * 4, kernel=kernel, norm=norm, **options)
    total += openstl_dead(model, width, kernel, norm)
    assert round(total / 1e6, 3) == OPENSTL[model][column]
