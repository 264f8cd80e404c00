"""What every executor does around a run: its claim, its log, and words for its failure."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Literal

from benchbench.errors import REFUSALS, BenchError, Refusal, RunFailed, located
from benchbench.executor import Outcome
from benchbench.executor.state import StateFile
from benchbench.registry import DATASETS, MODELS
from benchbench.run.attempt import CANCELLED, attempts
from benchbench.run.claim import Claim, Held
from benchbench.run.job import Job
from benchbench.run.provenance import about
from benchbench.suite.code import Code, code_of
from benchbench.suite.resources import Shares
from benchbench.training.events import Event, Interrupted, Note, Watch

log = logging.getLogger("benchbench")

GPU = re.compile(r"[0-9]+|(GPU|MIG)-.+")
"""A GPU by its number, or by its name for itself."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def work(
    job: Job, *, device: str, gpus: int = 0, watch: Watch, stop: Callable[[], bool]
) -> Outcome:
    """Does a run in this process unless another holds it; whatever it raises becomes an outcome.

    Args:
        device: `cpu` or `cuda`.
        gpus: how many were asked for; with fewer the run fails, and never goes on without.
        watch: told what the run reports.
        stop: asked between training iterations; True makes a checkpoint and ends the attempt.
    """
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        if job.done:
            return Outcome(job, "done")
        job.set_aside()
        now = code_of(job.run.spec)
        claim = Claim(job.folder, about(device, now))
    except Held as error:
        return Outcome(job, "held", str(error))
    except (OSError, BenchError) as error:
        return Outcome(job, "failed", explain(error))
    outcome = Outcome(job, "killed")
    try:
        (job.folder / CANCELLED).unlink(missing_ok=True)
        outcome = _attempt(job, now, claim, device, gpus, watch, stop)
    except OSError as error:  # no room for as much as a log, or something is in its place
        outcome = Outcome(job, "failed", explain(error))
    finally:
        claim.release(outcome.status, outcome.message)
    return outcome


def _attempt(
    job: Job,
    now: Code,
    claim: Claim,
    device: str,
    gpus: int,
    watch: Watch,
    stop: Callable[[], bool],
) -> Outcome:
    """The run itself, once the folder is ours."""
    import torch

    from benchbench.run.execute import execute

    tell = _telling(StateFile(job.folder), watch)

    def stopped() -> bool:
        return claim.lost.is_set() or stop()

    status: Literal["done", "interrupted", "failed"] = "done"
    message = ""
    with _logging_to(job.log):
        name, number = job.run.spec.name, claim.number
        log.info("run %s on %s, attempt %d, process %d", name, device, number, os.getpid())
        _warn_of_damage(job)
        try:
            tell(Note("start"))
            _check_code(job, now)
            check_gpus(gpus or int(device == "cuda"))
            execute(replace(job, code=now), torch.device(device), tell, stopped)
            log.info("done")
        except Interrupted as error:
            status, message = "interrupted", str(error)
            if claim.lost.is_set():
                message = "another machine took over"
            log.info("interrupted: %s", message)
        except Exception as error:
            status, message = "failed", explain(error, *_sources(job))
            _log_failure(error, message)
        tell(Note(status, message))
    return Outcome(job, status, message)


def _telling(file: StateFile, watch: Watch) -> Watch:
    """Lets both the run's file and a watcher know of each event."""

    def tell(event: Event) -> None:
        file.write(event)
        watch(event)

    return tell


def _warn_of_damage(job: Job) -> None:
    for attempt in attempts(job.folder):
        if attempt.damage:
            log.warning("%s", attempt.damage)


def is_cancelled(job: Job) -> bool:
    """Whether a person took a run from the queue since its last attempt."""
    return (job.folder / CANCELLED).exists()


def _check_code(job: Job, now: Code) -> None:
    """Raises RunFailed where the code is not what it was when the run was submitted."""
    if job.code not in (None, now) and not job.any_code:
        parts = ", ".join(job.code.differences(now))
        raise RunFailed(
            f"the code has changed since the run was submitted ({parts}); "
            "submit it again, or with --allow-code-change if the change cannot matter"
        )


def named_gpus(shares: Shares, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that the suite asks for by number, or else the environment, on this machine."""
    if shares.gpus is not None:
        return [str(index) for index in shares.gpus]
    names = (name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(","))
    # as CUDA reads it: up to the first that is none, as `-1`, or `NoDevFiles` of a cluster
    return list(itertools.takewhile(GPU.fullmatch, names))


def check_gpus(count: int) -> None:
    """Looks whether torch sees as many GPUs as were asked for.

    Raises:
        RunFailed: it sees fewer.
    """
    if not count:
        return
    import torch

    if (seen := torch.cuda.device_count() if torch.cuda.is_available() else 0) < count:
        raise RunFailed(
            f"{count} GPU{'s' if count > 1 else ''} asked for, and torch sees {seen or 'none'} on "
            f"{socket.gethostname()}; see nvidia-smi, CUDA_VISIBLE_DEVICES and whether torch was "
            "built for CUDA, or ask for fewer"
        )


def say_cpu(jobs: Sequence[Job], say: Callable[[str], None]) -> None:
    """Says so where runs that ask a cluster for GPUs are done on this machine's CPU."""
    count = sum(job.run.slurm.gpus > 0 for job in jobs)
    if count:
        runs = f"{count} run{'s' if count > 1 else ''} that would have one on a cluster"
        say(f"no GPU here: {runs}, done on the CPU")


def _sources(job: Job) -> list[str]:
    """The files of a run's model and dataset."""
    spec = job.run.spec
    paths = []
    for registry, name in ((MODELS, spec.model), (DATASETS, spec.dataset)):
        with contextlib.suppress(BenchError):  # it is gone since the run was planned
            paths.append(registry.path(name))
    return [str(path) for path in paths if path]


def explain(error: Exception, *files: str) -> str:
    """A failure in words a person can act on; the place is in one of the files or beside it."""
    import torch

    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return f"out of GPU memory; lower train.batch or the model's size ({error})"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return f"out of memory; lower train.batch or ask for more ({error})"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{Refusal.of(error)}: it goes on from its checkpoint"
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return str(Refusal.of(error))
    if isinstance(error, OSError) and (place := error.filename2 or error.filename) is not None:
        return f"{place}: {error.strerror}; put that right, then run again"
    return located(error, *files)


def _log_failure(error: Exception, message: str) -> None:
    explained = isinstance(error, BenchError)
    explained |= isinstance(error, OSError) and error.errno in FULL
    log.error("failed: %s", message, exc_info=None if explained else error)


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into a flag; a second Ctrl-C interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def handle(number: int, _: FrameType | None) -> None:
        if flag.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        flag.set()

    with handling((signal.SIGINT, signal.SIGTERM), handle):
        yield flag.is_set


@contextlib.contextmanager
def handling(
    numbers: Sequence[int], handle: Callable[[int, FrameType | None], None]
) -> Iterator[dict[int, Any]]:
    """Lets a function handle signals for a while; gives the handlers in whose place it stands."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def log_file(path: Path) -> BinaryIO:
    """A run's log to be added to; the void where it cannot be, which `work` tells as a failure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "ab", opener=_no_other)
    except OSError:
        return Path(os.devnull).open("ab")


def _no_other(path: str, flags: int) -> int:
    """Opens a file, and neither what a link is to nor a pipe that nobody reads."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    file = open(path, "a", encoding="utf-8", opener=_no_other)  # noqa: SIM115 (closed below)
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False  # the outcome tells the person at the terminal
    log.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
        with contextlib.suppress(OSError):
            file.close()
