"""Whatever lies in a small file: its reader gives a value, or one sentence that names it."""

from __future__ import annotations

import itertools
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchbench.data.archive import extract
from benchbench.errors import BenchError
from benchbench.executor.state import LastReport, last_report
from benchbench.executor.submission import Submission, submissions
from benchbench.run.attempt import attempts
from benchbench.run.record import read_finished, read_record
from benchbench.scoring.arrays import read as read_array
from benchbench.scoring.summary import read_summary
from benchbench.suite.document import read as read_document
from benchbench.suite.plan import plan
from benchbench.training.history import History

from .stand_ins import SUITE, bench

EXAMPLES = 40
"""For each reader and each way of spoiling its file."""
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny suite and its finished runs."""
    folder = tmp_path_factory.mktemp("properties")
    (folder / "tiny.yaml").write_text(SUITE)
    bench("run", folder / "tiny.yaml", "--results", folder, "--executor", "inline")
    Submission("bench-x-1", ("a", "b"), "1 CPU", "c0de", 1.0, "7").write(folder)
    np.save(folder / "frames.npy", np.zeros((2, 3, 8, 8), np.float32))
    np.savez(folder / "frames.npz", frames=np.zeros((2, 3, 8, 8), np.float32))
    with tarfile.open(folder / "a.tar.gz", "w:gz") as tar:
        tar.add(folder / "frames.npy", "frames.npy")
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "frames.npy", "frames.npy")
    return folder


def spoil_json(path: Path, data: st.DataObject) -> bytes:
    """The file's JSON with a value in it exchanged, dropped, or put under another key."""
    text = path.read_text(encoding="utf-8")
    document = json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)
    root: Any = {"": document}
    place = root
    key: Any = ""
    while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
        place = place[key]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
    if data.draw(st.booleans()):
        place[key] = data.draw(values)
    elif isinstance(place, dict) and key:
        place[data.draw(st.text(max_size=8))] = place.pop(key)
    return json.dumps(root[""]).encode("utf-8", "replace")


def spoil_bytes(path: Path, data: st.DataObject) -> bytes:
    """The file cut, with bytes exchanged, or with bytes put in."""
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    until = data.draw(st.sampled_from([at, at + 1, len(content)]))
    return content[:at] + data.draw(st.binary(max_size=8)) + content[until:]


def anything(path: Path, data: st.DataObject) -> bytes:
    """Bytes, or JSON of anything."""
    text = st.one_of(values.map(json.dumps), st.text()).map(lambda t: t.encode("utf-8", "replace"))
    return data.draw(st.binary(max_size=64) | text)


def history(path: Path) -> None:
    other = History(path.parent)
    other.resume(6, "")
    other.append({"step": 7})
    assert all(json.loads(line)["step"] for line in path.read_text().splitlines())


def told(path: Path) -> None:
    """An attempt or report, which tells its damage by itself."""
    folder = path.parent if path.name == "state.json" else path.parent.parent
    parts: list[Any] = [last_report(folder), *attempts(folder)]
    for part in parts:
        assert str(part) is not None
        assert not isinstance(part, LastReport) or part.place
        assert isinstance(part, LastReport) or part.seconds >= 0


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """What a reader has against a file, nothing where it gives a value."""
    try:
        read(path)
    except BenchError as error:
        return str(error)
    return ""


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "suite": ("tiny.yaml", read_document),
    "plan": ("tiny.yaml", plan),
    "record": ("runs/*/convlstm/*/record.json", lambda path: read_record(path.parent)),
    "finished": ("runs/*/convlstm/*/record.json", lambda path: read_finished(path.parent)),
    "scores": ("runs/*/convlstm/*/scores/*.json", read_summary),
    "attempt": ("runs/*/convlstm/*/attempts/001.json", told),
    "state": ("runs/*/convlstm/*/state.json", told),
    "history": ("runs/*/convlstm/*/history.jsonl", history),
    "submission": ("slurm/*/submission.json", lambda path: submissions(path.parents[2])),
    "npy": ("frames.npy", lambda path: read_array(str(path))),
    "npz": ("frames.npz", lambda path: read_array(str(path))),
    "tar.gz": ("a.tar.gz", lambda path: extract(path, "frames.npy", path.with_name("out.npy"))),
    "zip": ("a.zip", lambda path: extract(path, "frames.npy", path.with_name("out.npy"))),
}
JSON = ("record", "finished", "scores", "attempt", "state", "history", "submission")
CASES = [
    *itertools.product(READERS, (anything, spoil_bytes)),
    *itertools.product(JSON, (spoil_json,)),
]


@pytest.mark.parametrize(
    ("reader", "spoil"), CASES, ids=[f"{name}-{spoil.__name__}" for name, spoil in CASES]
)
def test_a_spoilt_file_is_a_value_or_one_sentence_that_names_it(
    reader: str, spoil: Callable[[Path, st.DataObject], bytes], results: Path
) -> None:
    pattern, read = READERS[reader]
    (path,) = results.glob(pattern)
    whole = path.read_bytes()

    @bounded
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path.write_bytes(whole)
        path.write_bytes(spoil(path, data))
        sentence = refusal(read, path)
        assert not sentence or path.name in sentence or "out.npy" in sentence
        assert len(sentence.splitlines()) <= 1 or reader == "plan"

    try:
        check()
    finally:
        path.write_bytes(whole)
