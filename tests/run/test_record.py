"""Records: a run's own, whole, or told with what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import SchemaError
from benchbench.run.record import Record, Store
from benchbench.suite.plan import plan


def test_a_record_of_another_run_or_none_is_refused(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    first, second = (run.spec for run in plan(write_suite()).runs)
    record = Record(first.to_dict(), first.key, 74_321, 6, 6, 0.1, 10.0, 1.0, None)
    store.write(first, record)
    assert store.record(first) == record
    assert store.record(second) is None
    store.write(second, record)
    with pytest.raises(SchemaError, match=f"the record of run {first.key}; move it away"):
        store.record(second)
    (store.folder(second) / "record.json").write_text("{")
    with pytest.raises(SchemaError, match="not a record"):
        store.record(second)
