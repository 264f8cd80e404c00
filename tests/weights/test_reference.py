"""Weights of reference implementations: what is used, what is refused, what is written."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.errors import BenchError, DataMissing, SchemaError, UnknownName
from benchbench.predictor import Predictor
from benchbench.registry import MODELS, build_model
from benchbench.weights import files
from benchbench.weights.certificate import certificate, find_source, options_for
from benchbench.weights.files import Imported, import_reference, load, read, save
from benchbench.weights.reference import load_reference, place
from benchbench.weights.sizes import sizes_of

CLIP = Clip(1, 8, 8, 2, 2)
SIZES: dict[str, Any] = {"hidden": [3, 3], "kernel": 3, "patch": 2}


def predrnn(**options: Any) -> Predictor:
    return build_model("predrnn", CLIP, **{**SIZES, **options})


def thuml(predictor: Predictor) -> dict[str, Tensor]:
    """The predictor's tensors as thuml/predrnn-pytorch calls them, with values of their own."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in predictor.state_dict().items():
        name = name.replace("stack.cells", "cell_list").replace("stack.head", "conv_last")
        name = (
            name.replace("of_cm", "conv_o").replace("of_", "conv_").replace("reduce", "conv_last")
        )
        state[name] = torch.rand(tensor.shape, generator=generator)
    return state


def test_every_tensor_arrives_where_it_belongs() -> None:
    predictor = predrnn()
    state = thuml(predictor)
    loaded = load_reference(predictor, "thuml", state)
    assert loaded.used["cell_list.1.conv_o.0.weight"] == ("stack.cells.1.of_cm.0.weight",)
    assert set(loaded.used) == set(state)
    ours = predictor.state_dict()
    for theirs, (name,) in loaded.used.items():
        assert torch.equal(ours[name], state[theirs])


def test_all_that_does_not_fit_is_named_and_nothing_is_loaded() -> None:
    predictor = predrnn()
    before = {name: tensor.clone() for name, tensor in predictor.state_dict().items()}
    state = thuml(predictor)
    del state["conv_last.weight"]
    state["extra.weight"] = torch.ones(1)
    state["cell_list.0.conv_h.0.weight"] = torch.ones(12, 3, 5, 5)
    state["cell_list.7.conv_h.0.weight"] = torch.ones(12, 3, 3, 3)
    with pytest.raises(SchemaError) as caught:
        load_reference(predictor, "thuml", state)
    assert str(caught.value).splitlines() == [
        "thuml into predrnn: 4 tensors do not fit, and nothing was loaded; build it with kernel=5",
        "  no rule for 'extra.weight'",
        "  no tensor for 'stack.head.weight'",
        "  'cell_list.0.conv_h.0.weight' gives 'stack.cells.0.of_h.0.weight' the shape 12x3x5x5, "
        "not 12x3x3x3",
        "  no place for 'cell_list.7.conv_h.0.weight', 'stack.cells.7.of_h.0.weight' of ours",
    ]
    assert all(torch.equal(t, before[n]) for n, t in predictor.state_dict().items())


def test_two_tensors_for_one_of_ours_are_named() -> None:
    theirs, ours = "stlstm/lstm_1/cell_reduce/kernel", "stack.cells.0.reduce.weight"
    arrays = {name: np.zeros((1, 1, 6, 3)) for name in (theirs, f"{theirs}:0")}
    loaded = place(find_source("predrnn", "predrnn-pp"), arrays)
    assert loaded.faults == [f"'{theirs}:0' and '{theirs}' both give '{ours}'"]


def openstl_convlstm() -> dict[str, Tensor]:
    """A state_dict of OpenSTL's ConvLSTM of one layer, its unused convolutions among it."""
    return {
        "cell_list.0.conv_x.0.weight": torch.rand(12, 4, 3, 3),
        "cell_list.0.conv_h.0.weight": torch.rand(12, 3, 3, 3),
        "cell_list.0.conv_o.0.weight": torch.rand(3, 6, 3, 3),
        "cell_list.0.conv_last.weight": torch.rand(3, 6, 1, 1),
        "conv_last.weight": torch.rand(4, 3, 1, 1),
    }


def test_a_refusal_says_with_what_options_to_build_the_model() -> None:
    predictor = build_model("convlstm", CLIP, patch=2)
    with pytest.raises(SchemaError) as caught:
        load_reference(predictor, "openstl", openstl_convlstm())
    assert str(caught.value).splitlines()[0] == (
        "openstl into convlstm: 36 tensors do not fit, and nothing was loaded; build it with "
        "source=openstl, hidden=[3], norm=false"
    )


def test_a_file_of_another_source_is_recognised() -> None:
    with pytest.raises(
        SchemaError, match=r"its names are those of 'thuml' of predrnn or 'openstl'"
    ):
        load_reference(build_model("mim", CLIP, **SIZES), "mim", thuml(predrnn()))


