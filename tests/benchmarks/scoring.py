"""Scores 10,000 sequences x 10 frames of 64x64 under all protocols, LPIPS apart.

    python tests/benchmarks/scoring.py [--sequences 10000] [--workers 2]

Prints the wall-clock seconds and the peak memory of the process, and of one with a quarter of the
sequences, and fails where they exceed 60 s or 1 GiB, or where the peak grows with the sequences:
what is kept of sequences grows in each of three pairs of processes, the allocator's arenas, which
come and go by some 60 MiB, do not.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GIB = 1 << 30
SECONDS = 60
GROWTH = GIB // 20
"""Less than a frame of each sequence that the smaller process lacks."""
PAIRS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--child", action="store_true")
    given = parser.parse_args()
    if given.child:
        measure(given.sequences, given.workers)
        return
    growths: list[int] = []
    faults = []
    while not growths or (growths[-1] > GROWTH and len(growths) < PAIRS):
        seconds, processor, peak = in_child(given.sequences, given.workers)
        _, _, small = in_child(given.sequences // 4, given.workers)
        growths.append(peak - small)
        print(
            f"{given.sequences} sequences: {seconds:.1f} s ({processor:.1f} s of processor time, "
            f"of {given.workers} workers), peak {peak / GIB:.3f} GiB"
        )
        print(f"{given.sequences // 4} sequences: peak {small / GIB:.3f} GiB")
        if seconds > SECONDS * given.sequences / 10_000:
            faults.append(f"more than {SECONDS} s for 10,000 sequences")
        if peak > GIB:
            faults.append("more than 1 GiB")
    if min(growths) > GROWTH:
        faults.append(f"the peak grew by {', '.join(str(g >> 20) for g in growths)} MiB")
    sys.exit("; ".join(faults) or 0)


def in_child(sequences: int, workers: int) -> tuple[float, float, int]:
    """Seconds, processor seconds and peak bytes of a fresh process."""
    command = [sys.executable, __file__, "--child", f"--sequences={sequences}"]
    done = subprocess.run(
        [*command, f"--workers={workers}"], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, processor, peak = done.stdout.split()
    return float(seconds), float(processor), int(peak)


def measure(sequences: int, workers: int) -> None:
    """Evaluates a predictor that costs nothing; prints seconds and peak bytes."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from benchbench import protocols
    from benchbench.clip import Clip
    from benchbench.dataset import Split
    from benchbench.predictor import Predictor
    from benchbench.scoring.evaluate import evaluate
    from benchbench.scoring.stream import predicted

    class Noise(Predictor):
        def forward(self, context, horizon):  # type: ignore[no-untyped-def]
            return context.roll(1, 0) * 0.1 + context * 0.95

        def losses(self, context, target, progress):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    class Rolled(Split):
        length = sequences

        def clip(self, index):  # type: ignore[no-untyped-def]
            return clips[index % 64].roll(index // 64, -1)

        def name(self, index):  # type: ignore[no-untyped-def]
            return str(index)

    clips = torch.rand(64, 20, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    asked = [protocols.get(name) for name in protocols.names() if "lpips" not in name]
    with tempfile.TemporaryDirectory() as folder:
        started, used = time.perf_counter(), time.process_time()
        stream = predicted(Noise(), Rolled(), Clip(1, 64, 64, 10, 10))
        evaluate(stream, asked, Path(folder), workers=workers)
        seconds, used = time.perf_counter() - started, time.process_time() - used
    print(seconds, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main()
