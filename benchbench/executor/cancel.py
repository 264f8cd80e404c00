"""Taking runs back: from a cluster's queue, or from a process of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from benchbench.executor import squeue
from benchbench.executor.job import CANCELLED
from benchbench.executor.standing import Standing
from benchbench.run.attempt import file_clock, latest
from benchbench.run.record import Store

LIVE = ("running", "starting", "waiting", "requeued")


def cancel(standings: Sequence[Standing], store: Store) -> list[Standing]:
    """Cancels those that run or wait; gives them. Their checkpoints are kept.

    Raises:
        Unreachable: the scheduler does not answer.
    """
    live = [each for each in standings if each.state in LIVE]
    queue = squeue.queue() if any(each.job for each in live) else {}
    squeue.cancel([each.job for each in live if each.job in queue])
    gone = []
    for each in live:
        folder = store.folder(each.run.spec)
        newest = latest(folder)
        if each.job not in queue:
            if newest is None or not newest.alive(file_clock(folder)) or not newest.local:
                continue
            os.kill(int(newest.facts["process"]), signal.SIGTERM)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CANCELLED).touch()
        gone.append(each)
    return gone
