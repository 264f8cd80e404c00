"""Runs one after the other in this process: for debugging, and for machines with one device."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from benchbench.executor import Outcome, Watch
from benchbench.executor.job import work
from benchbench.plan import Planned
from benchbench.record import Store

if TYPE_CHECKING:
    from benchbench.run import Settings


class Inline:
    """Executes runs here, on the first GPU or else the CPU."""

    def run(
        self, todo: Sequence[Planned], store: Store, settings: Settings, watch: Watch
    ) -> Iterator[Outcome]:
        """Outcomes in order; after an interruption the remaining runs are left for next time."""
        import torch

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with stopping() as stop:
            for planned in todo:
                if stop():
                    return
                yield work(
                    planned,
                    store,
                    settings,
                    device=device,
                    watch=lambda event, planned=planned: watch(planned, event),  # type: ignore[misc]
                    stop=stop,
                )


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

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
