"""bench models and bench weights, as typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchbench.clip import Clip
from benchbench.errors import SchemaError, UnknownName
from benchbench.registry import MODELS, build_model
from benchbench.weights.certificate import certificate
from benchbench.weights.files import load

from ..stand_ins import bench

TRAINED = [name for name in MODELS.names() if MODELS.get(name).trains]


def test_the_list_has_every_model_with_its_citation() -> None:
    out = bench("models")
    for name in MODELS.names():
        line = next(line for line in out.splitlines() if f" {name} " in line)
        assert MODELS.citation(name) in line
    assert "│ no      │" in next(line for line in out.splitlines() if " persistence " in line)


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_is_shown_with_all_its_options_and_their_meaning(name: str) -> None:
    lines = bench("models", "show", name).splitlines()
    assert lines[0] == f"{name}: {MODELS.citation(name)}"
    for option in MODELS.get(name).options:
        row = next(line for line in lines if line.startswith(f"│ {option} "))
        assert row.split("│")[3].strip(), f"'{option}' has no description in the docstring"


@pytest.mark.parametrize("name", [n for n in TRAINED if certificate(n).proofs])
def test_a_certificate_is_shown_whole(name: str) -> None:
    known = certificate(name)
    out = bench("models", "show", name)
    for line in (
        *known.bugs,
        *known.departures,
        *known.not_followed,
        *known.unproved,
        *known.training,
    ):
        assert line in out
    for count in known.counts:
        assert f"{count.parameters:,}" in out
    for proof in known.proofs:
        assert all(array in out for array in proof.arrays)
        assert f"{proof.predictions:.2g}" in out


def test_parameters_without_a_gradient_stand_apart() -> None:
    out = bench("models", "show", "e3d_lstm")
    assert "3,276,800" in out
    assert "stack.cells.*.of_m.conv.weight: convolves a memory that stays zero" in out


def test_a_model_without_a_certificate_says_so() -> None:
    assert "compared with nothing" in bench("models", "show", "persistence")


def test_a_misspelt_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'predrnn'"):
        bench("models", "show", "predrn")


def test_the_sources_are_listed_and_the_refused_with_the_reason() -> None:
    out = bench("weights", "sources")
    assert "thuml/predrnn-pytorch at 49d3b0f" in out
    assert "refused: its network is not autoregressive" in out
    only = bench("weights", "sources", "mim")
    assert "source=openstl" in only
    assert "thuml/predrnn-pytorch" not in only
    assert "no source is known" in bench("weights", "sources", "persistence")


def test_a_checkpoint_is_imported(tmp_path: Path) -> None:
    clip = Clip(2, 16, 16, 3, 4)
    options = {"hidden": [4], "kernel": 5, "patch": 2, "norm": False}
    predictor = build_model("predrnn", clip, **options)
    state = {
        name.replace("stack.cells", "cell_list")
        .replace("stack.head", "conv_last")
        .replace("of_cm", "conv_o")
        .replace("of_", "conv_")
        .replace("reduce", "conv_last"): tensor
        for name, tensor in predictor.state_dict().items()
    }
    theirs, ours = tmp_path / "theirs.pt", tmp_path / "ours.pt"
    torch.save(state, theirs)
    out = bench(
        "weights", "import", "predrnn", str(theirs), "--from", "thuml", "--out", str(ours),
        "--clip", "2,16,16,3,4", "-o", "source=thuml",
    )  # fmt: skip
    assert "6 tensors of thuml are now predrnn's" in out
    told = "hidden: [4], patch: 2, norm: false"
    assert f"{{name: predrnn, options: {{{told}}}, weights: {ours}}}" in out
    loaded = load(ours)
    assert loaded.clip == clip
    for name, tensor in predictor.state_dict().items():
        assert torch.equal(loaded.state_dict[name], tensor)


def test_weights_of_a_network_that_looks_back_are_imported(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.npz", tmp_path / "ours.pt"
    recorded = np.load(Path(__file__).parents[1] / "goldens" / "models" / "stresnet_tf.npz")
    state = {k.removeprefix("param/"): recorded[k] for k in recorded.files if "param/" in k}
    np.savez(theirs, **state)
    bench(
        "weights", "import", "st_resnet", str(theirs), "--from", "deepst", "--out", str(ours),
        "--clip", "2,32,32,6,1,7,1,1", "-o", "units=2", "-o", "closeness=3",
    )  # fmt: skip
    assert load(ours).clip == Clip(2, 32, 32, 6, 1, factors=7, trend=1, period=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--clip", "1,64,64"), "--clip 1,64,64: expected"),
        (("--clip", "1,64,64,10,ten"), "--clip 1,64,64,10,ten: expected"),
        (("--clip", "1,64,64,10,10,1"), "and 3 more, factors, trend and period"),
        (("-o", "patch"), "KEY=VALUE"),
    ],
)
def test_a_mistyped_import_is_explained(
    tmp_path: Path, arguments: tuple[str, str], words: str
) -> None:
    with pytest.raises(SchemaError, match=words):
        bench(
            "weights", "import", "predrnn", str(tmp_path / "x.pt"), "--from", "thuml",
            "--out", str(tmp_path / "y.pt"), *arguments,
        )  # fmt: skip
