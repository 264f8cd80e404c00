"""A worker of the local queue: `python -m benchbench.executor.worker FD DEVICE`.

It takes jobs from the socket FD one after the other and reports on it. It lives in a session of
its own: Ctrl-C reaches it as a message of the front end. Where the front end dies, the socket ends,
and the worker stops at the next iteration with a checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchbench.executor import Outcome
from benchbench.executor.work import log_file, stopping, work
from benchbench.run.job import Job
from benchbench.training.events import Event

EVENT_SECONDS = 0.2
"""Least time between two events of one phase that are passed on."""


class Worker:
    """One process, one device, one run at a time."""

    def __init__(self, channel: Connection[Any, Any], device: str) -> None:
        self.channel = channel
        self.device = device
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.phase = ""
        self.sent = 0.0

    def listen(self) -> None:
        """Takes messages: a job to do, or None to stop; the end of the socket stops too."""
        try:
            while (message := self.channel.recv()) is not None:
                self.jobs.put(message)
        except (EOFError, OSError):
            pass
        self.stop.set()
        self.jobs.put(None)

    def run(self) -> None:
        """Works until told to stop."""
        threading.Thread(target=self.listen, daemon=True).start()
        with stopping() as signalled:
            while (job := self.jobs.get()) is not None:
                _write_to(job.log)
                outcome = work(
                    job,
                    device=self.device,
                    watch=self.watch,
                    stop=lambda: self.stop.is_set() or signalled(),
                )
                self.send(outcome)
                if signalled():
                    return

    def watch(self, event: Event) -> None:
        """Passes an event on, not too often."""
        now = time.monotonic()
        if event.phase != self.phase or now - self.sent >= EVENT_SECONDS:
            self.phase, self.sent = event.phase, now
            self.send(event)

    def send(self, message: Event | Outcome) -> None:
        """Tells the front end, if there still is one."""
        with contextlib.suppress(OSError):
            self.channel.send(message)


def _write_to(log: Path) -> None:
    """Lets all that this process prints, native code included, go to a run's log."""
    with log_file(log) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def main() -> None:
    """Serves the socket named on the command line."""
    logging.basicConfig(level=logging.ERROR)
    Worker(Connection(int(sys.argv[1])), sys.argv[2]).run()


if __name__ == "__main__":
    main()
