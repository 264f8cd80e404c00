"""The folder of data."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbench.folder import data_folder


def test_the_data_folder_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", "~/somewhere")
    assert data_folder() == Path("~/somewhere").expanduser()
    monkeypatch.delenv("BENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data_folder() == Path("/cache/benchbench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == Path("~/.cache/benchbench").expanduser()
