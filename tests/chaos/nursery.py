"""Nursery: a process that has torch warm and forks a short life for each task.

A life costs 20 ms, not the 3 s of a new Python. It may be killed at one of its file operations, or
at a moment of its time, and may not have more memory or time than it is allowed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

OPERATIONS = (
    *("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"),
    *("os.utime", "os.truncate", "os.chmod", "shutil.rmtree", "tempfile.mkstemp"),
)
"""Audit events of operations on files; each is told before it happens."""

Task = Callable[[], None]


@dataclass(frozen=True)
class Doom:
    """What a life is not to outlast."""

    folder: str = ""
    """Operations on files below this folder are counted."""
    operation: int | None = None
    """SIGKILL comes before the operation of this number, from 1."""
    seconds: float | None = None
    """SIGKILL comes after this time."""
    memory: int | None = None
    """Most bytes that it may add to its address space."""


@dataclass(frozen=True)
class Ending:
    """How a life ended."""

    status: int
    """Exit status, or minus the signal that killed it."""
    operations: int
    """File operations counted, where it ended by itself."""
    printed: str
    """Both of its streams."""

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status == -signal.SIGKILL


class Nursery:
    """Lives are lived one at a time; tasks are pickled, and print into their ending."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._channel, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def warm(self, task: Task) -> None:
        """Does a task in the nursery itself, so that every later life has what it has loaded."""
        assert self._ask(task, None) is None

    def live(self, task: Task, doom: Doom = Doom()) -> Ending:
        """A life with one task."""
        ending: Ending = self._ask(task, doom)
        return ending

    def _ask(self, task: Task, doom: Doom | None) -> Any:
        self._channel.send((task, doom))
        return self._channel.recv()

    def close(self) -> None:
        """Ends the nursery."""
        self._channel.close()
        self._process.join(30)


@contextlib.contextmanager
def opened() -> Iterator[Nursery]:
    """A nursery for a while."""
    nursery = Nursery()
    try:
        yield nursery
    finally:
        nursery.close()


def _serve(channel: Connection[Any, Any]) -> None:
    """Warms and forks as it is told, until nobody tells it any more."""
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError):
        while True:
            task, doom = channel.recv()
            channel.send(task() if doom is None else _live(task, doom))


def _live(task: Task, doom: Doom) -> Ending:
    """Forks a life and sees it to its end."""
    reading, writing = os.pipe()
    printed = os.memfd_create("printed")
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live_it(task, doom, writing, printed)
    os.close(writing)
    if not _ends(child, doom.seconds):
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(reading, "rb") as pipe, open(printed, "rb") as streams:  # noqa: PTH123
        streams.seek(0)
        text = streams.read().decode(errors="backslashreplace")
        return Ending(status, int(pipe.read() or 0), text)


def _ends(child: int, seconds: float | None) -> bool:
    """Waits until a process is over, or its time is."""
    handle = os.pidfd_open(child)
    try:
        return bool(multiprocessing.connection.wait([handle], seconds))
    finally:
        os.close(handle)


def _live_it(task: Task, doom: Doom, writing: int, printed: int) -> None:
    """All that the child does; does not return."""
    for stream in (1, 2):
        os.dup2(printed, stream)
    count = 0

    def strike(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in OPERATIONS and doom.folder in str(arguments[0]):
            count += 1
            if count == doom.operation:
                os.kill(os.getpid(), signal.SIGKILL)

    if doom.folder:
        sys.addaudithook(strike)
    if doom.memory is not None:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        limit = pages * resource.getpagesize() + doom.memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    status = 0
    try:
        task()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 70
    for stream_file in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream_file.flush()
    os.write(writing, str(count).encode())
    os._exit(status)
