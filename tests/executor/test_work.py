"""What surrounds a run: claim, log, state, and words for every way to fail."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchbench.executor.work import work
from benchbench.run import claim, execute, record
from benchbench.run.attempt import CANCELLED, attempt_file, attempts
from benchbench.run.claim import Claim
from benchbench.run.job import Job, Settings
from benchbench.run.provenance import TRAIL
from benchbench.run.record import Store, read_record
from benchbench.suite.code import code_of
from benchbench.suite.plan import Plan
from benchbench.training.events import Event, Training

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_job(make_plan: MakePlan, tmp_path: Path) -> Callable[..., Job]:
    """Gives the tiny suite's run, in a results folder of a name."""

    def make(results: str = "results", **changes: Any) -> Job:
        plan = make_plan(**changes)
        return Job(plan.runs[0], Store(tmp_path / results), Settings.of(plan.suite))

    return make


def do(job: Job, stop: Callable[[], bool] = lambda: False) -> tuple[str, str]:
    outcome = work(job, device="cpu", watch=lambda _: None, stop=stop)
    return outcome.status, outcome.message


def weights(job: Job) -> dict[str, torch.Tensor]:
    return load_file(job.folder / "weights.safetensors")


def scores(job: Job) -> list[bytes]:
    return [path.read_bytes() for path in sorted(job.folder.glob("scores/*"))]


def assert_same(one: Job, other: Job) -> None:
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())
    assert scores(one) == scores(other)
    assert len(scores(one)) == 2


