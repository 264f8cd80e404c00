"""What every command says where the file system says no; permissions bind, even for root."""

from __future__ import annotations

import contextlib
import ctypes
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchbench.errors import BenchError, Refusal
from benchbench.executor import Terms
from benchbench.executor.local import local
from benchbench.run.job import jobs
from benchbench.run.record import Store
from benchbench.suite.plan import plan

from ..stand_ins import bench, tiny

Write = Callable[..., Path]
PERSISTENCE = tiny(models=["persistence"])
READING = ("plan", "table", "status")
ALL = (*READING, "run", "retry", "cancel")


class _Caps(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextlib.contextmanager
def bound() -> Iterator[None]:
    """Lets permissions bind this thread, though it may be root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (_Caps * 2)()
    assert libc.capget(head, sets) == 0
    before = sets[0].effective
    sets[0].effective &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(head, sets) == 0
    try:
        yield
    finally:
        sets[0].effective = before
        assert libc.capset(head, sets) == 0


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A colleague's folder: everything can be read and nothing written."""
    paths = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555)
    with bound():
        yield
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode)


@contextlib.contextmanager
def full() -> Iterator[None]:
    """A disk that takes no byte more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def done(write_suite: Write, tmp_path: Path) -> Callable[..., str]:
    """`bench` on a suite whose only run is done; the suite and the results stand in every line."""
    suite, results = write_suite(PERSISTENCE), tmp_path / "results"
    bench("run", suite, "--results", results)

    def type_in(command: str, *words: str, status: int = 0) -> str:
        return bench(command, suite, *words, "--results", results, status=status)

    return type_in


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize(
    ("place", "reason"), [("file", "is a file"), ("link", "a link to nothing"), ("file/r", "file")]
)
def test_something_else_in_place_of_the_results_is_one_sentence(
    write_suite: Write, tmp_path: Path, command: str, place: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(BenchError, match=reason) as error:
        bench(command, write_suite(PERSISTENCE), "--results", tmp_path / place)
    assert "\n" not in str(error.value)


def test_rescore_and_logs_say_so_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("rescore", "abc", "-p", "mim"), ("logs", "abc")):
        with pytest.raises(BenchError, match="is a file; name a folder"):
            bench(*words, "--results", tmp_path / "file")


@pytest.mark.parametrize("command", READING)
def test_a_colleagues_folder_can_be_read(
    done: Callable[..., str], tmp_path: Path, command: str
) -> None:
    told = done(command)
    with read_only(tmp_path / "results"):
        assert done(command) == told
        assert "persistence" in done(command, "seeds=[0, 1]", "models=[persistence, convlstm]")


@pytest.mark.parametrize("place", ["record.json", "scores", "", "../../.."])
@pytest.mark.parametrize("command", READING)
def test_a_run_that_may_not_be_read_is_told_and_never_to_be_deleted(
    done: Callable[..., str], tmp_path: Path, command: str, place: str
) -> None:
    (folder,) = (tmp_path / "results" / "runs").glob("*/*/*")
    path = folder / place
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with bound():
            told = done(command).replace("\n", "")
    finally:
        path.chmod(mode)
    assert ": cannot be read (Permission denied); get the right to it" in told
    assert "delete" not in told
    assert "score it again" not in told


def test_attempts_that_may_not_be_read_end_no_command(
    done: Callable[..., str], tmp_path: Path
) -> None:
    (folder,) = (tmp_path / "results" / "runs").glob("*/*/*")
    (folder / "attempts").chmod(0)
    with bound():
        assert "1 done" in done("status")
        assert "0 to retry" in done("retry")
        assert "0 cancelled" in done("cancel")
    (folder / "record.json").unlink()
    with bound():
        told = done("status").replace("\n", "")
    (folder / "attempts").chmod(0o755)
    assert f"{folder / 'attempts'}: cannot be read (Permission denied)" in told


def test_a_running_run_of_a_colleague_is_seen(
    done: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = (tmp_path / "results" / "runs").glob("*/*/*")
    attempt = json.loads((folder / "attempts" / "001.json").read_text())
    (folder / "record.json").unlink()
    (folder / "attempts" / "001.json").write_text(
        json.dumps(
            {"host": "elsewhere"}
            | {
                key: value
                for key, value in attempt.items()
                if key not in ("ended", "outcome", "host")
            }
        )
    )
    with read_only(tmp_path / "results"):
        assert "running" in done("status")


def test_a_colleagues_scores_are_read_and_none_is_added(
    done: Callable[..., str], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    (folder,) = (results / "runs").glob("*/*/*")
    before = contents(results)
    with read_only(results):
        assert "PSNR" in bench("rescore", folder, "-p", "benchbench", "--results", results).upper()
        with pytest.raises(Refusal, match="Permission denied; get the right to it, or name"):
            bench("rescore", folder, "-p", "mim", "--results", results)
    assert contents(results) == before


@pytest.mark.parametrize("refuse", [read_only, lambda _: full()], ids=["read_only", "full"])
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_folder_that_takes_nothing_is_told_before_a_run_begins(
    done: Callable[..., str], tmp_path: Path, refuse: Callable[..., object], executor: str
) -> None:
    results = tmp_path / "results"
    before = contents(results)
    with (
        refuse(results),  # type: ignore[attr-defined]
        pytest.raises(Refusal, match=f"^{results}: ") as error,
    ):
        done("run", "models=[convlstm]", "--executor", executor)
    assert "\n" not in str(error.value)
    assert contents(results) == before


@pytest.mark.parametrize("refuse", [read_only, lambda _: full()], ids=["read_only", "full"])
def test_a_front_end_that_cannot_write_its_leaderboard_prints_it_and_says_so(
    done: Callable[..., str], tmp_path: Path, refuse: Callable[..., object]
) -> None:
    results = tmp_path / "results"
    (results / "tiny" / "leaderboard.csv").write_text("damaged")
    with refuse(results):  # type: ignore[attr-defined]
        told = done("run", status=1)
    assert "persistence" in told
    assert f"printed only: {results / 'tiny' / 'leaderboard.csv'}: " in told.replace("\n", "")
    assert "also in" not in told
    assert "also in" in done("run")
    with refuse(results):  # type: ignore[attr-defined]
        assert "printed only" not in done("run")  # nothing is to be written


def test_one_file_that_cannot_be_written_keeps_no_other_from_it(
    done: Callable[..., str], tmp_path: Path
) -> None:
    folder = tmp_path / "results" / "tiny"
    before = contents(folder)
    for name in ("csv", "md", "html"):
        (folder / f"leaderboard.{name}").unlink()
    (folder / "leaderboard.csv").mkdir()
    assert "leaderboard.csv: Is a directory; move what is there away" in done("run", status=1)
    (folder / "leaderboard.csv").rmdir()
    before.pop(folder / "leaderboard.csv")
    assert contents(folder) == before


def test_a_run_in_place_of_whose_folder_a_file_lies_fails_and_the_others_go_on(
    write_suite: Write, tmp_path: Path
) -> None:
    made = plan(write_suite(tiny(local={"slots": 1, "threads": 1})))
    todo = jobs(made, Store(tmp_path / "results"))
    todo[1].folder.parent.parent.mkdir(parents=True)
    todo[1].folder.parent.touch()
    outcomes = list(local(made, Terms()).run(todo[::-1], lambda *_: None))
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "Not a directory; move what is there away, or name another" in outcomes[0].message


def test_a_data_folder_that_takes_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").touch()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(BenchError, match="none can be stored"):
        bench("prepare", "moving_mnist")