def test_the_release_of_predrnn_pp_is_told_from_its_tensors() -> None:
    old = build_model("predrnn_pp", CLIP, **SIZES, source="predrnn-pp-2018")
    assert sizes_of("predrnn_pp", old.state_dict(), channels=1) == {**SIZES, "norm": True}
    state = {"predrnn_pp/back_to_pixel/kernel": np.zeros((1, 1, 3, 4))}
    new = build_model("predrnn_pp", CLIP, **SIZES)
    with pytest.raises(SchemaError, match=r"or it is of .*'predrnn-pp-2018' of predrnn_pp"):
        load_reference(new, "predrnn-pp", state)


@pytest.mark.parametrize(
    ("model", "option", "tensor"),
    [
        ("ddpae", "image", "pose_model.encode.weight_hh_l0"),
        ("simvp", "groups", "translator.encoder.0.branches.0.conv.weight"),
    ],
)
def test_a_file_that_is_not_whole_shows_fewer_sizes(model: str, option: str, tensor: str) -> None:
    state = build_model(model, Clip(1, 16, 16, 2, 2), **certificate(model).tiny).state_dict()
    assert option in sizes_of(model, state)
    del state[tensor]
    assert option not in sizes_of(model, state)


def test_tensors_that_the_source_never_uses_are_declared_dead_by_name() -> None:
    options = options_for("convlstm", "openstl")
    predictor = build_model("convlstm", CLIP, hidden=[3], kernel=3, patch=2, norm=False, **options)
    loaded = load_reference(predictor, "openstl", openstl_convlstm())
    assert loaded.dead == {
        "cell_list.0.conv_o.0.weight": "built and never called",
        "cell_list.0.conv_last.weight": "built and never called",
    }


def test_tensors_that_fit_another_mathematics_are_loaded_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    predictor = predrnn(source="openstl")
    loaded = load_reference(predictor, "thuml", thuml(predictor))
    assert loaded.differs == {"source": ("thuml", "openstl")}
    assert "the source has source='thuml', the predictor 'openstl'" in caplog.text


def test_tensorflow_kernels_and_gates_are_turned() -> None:
    options = options_for("predrnn", "predrnn-pp")
    predictor = predrnn(norm=False, hidden=[3], **options)
    generator = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return generator.random(shape, dtype=np.float32)

    state: dict[str, np.ndarray] = {
        "stlstm/back_to_pixel/kernel:0": random(1, 1, 3, 4),
        "stlstm/back_to_pixel/bias:0": random(4),
        "stlstm/lstm_1/cell_reduce/kernel": random(1, 1, 6, 3),
        "stlstm/lstm_1/cell_reduce/bias": random(3),
    }
    for name, width in (("time_state", 3), ("spatio_state", 3), ("input", 4)):
        state[f"stlstm/lstm_1/{name}_to_state/kernel"] = random(3, 3, width, 12)
        state[f"stlstm/lstm_1/{name}_to_state/bias"] = random(12)
    load_reference(predictor, "predrnn-pp", state)
    ours = predictor.state_dict()["stack.cells.0.of_x.0.weight"]
    theirs = state["stlstm/lstm_1/input_to_state/kernel"]
    assert ours[5, 2, 0, 1].item() == theirs[0, 1, 2, 5]


@pytest.mark.parametrize(
    ("model", "source", "words"),
    [
        ("predrnn", "thumb", "did you mean 'thuml'"),
        ("persistence", "thuml", "none is known for it"),
    ],
)
def test_an_unknown_source_is_refused_with_the_known(model: str, source: str, words: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(words)):
        options_for(model, source)


