"""bench table, as typed: it prints, and nothing but `bench run` on the suite itself writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchbench.report.leaderboard import files

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
