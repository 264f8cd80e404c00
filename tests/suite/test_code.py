"""Code of a run: which edits change its digests, and which do not."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

import benchbench
from benchbench.suite import sources
from benchbench.suite.code import code_of, codes_of
from benchbench.suite.sources import Sources, parse
from benchbench.suite.spec import RunSpec

from ..stand_ins import install

ROOT = Path(benchbench.__file__).parents[1]
SPEC = RunSpec("cms_lstm", 1, {}, "moving_mnist", 1, {}, None, 0, 4)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("benchbench", "models", "datasets"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc"))
    return root


@pytest.fixture
def checkout(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy as that which digests are made of, with a cache of its own."""
    monkeypatch.setattr(benchbench, "__file__", str(copy / "benchbench" / "__init__.py"))
    monkeypatch.setattr(benchbench, "__path__", [str(copy / "benchbench"), str(copy)])
    monkeypatch.setenv("BENCH_DATA", str(copy / "cache"))
    monkeypatch.setattr(sources, "is_settled", lambda *_: True)
    return copy


@contextlib.contextmanager
def edited(path: Path) -> Iterator[None]:
    """A file with a line more, or new, for a while."""
    before = path.read_text() if path.exists() else None
    with path.open("a") as file:
        file.write("\nSOMETHING = 1\n")
    yield
    path.unlink()
    if before is not None:
        path.write_text(before)


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("models/cms_lstm.py", "model"),
        ("models/convlstm.py", "model"),
        ("models/_blocks.py", "model"),
        ("models/_layers.py", "model"),
        ("datasets/moving_mnist.py", "dataset"),
        ("datasets/_moving.py", "dataset"),
        ("benchbench/data/archive.py", "dataset"),
        ("benchbench/recurrent.py", "engine"),
        ("benchbench/scoring/planes.py", "engine"),
        ("benchbench/training/trainer.py", "engine"),
        ("benchbench/run/execute.py", "engine"),
    ],
)
def test_an_edit_of_what_a_run_computes_with_changes_one_part(
    checkout: Path, file: str, part: str
) -> None:
    before = code_of(SPEC)
    with edited(checkout / file):
        assert before.differences(code_of(SPEC)) == (part,)
    assert code_of(SPEC) == before


@pytest.mark.parametrize(
    "file",
    [
        "models/predrnn.py",
        "models/_swin.py",
        "datasets/taxibj.py",
        "benchbench/cli/run.py",
        "benchbench/report/board.py",
        "benchbench/executor/slurm.py",
        "benchbench/protocols/openstl.py",
        "benchbench/weights/files.py",
        "benchbench/notes.py",
        "models/notes.md",
    ],
)
def test_an_edit_of_anything_else_changes_nothing(checkout: Path, file: str) -> None:
    before = code_of(SPEC)
    with edited(checkout / file):
        assert code_of(SPEC) == before


