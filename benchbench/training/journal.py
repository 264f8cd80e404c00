"""Journal: what training writes in a run's folder, its checkpoints and `history.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path

from benchbench.atomic import write_text
from benchbench.training import checkpoint
from benchbench.training.trainer import Trainer

HISTORY = "history.jsonl"


class Journal:
    """Keeps the files of one training.

    Args:
        folder: where they are.
        checkpoint_every: iterations between two checkpoints.
    """

    def __init__(self, folder: Path, checkpoint_every: int) -> None:
        self.folder = folder
        self.checkpoint_every = checkpoint_every

    def resume(self, trainer: Trainer) -> None:
        """Brings a fresh trainer to the newest checkpoint, and cuts the history back to it."""
        state = checkpoint.load(self.folder, device=trainer.device)
        if state is not None:
            trainer.load_state_dict(state)
        path = self.folder / HISTORY
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        whole = [line for line in lines if line.endswith("}")]
        past = [line for line in whole if json.loads(line)["step"] <= trainer.step]
        write_text(path, "".join(f"{line}\n" for line in past))

    def save(self, trainer: Trainer) -> None:
        """Writes a checkpoint."""
        checkpoint.save(self.folder, trainer.state_dict())

    def add(self, trainer: Trainer, terms: dict[str, float], validation_mse: float | None) -> None:
        """Appends a line to the history, about 1,000 in a run and every validation."""
        every = max(1, trainer.train.iterations // 1000)
        if trainer.step % every and validation_mse is None:
            return
        validation = {} if validation_mse is None else {"validation_mse": validation_mse}
        row = {"step": trainer.step, **terms, **validation, "lr": trainer.learning_rate}
        with (self.folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
