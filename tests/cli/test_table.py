"""bench table, as typed: it prints, and nothing but `bench run` on the suite itself writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.report.leaderboard import OWNER, files

from ..stand_ins import bench, tiny

Write = Callable[..., Path]
PERSISTENCE = tiny(models=["persistence"])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir()}


def test_a_table_is_printed_in_every_format_as_it_is_written(
    write_suite: Write, tmp_path: Path
) -> None:
    suite, results = write_suite(PERSISTENCE), tmp_path / "results"
    bench("run", suite, "--results", results)
    for name, file in files().items():
        told = bench("table", suite, "--results", results, "--format", name)
        assert "persistence" in told
        assert (results / "tiny" / file).read_text() == told


def test_a_table_under_overrides_is_printed_and_never_written(
    write_suite: Write, tmp_path: Path
) -> None:
    suite, results = write_suite(PERSISTENCE), tmp_path / "results"
    bench("run", suite, "--results", results)
    before = contents(results / "tiny")
    told = bench("run", suite, "protocols=[mim]", "--results", results)
    assert "protocol mim v1" in told
    assert "printed only" in told
    bench("table", suite, "protocols=[mim]", "--results", results)
    assert contents(results / "tiny") == before
    told = bench("retry", suite, "protocols=[mim]", "--results", results)
    assert contents(results / "tiny") == before


def test_a_table_alone_writes_nothing(write_suite: Write, tmp_path: Path) -> None:
    told = bench("table", write_suite(PERSISTENCE), "--results", tmp_path / "results")
    assert "persistence (0 of 1 seeds)" in told
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "deleted", "bytes", "empty", "brackets", "pipe"]
)
def test_every_damaged_file_of_the_leaderboard_is_mended_by_the_next_run(
    write_suite: Write, tmp_path: Path, damage: str
) -> None:
    suite, folder = write_suite(PERSISTENCE), tmp_path / "results" / "tiny"
    bench("run", suite, "--results", tmp_path / "results")
    before = contents(folder)
    assert {path.name for path in before} == {*files().values(), OWNER}
    for path, content in before.items():
        wrong = {
            "cut": content[:-9],
            "changed": content[:9] + b"9" + content[10:],
            "bytes": b"\xff",
            "brackets": b"[" * 10**5,
        }
        path.write_bytes(wrong.get(damage, b""))
        if damage in ("deleted", "pipe"):
            path.unlink()
        if damage == "pipe":
            os.mkfifo(path)
    bench("run", suite, "--results", tmp_path / "results")
    assert contents(folder) == before


@pytest.mark.parametrize("name", [OWNER, "leaderboard.csv"])
def test_a_folder_in_place_of_a_file_of_the_leaderboard_is_told_after_the_table(
    write_suite: Write, tmp_path: Path, name: str
) -> None:
    suite, place = write_suite(PERSISTENCE), tmp_path / "results" / "tiny" / name
    place.mkdir(parents=True)
    told = bench("run", suite, "--results", tmp_path / "results", status=1)
    assert "persistence" in told
    last = f"printed only: {place}: Is a directory; move what is there away, or name another folder"
    assert told.splitlines()[-1] == last


@pytest.fixture
def two(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes the suite `tiny.yaml` in a folder of a name, with a model."""

    def write(folder: str, model: str = "persistence") -> Path:
        path = tmp_path / folder / "tiny.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(tiny(models=[model], train={"steps": 2, "batch": 2}))
        return path

    return write


def test_two_suites_of_one_name_do_not_share_a_folder_unknowingly(
    two: Callable[..., Path], tmp_path: Path
) -> None:
    results, first, second = tmp_path / "results", two("a"), two("b", "convlstm")
    bench("run", first, "--results", results)
    before = contents(results / "tiny")
    told = bench("run", second, "--results", results, status=1)
    assert "convlstm" in told
    line = told.splitlines()[-1]
    assert line.startswith(f"printed only: {results / 'tiny'}: holds the leaderboard of another ")
    assert str(first) in line
    assert "give one of them a 'name' of its own" in line
    assert contents(results / "tiny") == before
    named = bench("run", first, "--results", results)
    assert "also in" in named
    second.write_text(second.read_text() + "name: other\n")
    assert "also in" in bench("run", second, "--results", results)
    assert contents(results / "tiny") == before


def test_a_suite_that_was_moved_or_edited_takes_its_leaderboard_along(
    two: Callable[..., Path], tmp_path: Path
) -> None:
    results, first = tmp_path / "results", two("a")
    bench("run", first, "--results", results)
    (tmp_path / "elsewhere").mkdir()
    moved = first.rename(tmp_path / "elsewhere" / "tiny.yaml")
    assert "also in" in bench("run", moved, "--results", results)
    moved.write_text(moved.read_text() + "protocols: [mim]\n")
    assert "also in" in bench("run", moved, "--results", results)
    assert str(moved) in (results / "tiny" / OWNER).read_text()


def test_a_copy_of_a_suite_asks_the_same_and_writes_the_same(
    two: Callable[..., Path], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    bench("run", two("a"), "--results", results)
    before = contents(results / "tiny")
    assert "also in" in bench("run", two("b"), "--results", results)
    after = contents(results / "tiny")
    assert before | {results / "tiny" / OWNER: after[results / "tiny" / OWNER]} == after
