"""What every executor does around a run: its log, its state file, its failure as an outcome."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.atomic import write_text
from benchbench.errors import BenchError
from benchbench.executor import Event, Outcome
from benchbench.plan import Planned
from benchbench.record import Store

if TYPE_CHECKING:
    import torch

    from benchbench.run import Settings

log = logging.getLogger("benchbench")

STATE_SECONDS = 2.0
"""Least time between two writings of `state.json` within a phase."""


def work(
    planned: Planned,
    store: Store,
    settings: Settings,
    *,
    device: torch.device,
    watch: Callable[[Event], None],
    stop: Callable[[], bool],
) -> Outcome:
    """Executes one run in this process; whatever it raises becomes an outcome and a log entry."""
    from benchbench.run import Run
    from benchbench.train import Interrupted

    folder = store.folder(planned.spec)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "log.txt"
    state = _StateFile(folder / "state.json")

    def report(event: Event) -> None:
        state(event)
        watch(event)

    with _logging_to(path):
        log.info("run %s on %s, process %d", planned.spec.name, device, os.getpid())
        try:
            report({"phase": "start"})
            Run(planned, store, settings, device, report, stop).execute()
        except Interrupted as error:
            log.info("%s", error)
            report({"phase": "interrupted", "message": str(error)})
            return Outcome(planned, "interrupted", str(error), path)
        except Exception as error:
            log.exception("the run failed")
            message = str(error) if isinstance(error, BenchError) else repr(error)
            report({"phase": "failed", "message": message})
            return Outcome(planned, "failed", message, path)
        log.info("done")
        report({"phase": "done"})
        return Outcome(planned, "done", "", path)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()


class _StateFile:
    """Keeps `state.json` at the run's last event, written seldom within a phase."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.phase = ""
        self.written = 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if event["phase"] == self.phase and now - self.written < STATE_SECONDS:
            return
        self.phase, self.written = event["phase"], now
        state: dict[str, Any] = {
            **event,
            "updated": time.time(),
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        write_text(self.path, json.dumps(state))