def test_a_run_is_done_once(make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    assert do(make_job()) == ("done", "")
    monkeypatch.setattr(execute, "execute", lambda *_: pytest.fail("a second time"))
    assert do(make_job()) == ("done", "")
    assert [attempt.outcome for attempt in attempts(make_job().folder)] == ["done"]


def test_a_run_that_is_held_is_left_alone(make_job: Callable[..., Job]) -> None:
    job = make_job()
    held = Claim(job.folder)
    status, message = do(job)
    assert status == "held"
    assert "process" in message
    held.release("interrupted")
    assert do(job)[0] == "done"


def test_stopped_at_every_step_it_ends_with_the_same_bits(make_job: Callable[..., Job]) -> None:
    plain, broken = make_job("plain"), make_job("broken")
    assert do(plain)[0] == "done"
    statuses = []
    while "done" not in statuses:
        statuses.append(do(broken, stop=lambda: True)[0])
    assert statuses == ["interrupted"] * 5 + ["done"]
    assert_same(plain, broken)


def test_the_record_tells_of_every_attempt(make_job: Callable[..., Job]) -> None:
    job = make_job()
    do(job, stop=lambda: True)
    answers = iter([False, True])
    do(job, stop=lambda: next(answers))
    do(job)
    finished = read_record(job.folder)
    assert finished is not None
    rows = finished.provenance["attempts"]
    assert [attempt["outcome"] for attempt in rows] == ["interrupted", "interrupted", None]
    assert [attempt["number"] for attempt in rows] == [1, 2, 3]
    assert rows[0]["message"] == "stopped at step 1 of 6"
    assert finished.provenance["wall_seconds"] == pytest.approx(sum(a["seconds"] for a in rows))
    assert finished.provenance["codes"] == [code_of(job.run.spec).to_dict()]


def test_a_loss_that_is_not_a_number_ends_the_run_in_words(make_job: Callable[..., Job]) -> None:
    job = make_job(train={"steps": 6, "batch": 2, "lr": 1e30})
    status, message = do(job)
    assert status == "failed"
    assert "the loss is nan at step 2 of 6" in message
    assert "lower train.lr" in job.log.read_text()
    assert json.loads((job.folder / "state.json").read_text())["phase"] == "failed"


FAILURES = {
    "out of GPU memory; lower train.batch": torch.cuda.OutOfMemoryError("tried to allocate"),
    "out of memory; lower train.batch": MemoryError(),
    "ValueError: strange": ValueError("strange"),
    "/x: No space left on device; free some": OSError(
        errno.ENOSPC, "No space left on device", "/x"
    ),
}


@pytest.mark.parametrize("message", FAILURES)
def test_whatever_a_model_raises_becomes_an_outcome(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    job = make_job()

    def raises(*_: object) -> None:
        raise FAILURES[message]

    monkeypatch.setattr(execute, "execute", raises)
    status, told = do(job)
    assert status == "failed"
    assert told.startswith(message)
    known = isinstance(FAILURES[message], OSError)
    assert ("Traceback" in job.log.read_text() or "OutOfMemory" in job.log.read_text()) is not known
    (attempt,) = attempts(job.folder)
    assert (attempt.ended, attempt.outcome) == (True, "failed")


def test_a_full_disk_at_the_record_costs_nothing_but_the_test(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, job = make_job("plain"), make_job()
    do(plain)

    def full(path: Path, _: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(record, "write_text", full)
        status, message = do(job)
    assert status == "failed"
    assert "No space left on device; free some, then run again" in message
    assert read_record(job.folder) is None
    history = (job.folder / "history.jsonl").read_text()
    assert do(job)[0] == "done"
    assert (job.folder / "history.jsonl").read_text() == history
    assert_same(plain, job)


def test_a_full_disk_for_everything_is_an_outcome_too(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(claim, "create_text", full)
    assert do(make_job())[0] == "failed"


def test_other_code_than_that_of_the_submission_is_refused(make_job: Callable[..., Job]) -> None:
    job = make_job()
    now = code_of(job.run.spec)
    other = replace(job, code=replace(now, model="0123456789ab"))
    status, message = do(other)
    assert status == "failed"
    assert message.startswith("the code has changed since the run was submitted (model);")
    assert attempts(job.folder)[0].facts["code"] == now.to_dict()
    assert do(replace(other, any_code=True))[0] == "done"


def resume_under_other_code(job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A training that was stopped at step 1, as after an edit of its model."""
    assert do(job, stop=lambda: True)[0] == "interrupted"
    now = replace(code_of(job.run.spec), model="edited")
    monkeypatch.setattr("benchbench.executor.work.code_of", lambda _: now)
    return replace(job, code=now)


def test_a_training_does_not_go_on_under_other_code(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = resume_under_other_code(make_job(), monkeypatch)
    assert job.stale == ("model",)
    status, message = do(job)
    assert status == "failed"
    assert message.startswith("its training began under other code (model); bench retry --stale ")
    assert "\n" not in message
    monkeypatch.undo()
    assert do(make_job())[0] == "done"
    assert read_record(job.folder).provenance["codes"] == [  # type: ignore[union-attr]
        code_of(job.run.spec).to_dict()
    ]


def test_a_training_that_was_allowed_to_go_on_tells_both_codes(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = resume_under_other_code(make_job(), monkeypatch)
    assert do(replace(job, any_code=True), stop=lambda: True)[0] == "interrupted"
    assert do(job)[0] == "done"
    record = read_record(job.folder)
    assert record is not None
    assert [code["model"] == "edited" for code in record.provenance["codes"]] == [False, True]
    assert job.stale == ("model",)


@pytest.mark.parametrize("text", [None, "", "[]", "[1", '[{"model": 1}]', "{}"])
def test_a_training_whose_code_cannot_be_told_does_not_go_on_unasked(
    make_job: Callable[..., Job], text: str | None
) -> None:
    job = make_job()
    do(job, stop=lambda: True)
    (job.folder / TRAIL).unlink()
    if text is not None:
        (job.folder / TRAIL).write_text(text)
    assert f"under other code (unknown: {job.folder / TRAIL})" in do(job)[1]
    assert do(replace(job, any_code=True))[0] == "done"


def test_a_training_without_a_checkpoint_begins_under_any_code(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = resume_under_other_code(make_job(), monkeypatch)
    for path in job.folder.glob("checkpoint*.pt"):
        path.unlink()
    assert do(job)[0] == "done"
    assert job.stale == ()


def test_a_run_of_other_code_is_made_anew_and_its_old_result_set_aside(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    assert do(job)[0] == "done"
    old = {path.name: path.read_bytes() for path in job.folder.glob("*.*")}
    now = replace(code_of(job.run.spec), engine="edited")
    monkeypatch.setattr("benchbench.executor.work.code_of", lambda _: now)
    job = replace(job, code=now)
    assert (job.done, job.stale) == (True, ("engine",))
    anew = replace(job, anew=True)
    assert not anew.done
    assert do(anew, stop=lambda: True)[0] == "interrupted"
    aside = job.store.root / "superseded" / job.run.spec.name / "1"
    assert {path.name: path.read_bytes() for path in aside.glob("*.*")} == old
    assert do(anew)[0] == "done"
    assert (anew.done, anew.stale) == (True, ())
    assert do(anew) == ("done", "")
    assert len(list(aside.parent.iterdir())) == 1


def test_a_run_that_another_process_scores_is_not_set_aside(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    do(job)
    now = replace(code_of(job.run.spec), engine="edited")
    holder = Claim(job.folder)
    assert do(replace(job, code=now, anew=True))[0] == "held"
    holder.release("done")
    assert read_record(job.folder) is not None


def test_a_new_attempt_forgets_that_the_run_was_cancelled(make_job: Callable[..., Job]) -> None:
    job = make_job()
    job.folder.mkdir(parents=True)
    (job.folder / CANCELLED).touch()
    do(job, stop=lambda: True)
    assert not (job.folder / CANCELLED).exists()


def test_a_run_that_another_machine_took_over_stops(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.001)

    def watch(event: Event) -> None:
        if isinstance(event, Training) and event.step == 2:
            attempt_file(job.folder, 2).write_text('{"host": "elsewhere"}')
            assert taken.wait(10)

    taken = _lost_of(monkeypatch)
    outcome = work(job, device="cpu", watch=watch, stop=lambda: False)
    assert (outcome.status, outcome.message) == ("interrupted", "another machine took over")


def _lost_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flag of the next claim that is made."""
    import threading

    flag = threading.Event()
    real = Claim.__init__

    def init(self: Claim, *arguments: Any) -> None:
        real(self, *arguments)
        self.lost = flag

    monkeypatch.setattr(Claim, "__init__", init)
    return flag


def test_scores_that_were_added_under_other_code_are_told_in_the_record(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    do(job)
    first = code_of(job.run.spec)
    now = replace(first, engine="edited")
    with monkeypatch.context() as patch:
        patch.setattr("benchbench.executor.work.code_of", lambda _: now)
        settings = replace(job.settings, protocols=("benchbench", "mim"))
        assert do(replace(job, code=now, settings=settings))[0] == "done"
    finished = job.store.read(job.run.spec)
    assert finished is not None
    assert set(finished.scores) == {"benchbench", "mim"}
    assert finished.record.provenance["codes"] == [first.to_dict(), now.to_dict()]
    assert replace(job, code=first).stale == ("engine",)
