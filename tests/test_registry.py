"""The registry: files, entry points, duplicates, nearest names, options bound to signatures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal

import pytest

from benchbench import registry
from benchbench.clip import Clip
from benchbench.errors import SchemaError, UnknownName
from benchbench.registry import DATASETS, MODELS, OptionError, Registry, build_model

ROOT = Path(__file__).parents[1]
CLIP = Clip(1, 16, 16, 3, 2)


@pytest.mark.parametrize(("found", "folder"), [(MODELS, "models"), (DATASETS, "datasets")])
def test_every_file_registers_its_name_and_no_name_lacks_a_file(
    found: Registry, folder: str
) -> None:
    stems = {path.stem for path in (ROOT / folder).glob("*.py") if path.stem[0] != "_"}
    assert set(found.files()) == stems
    for stem in stems:
        assert found.get(stem).name == stem


@pytest.mark.parametrize("found", [MODELS, DATASETS])
def test_every_entry_has_a_citation_and_documents_all_its_options(found: Registry) -> None:
    for name in found.names():
        entry = found.get(name)
        assert len(entry.citation) > 20
        for option in entry.options:
            assert f"{option}:" in (entry.build.__doc__ or ""), f"{name}: {option}"


def test_a_near_miss_is_named() -> None:
    with pytest.raises(UnknownName, match=r"no model 'predrn'; did you mean 'predrnn'\?"):
        build_model("predrn", CLIP)


def test_options_are_bound_with_all_faults_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        build_model("predrnn", CLIP, kernal=3, hidden=["a"], variant="x", norm=1)
    assert set(caught.value.faults) == {"kernal", "hidden", "variant", "norm"}
    assert "did you mean 'kernel'" in caught.value.faults["kernal"]
    assert caught.value.faults["hidden"] == "item 1: expected a whole number, not 'a'"
    assert "'thuml' or 'tf2018'" in caught.value.faults["variant"]
    assert caught.value.faults["norm"] == "expected true or false, not 1"


def test_binding_fills_in_defaults_as_yaml_would_give_them() -> None:
    bound = MODELS.get("cms_lstm").bind({"hidden": (8, 8)})
    assert bound["hidden"] == [8, 8]
    assert bound["se_scales"] == [1, 2, 4]


def _registry_with(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> Registry:
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: list(points))
    return Registry("benchbench.models", "model")


def test_two_functions_of_one_name_are_refused() -> None:
    own: Registry = Registry("benchbench.models", "model")

    @own.register("twin")
    def first(clip: Clip) -> None: ...

    own.register("twin")(first)  # the same one again is a module imported twice
    with pytest.raises(SchemaError, match="'twin' is registered by both"):

        @own.register("twin")
        def second(clip: Clip) -> None: ...


def test_an_entry_point_may_not_take_a_built_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    own = _registry_with(monkeypatch, EntryPoint("predrnn", "theirs", "benchbench.models"))
    with pytest.raises(SchemaError, match="'predrnn' of entry point theirs is built in"):
        own.names()


def test_two_packages_may_not_offer_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("net", value, "benchbench.models") for value in ("a.net", "b.net")]
    with pytest.raises(SchemaError, match=r"two packages, a\.net and b\.net"):
        _registry_with(monkeypatch, *points).names()


def test_an_entry_point_that_registers_something_else_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = _registry_with(monkeypatch, EntryPoint("net", "json", "benchbench.models"))
    with pytest.raises(SchemaError, match="registered no 'net'"):
        own.get("net")


def test_a_required_option_is_asked_for() -> None:
    own: Registry = Registry("benchbench.models", "model")

    @own.register("strict")
    def strict(clip: Clip, *, widths: Sequence[int], mode: Literal["a"] = "a") -> None: ...

    with pytest.raises(OptionError, match="needs the option 'widths'"):
        own.get("strict").bind({})