@pytest.mark.parametrize(
    ("model", "source", "words"),
    [
        ("e3d_lstm", "openstl", "deliberately not followed"),
        ("sa_convlstm", "tsugumi", "not autoregressive"),
    ],
)
def test_a_source_that_is_not_followed_says_why(model: str, source: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        options_for(model, source)


def test_a_predictor_that_build_model_did_not_make_is_refused() -> None:
    predictor = predrnn()
    predictor.built_as = None
    with pytest.raises(SchemaError, match="not made by build_model"):
        load_reference(predictor, "thuml", thuml(predictor))


ALL_SOURCES = [
    (model, source)
    for model in MODELS.names()
    for source, what in certificate(model).sources.items()
    if what.refused is None
]


@pytest.mark.parametrize(("model", "source"), ALL_SOURCES)
def test_the_options_of_a_source_build_its_model(model: str, source: str) -> None:
    known = certificate(model)
    options = options_for(model, source)
    sizes = {**(known.tiny or SIZES), **options}
    predictor = build_model(model, Clip(1, 32, 32, 2, 2), **sizes)
    assert predictor.built_as is not None
    defaults = MODELS.get(model).bind({})
    for name, value in options_for(model, source).items():
        assert name in defaults
        assert predictor.built_as[1][name] == value


@pytest.mark.parametrize("model", [n for n in MODELS.names() if MODELS.get(n).trains])
def test_a_certificate_names_what_exists(model: str) -> None:
    known = certificate(model)
    everywhere = {source for name in MODELS.names() for source in certificate(name).sources}
    assert {proof.source for proof in known.proofs} <= everywhere
    assert all(proof.arrays for proof in known.proofs)
    options = MODELS.get(model).options
    assert set(known.sizes) <= set(options)
    if "source" in options:
        names = typing.get_args(typing.get_type_hints(MODELS.get(model).build)["source"])
        assert set(names) <= set(known.sources)
    for source in known.sources.values():
        for rule in (*source.tensors, *source.dead, *source.absent):
            re.compile(rule.name)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.pt"
    torch.save({"epoch": 3, "net_param": thuml(predrnn())}, path)
    return path


def test_a_checkpoint_becomes_a_file_that_builds_the_predictor(
    checkpoint: Path, tmp_path: Path
) -> None:
    imported, _ = import_reference("predrnn", "thuml", checkpoint, CLIP, {})
    save(tmp_path / "ours.pt", imported)
    plain = torch.load(tmp_path / "ours.pt", weights_only=True)
    assert plain["model"] == "predrnn"
    again = load(tmp_path / "ours.pt")
    assert (again.model, again.clip, again.source) == ("predrnn", CLIP, "thuml")
    assert again.options == MODELS.get("predrnn").bind(SIZES)
    assert len(again.sha256) == 64
    context = torch.rand(1, 2, 1, 8, 8)
    reference = predrnn()
    load_reference(reference, "thuml", thuml(predrnn()))
    predictor = build_model(again.model, again.clip, **again.options)
    again.load_into(predictor)
    with torch.no_grad():
        assert torch.equal(predictor(context, 2), reference(context, 2))


def test_what_no_tensor_shows_is_asked_for_by_name(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = find_source("predrnn", "thuml").model_copy(update={"ask": {"kernel": "its side"}})
    monkeypatch.setattr(files, "find_source", lambda model, source: asking)
    with pytest.raises(SchemaError, match="do not show kernel, its side; give each as an option"):
        import_reference("predrnn", "thuml", checkpoint, CLIP, {})
    imported, _ = import_reference("predrnn", "thuml", checkpoint, CLIP, {"kernel": 3})
    assert imported.options["kernel"] == 3


def imported_predrnn() -> Imported:
    predictor = predrnn()
    assert predictor.built_as is not None
    options = predictor.built_as[1]
    return Imported("predrnn", options, CLIP, "thuml", "0" * 64, predictor.state_dict())


def test_imported_weights_enter_the_model_that_a_suite_builds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    imported = imported_predrnn()
    predictor = predrnn(init="torch")
    imported.load_into(predictor)
    assert "imported from thuml had init: released" in caplog.text
    for name, tensor in predictor.state_dict().items():
        assert torch.equal(tensor, imported.state_dict[name])


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("predrnn", {"hidden": [4, 4]}, r"give it the options hidden: \[3, 3\]"),
        ("mim", {}, "name 'predrnn' in the suite"),
    ],
)
def test_imported_weights_that_do_not_fit_say_what_would(
    model: str, options: dict[str, Any], words: str
) -> None:
    predictor = build_model(model, CLIP, **{**SIZES, **options})
    with pytest.raises(SchemaError, match=words):
        imported_predrnn().load_into(predictor)


def test_npz_files_and_wrapped_names_are_read(tmp_path: Path) -> None:
    state = thuml(predrnn())
    np.savez(tmp_path / "a.npz", step=np.array(3), **{k: v.numpy() for k, v in state.items()})
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "b.pt")
    for name in ("a.npz", "b.pt"):
        assert read(tmp_path / name).keys() == state.keys()


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    torch.save({"state_dict": {"a": torch.ones(1)}, "args": Path("x")}, path)
    with pytest.raises(SchemaError, match="pickled code is never run"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("none.pt", None, DataMissing, "no such file"),
        ("text.pt", b"hello", BenchError, "text.pt"),
        ("text.npz", b"hello", DataMissing, "numpy.savez"),
    ],
)
def test_files_that_are_no_checkpoints_are_refused(
    tmp_path: Path, name: str, content: bytes | None, error: type[Exception], words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 1}, "not none"),
        ({"a": {"w": torch.ones(1)}, "b": {"w": torch.ones(1)}}, "several: a, b"),
    ],
)
def test_a_file_with_no_or_several_mappings_of_tensors_is_refused(
    tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(SchemaError, match=words):
        read(tmp_path / "x.pt")


def test_a_checkpoint_of_another_kind_is_not_taken_for_ours(checkpoint: Path) -> None:
    with pytest.raises(SchemaError, match="not a file of 'bench weights import'"):
        load(checkpoint)
    with pytest.raises(DataMissing, match="no such file"):
        load(checkpoint.with_name("absent.pt"))


def test_a_broken_file_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ours.pt"
    save(path, Imported("predrnn", {}, CLIP, "thuml", "0" * 64, {"a": torch.ones(9)}))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataMissing, match="damaged"):
        load(path)