def test_what_reads_imported_weights_counts_for_runs_that_import_some(checkout: Path) -> None:
    spec = replace(SPEC, weights="0" * 64)
    before = code_of(spec)
    with edited(checkout / "benchbench/weights/files.py"):
        assert before.differences(code_of(spec)) == ("engine",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1\n", "# a comment\nx = 1  # another\n"),
        ("def f(a, b):\n    return a\n", "def f(\n    a,\n    b,\n):\n\n    return (a)\n"),
        ("x = 'a'\n", 'x = "a"\n'),
        ('"""A module."""\nx = 1\n', '"""Another text."""\nx = 1\n'),
        ("class A:\n    x = 1\n    '''Its x.'''\n", "class A:\n    '''It.'''\n    x = 1\n"),
        ("def f():\n    '''Gives 1.'''\n    return 1\n", "def f():\n    return 1\n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(before: str, after: str) -> None:
    assert parse(before.encode()) == parse(after.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1\n", "x = 2\n"),
        ("x = 1\n", "x = 1.0\n"),
        ("x = 1\n", "x = True\n"),
        ("x = '1'\n", "x = b'1'\n"),
        ("x = a - b - c\n", "x = a - (b - c)\n"),
        ("if a:\n    b()\nc()\n", "if a:\n    b()\n    c()\n"),
        ("f(None)\n", "f()\n"),
        ("x = f'{a}'\n", "x = f'{a!r}'\n"),
        ("x = []\n", "x = ()\n"),
        ("import a\n", "from a import a\n"),
        ("x = a[1:]\n", "x = a[:1]\n"),
        ("def f(*, a=1): pass\n", "def f(a=1): pass\n"),
        ("x = (\n", "x = ((\n"),
    ],
)
def test_every_change_of_the_program_counts(before: str, after: str) -> None:
    assert parse(before.encode()).digest != parse(after.encode()).digest


def test_a_wheel_and_a_checkout_have_the_same_code(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_of(SPEC)
    package = checkout / "benchbench"
    for folder in ("models", "datasets"):
        (package / folder).symlink_to(checkout / folder)
    monkeypatch.setattr(benchbench, "__path__", [str(package)])
    assert code_of(SPEC) == before
    for folder in ("models", "datasets"):
        (package / folder).unlink()


MODULE = "from benchbench.registry import register_model\nfrom {} import SCALE\n"


def test_a_plug_ins_files_count_by_import_and_none_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(
        tmp_path,
        "[benchbench.models]\nscaled = theirs_scaled\npacked = theirs.nets.packed\n",
        theirs_scaled=MODULE.format("theirs_scale"),
        theirs_scale="from benchbench.models import _blocks\nSCALE = 1\n",
        theirs_other="x = 1\n",
    )
    nets = site / "theirs" / "nets"
    nets.mkdir(parents=True)
    (site / "theirs" / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    (nets / "__init__.py").touch()
    (nets / "packed.py").write_text(MODULE.format("..scale"))
    (site / "theirs" / "scale.py").write_text("SCALE = 1\n")
    monkeypatch.syspath_prepend(site)
    scaled, packed = replace(SPEC, model="scaled"), replace(SPEC, model="packed")
    before = codes_of([scaled, packed])
    with edited(site / "theirs_other.py"):
        assert codes_of([scaled, packed]) == before
    with edited(site / "theirs_scale.py"), edited(site / "theirs" / "scale.py"):
        after = codes_of([scaled, packed])
    assert before[scaled.key].differences(after[scaled.key]) == ("model",)
    assert before[packed.key].differences(after[packed.key]) == ("model",)


class Cached(NamedTuple):
    """A file whose source is in a cache."""

    path: Path
    digest: str


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cached:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sources, "is_settled", lambda *_: True)
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    first = Sources()
    digest = first[path].digest
    first.store()
    return Cached(path, digest)


def test_sources_are_parsed_once_and_again_when_they_change(
    cached: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest = cached
    with monkeypatch.context() as patch:
        patch.setattr(sources, "parse", lambda _: pytest.fail("a second time"))
        assert Sources()[path].digest == digest
    path.write_text("x = 22\n")
    assert Sources()[path].digest != digest


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\0"])
def test_a_damaged_cache_of_sources_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    (tmp_path / "sources.json").write_text(text)
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    assert Sources()[path] == parse(b"x = 1\n")


def test_a_digit_changed_in_the_cache_of_sources_makes_no_other_code(
    cached: Cached, tmp_path: Path
) -> None:
    path, digest = cached
    cache = tmp_path / "data" / "sources.json"
    cache.write_text(cache.read_text().replace(digest, "0" * 64))
    assert Sources()[path].digest == digest


def test_a_sum_of_a_thousand_terms_is_a_source_too() -> None:
    text = f"import a\nx = {' + '.join(['a.x'] * 1000)}\n".encode()
    assert parse(text).imports == ("a",)
    assert parse(text) != parse(text.replace(b"a.x +", b"a.y +", 1))


def test_code_is_told_without_torch() -> None:
    code = (
        "import sys; from benchbench.suite.code import code_of; "
        "from benchbench.suite.spec import RunSpec; "
        "code_of(RunSpec('cms_lstm', 1, {}, 'moving_mnist', 1, {}, None, 0, 4)); "
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "False", answer.stderr
