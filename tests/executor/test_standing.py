"""Where a run is, told from its files and a queue."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchbench.executor import squeue
from benchbench.executor.squeue import Queued
from benchbench.executor.standing import tail
from benchbench.executor.state import LastReport
from benchbench.executor.submission import Submission, newest_submissions
from benchbench.executor.work import work
from benchbench.run.attempt import CANCELLED, FOLDER, STALE_SECONDS
from benchbench.run.process import identity
from benchbench.training import events as run_events
from benchbench.training.events import Note, Training

from .cases import TRAIN, Case


def test_nothing_there_is_to_run(case: Case) -> None:
    assert case.line == "to run: "


def test_a_record_is_done(case: Case) -> None:
    work(case.job, device="cpu", watch=lambda _: None, stop=lambda: True)
    assert case.line == "stopped: step 1/6"
    work(case.job, device="cpu", watch=lambda _: None, stop=lambda: False)
    assert case.line == "done: 2 attempts"


@pytest.mark.parametrize("reason", ["Priority", "Resources"])
def test_a_queued_run_waits(case: Case, reason: str) -> None:
    case.submitted("PENDING", reason)
    assert case.line == f"waiting: job 7_3, {reason}"


def test_a_started_job_without_an_attempt_is_starting(case: Case) -> None:
    case.submitted("RUNNING")
    assert case.line == "starting: job 7_3"


@pytest.mark.parametrize("slurm", [True, False])
def test_a_live_attempt_is_running(case: Case, slurm: bool) -> None:
    if slurm:
        case.submitted("RUNNING")
    case.attempt(alive=True, slurm=slurm)
    case.event(TRAIN)
    assert case.line == f"running: step 40/100, loss 0.25, on {identity()['host']}"


def test_a_job_that_left_the_queue_is_not_running_whatever_its_files_say(case: Case) -> None:
    case.submitted(None)
    case.attempt(alive=True)
    case.event(TRAIN)
    assert case.line == "failed: killed at step 40/100"


def test_without_a_scheduler_the_files_are_believed(case: Case) -> None:
    case.submitted(None)
    case.queue = None
    assert case.line == "waiting: job 7_3, and no scheduler to ask here"
    case.attempt(alive=True)
    case.event(TRAIN)
    assert case.line.startswith("running: step 40/100")


@pytest.mark.parametrize("ended", [True, False])
def test_a_preempted_run_is_requeued(case: Case, ended: bool) -> None:
    case.submitted("PENDING", "BeginTime")
    case.event(TRAIN)
    if ended:
        case.attempt(alive=False, ended=time.time(), outcome="interrupted")
        case.event(TRAIN, Note("interrupted", "stopped at step 40 of 100"))
    else:
        case.attempt(alive=False)
    assert case.line == "requeued: goes on from step 40/100, job 7_3, BeginTime"


def test_a_checkpointed_process_that_waits_for_its_end_is_requeued(case: Case) -> None:
    case.submitted("COMPLETING")
    case.attempt(alive=False, ended=time.time(), outcome="interrupted")
    case.event(TRAIN)
    assert case.line == "requeued: step 40/100"


def test_a_failure_is_told_with_its_words_and_log(case: Case) -> None:
    case.submitted(None)
    case.attempt(alive=False, ended=time.time(), outcome="failed", message="no memory")
    case.event(TRAIN, Note("failed", "no memory"))
    case.job.log.write_text("one\ntwo\nthree\n")
    assert case.line == "failed: no memory"
    assert case.standing.last_lines(2) == ["two", "three"]


def test_the_limit_of_timeouts_is_a_failure_though_the_attempt_was_interrupted(case: Case) -> None:
    case.submitted(None)
    case.attempt(alive=False, ended=time.time(), outcome="interrupted")
    case.event(Note("failed", "out of time"))
    assert case.line == "failed: out of time"


@pytest.mark.parametrize("outcome", ["failed", "interrupted"])
def test_a_job_that_is_only_cleared_up_behind_is_over(case: Case, outcome: str) -> None:
    case.submitted("COMPLETING")
    case.attempt(alive=False, ended=time.time(), outcome=outcome, message="no memory")
    if outcome == "interrupted":
        (case.job.folder / CANCELLED).touch()
    assert case.standing.state == ("failed" if outcome == "failed" else "cancelled")


def test_a_retried_failure_waits(case: Case) -> None:
    case.attempt(alive=False, slurm=False, ago=300, ended=time.time() - 200, outcome="failed")
    case.event(Note("failed", "no memory"))
    case.submitted("PENDING", "Priority")
    assert case.line == "waiting: job 7_3, Priority"


def test_a_job_that_ended_before_it_began_failed(case: Case) -> None:
    case.submitted(None)
    logs = case.job.store.root / "slurm" / "bench-x-1"
    (logs / "7_3_0_log.err").write_text("no such module\n")
    assert case.line == "failed: its job ended before the run began"
    assert case.standing.last_lines(3) == ["no such module"]


def test_an_old_submission_does_not_speak_for_a_later_attempt(case: Case) -> None:
    case.submitted(None, ago=1000)
    case.attempt(alive=False, slurm=False, ended=time.time(), outcome="interrupted")
    case.event(TRAIN)
    assert case.line == "stopped: step 40/100"


def test_the_accounts_tell_why_a_job_died(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.submitted(None)
    case.attempt(alive=False)
    monkeypatch.setattr(squeue, "endings", lambda jobs: {jobs[0]: "OUT_OF_MEMORY"})
    assert case.line == "failed: killed at its start (OUT_OF_MEMORY)"


def test_a_cancelled_run_is_cancelled(case: Case) -> None:
    case.submitted(None)
    (case.job.folder / CANCELLED).touch()
    assert case.line == "cancelled: "


def test_a_run_of_another_machine_lives_as_long_as_its_claim_is_fresh(case: Case) -> None:
    case.attempt(alive=True, slurm=False)
    path = case.job.folder / FOLDER / "001.json"
    path.write_text(path.read_text().replace(identity()["host"], "elsewhere"))
    case.event(TRAIN)
    assert case.line.startswith("running")
    old = time.time() - STALE_SECONDS - 5
    os.utime(path, (old, old))
    assert case.line == "failed: killed at step 40/100"


def test_the_time_left_comes_from_the_pace() -> None:
    event = Training(40, 100, loss=0.25, seconds_a_step=2.0)
    report = LastReport(event, event, "n1", time.time())
    assert str(report) == "step 40/100, loss 0.25, 2m left, on n1"
    assert str(replace(report, updated=time.time() - 1200)).endswith("no news for 20m, on n1")
    testing = replace(report, event=run_events.Testing(3, 9))
    assert (str(testing), testing.place) == ("testing 3/9, on n1", "step 40/100")
    assert str(LastReport()) == "starting"


def test_the_newest_submission_counts_unless_an_older_one_is_still_queued(tmp_path: Path) -> None:
    for submitted, job in ((1.0, "1"), (2.0, "2")):
        Submission(f"bench-{job}", ("k",), "", submitted, job).write(tmp_path)
    assert newest_submissions(tmp_path, {})["k"].job == "2"
    queue = {"1": Queued("1", "PENDING", "bench-1", "None")}
    assert newest_submissions(tmp_path, queue)["k"].job == "1"


def test_the_end_of_a_log_is_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10**6 + b"\na\nb\nc\xff\n")
    assert list(tail(path, 2)) == ["b", "c\N{REPLACEMENT CHARACTER}"]
    assert list(tail(path, 0)) == []
