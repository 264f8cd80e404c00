"""The registry: files, entry points, duplicates, nearest names, options bound to signatures."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from benchbench import registry
from benchbench.clip import Clip
from benchbench.errors import SchemaError, UnknownName
from benchbench.options import describe
from benchbench.registry import DATASETS, MODELS, Registry, build_model

ROOT = Path(__file__).parents[1]
CLIP = Clip(1, 16, 16, 3, 2)


@pytest.mark.parametrize(("kind", "folder"), [(MODELS, "models"), (DATASETS, "datasets")])
def test_every_file_registers_its_name_and_no_name_lacks_a_file(
    kind: Registry, folder: str
) -> None:
    stems = {path.stem for path in (ROOT / folder).glob("*.py") if path.stem[0] != "_"}
    assert set(kind.files()) == stems == set(kind.names())
    for stem in stems:
        assert kind.get(stem).name == stem
        assert kind.path(stem) == ROOT / folder / f"{stem}.py"


@pytest.mark.parametrize("kind", [MODELS, DATASETS])
def test_every_entry_has_a_citation_and_documents_all_its_options(kind: Registry) -> None:
    for name in kind.names():
        entry = kind.get(name)
        module = sys.modules[entry.build.__module__]
        assert module.__doc__ is not None
        assert kind.citation(name) == module.__doc__.splitlines()[0]
        assert len(kind.citation(name)) > 20
        meanings = describe(entry.build)
        for option in entry.options:
            assert len(meanings.get(option, "")) > 10, f"{name}: {option}"


def test_a_near_miss_is_named() -> None:
    with pytest.raises(UnknownName, match=r"no model 'predrn'; did you mean 'predrnn'\?"):
        build_model("predrn", CLIP)


def test_two_functions_of_one_name_are_refused() -> None:
    own: Registry = Registry("benchbench.models", "model")

    @own.register("twin")
    def first(clip: Clip) -> None: ...

    own.register("twin")(first)  # the same one again is a module imported twice
    with pytest.raises(SchemaError, match="'twin' is registered by both"):

        @own.register("twin")
        def second(clip: Clip) -> None: ...


Offer = Callable[[dict[str, str]], Registry]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Offer:
    """A registry of the built-in models and of entry points, each the text of a module."""

    def registry_of(modules: dict[str, str]) -> Registry:
        points = []
        for name, text in modules.items():
            (tmp_path / f"theirs_{name}.py").write_text(text, encoding="utf-8")
            points.append(EntryPoint(name, f"theirs_{name}", "benchbench.models"))
            monkeypatch.delitem(sys.modules, f"theirs_{name}", raising=False)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
        return Registry("benchbench.models", "model")

    monkeypatch.syspath_prepend(tmp_path)
    return registry_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nimport nowhere_at_all", "line 2: ModuleNotFoundError: No module named"),
        ("x = 1\n\ndef f(:", "line 3: SyntaxError: "),
        ("x = 1\n1 / 0", "line 2: ZeroDivisionError: division by zero"),
        ("x = 1", "was imported and registered no 'net'"),
    ],
)
def test_a_broken_module_is_one_sentence_about_its_name_only(
    offer: Offer, text: str, message: str
) -> None:
    models = offer({"net": text})
    assert "net" in models.names()
    with pytest.raises(SchemaError, match=r"model 'net'") as caught:
        models.get("net")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert ("theirs_net.py" in str(caught.value)) == ("line" in message)
    assert MODELS.get("persistence").name == "persistence"


def test_what_a_module_registered_before_it_failed_is_forgotten(
    offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = offer(
        {"net": "from benchbench import registry\n"
        "registry.MODELS.register('net')(lambda clip: None)\n1 / 0"}
    )  # fmt: skip
    monkeypatch.setattr(registry, "MODELS", models)
    for _ in range(2):
        with pytest.raises(SchemaError, match="division by zero"):
            models.get("net")


def test_two_offers_of_one_name_are_told_where_the_name_is_used(offer: Offer) -> None:
    models = offer({"predrnn": ""})
    assert models.citation("convlstm").startswith("ConvLSTM")
    with pytest.raises(
        SchemaError, match=r"benchbench\.models\.predrnn and theirs_predrnn; rename"
    ):
        models.get("predrnn")


def test_a_citation_is_read_without_importing(offer: Offer) -> None:
    models = offer({"net": '"""Net, 2026.\n\nMore."""\nraise SystemExit', "bad": "def f(:"})
    assert models.citation("net") == "Net, 2026."
    with pytest.raises(SchemaError, match=r"model 'bad' cannot be read; .*theirs_bad\.py, line 1"):
        models.citation("bad")


def test_a_module_that_is_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("net", "no_such_package.net", "benchbench.models")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    models: Registry = Registry("benchbench.models", "model")
    assert models.path("net") is None
    with pytest.raises(SchemaError, match=r"'net' cannot be imported; .*no_such_package"):
        models.get("net")
