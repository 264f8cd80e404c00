"""Summary and Score: what a run's test set scored under one protocol.

Each lies in a run's folder as `scores/<protocol>-v<n>.json`, beside the Parquet file it was pooled
from. No torch and no pandas here: tables are made of these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchbench.atomic import write_text
from benchbench.errors import Damaged
from benchbench.jsonfile import parse, read_content, spelled, typed
from benchbench.scoring.measures import Better
from benchbench.scoring.protocol import Column


@dataclass(frozen=True)
class Score:
    """One pooled number, with all that says how to read it."""

    column: Column
    value: float
    """Infinite where the protocol lets perfect frames poison the mean."""
    infinite: int
    """Frames whose own score is infinite: under PSNR those of no error, as the protocol sees it."""
    by_frame: tuple[float, ...]
    """The same pooled over sequences only: one value a predicted frame."""

    def plain(self) -> dict[str, Any]:
        """Plain values, those of the column among them."""
        values = asdict(self)
        return {**values.pop("column"), **values}


def decimals(least: int, better: Better, values: Iterable[float]) -> int:
    """How many to print of values side by side: `least`, or more where errors are below 1.

    Errors have the scale of the data, so the smallest keeps four digits (TaxiBJ's 0.3108), as far
    as 8 decimals show them.
    """
    errors = [abs(value) for value in values if value and math.isfinite(value)]
    if better == "higher" or not errors or min(errors) >= 1:
        return least
    return max(least, min(8, 3 - math.floor(math.log10(min(errors)))))


@dataclass(frozen=True)
class Summary:
    """The scores of one test set under one protocol."""

    protocol: str
    version: int
    source: str
    sequences: int
    """Test sequences scored: all there are."""
    frames: int
    """Predicted frames a sequence."""
    ids_sha256: str
    """SHA-256 of the sequences' ids in order, each followed by a newline."""
    scores: dict[str, Score]
    headline: tuple[str, ...]
    span: tuple[float, float] | None = (0.0, 1.0)
    """Declared range of the data, mapped to [0, 1]; None: unknown, and not mapped."""
    key: str | None = None
    """Key of the run whose test set it is; None for arrays that were made elsewhere."""

    @property
    def stem(self) -> str:
        """Name of its files, without the ending."""
        return f"{self.protocol}-v{self.version}"

    def plain(self) -> dict[str, Any]:
        """Plain values as JSON has them; numbers that it has not are the text `inf` or `nan`."""
        scores = {name: score.plain() for name, score in self.scores.items()}
        values: dict[str, Any] = spelled({**asdict(self), "scores": scores})
        return values


def write_summary(folder: Path, summary: Summary) -> Path:
    """Writes `<folder>/<protocol>-v<n>.json`."""
    path = folder / f"{summary.stem}.json"
    text = json.dumps(summary.plain(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
    return path


def read_summary(path: Path, mend: str = "delete it and score again") -> Summary:
    """The summary in one JSON file.

    Raises:
        Damaged: the file is not a summary; the message ends with `mend`.
    """
    if (content := read_content(path, mend)) is None:
        raise Damaged(path, "not there", mend)
    values = parse(content.data, dict[str, Any], path, mend)
    scores = values.get("scores")
    if isinstance(scores, dict):
        values["scores"] = {name: _nested(score) for name, score in scores.items()}
    return typed(values, Summary, path, mend)


def _nested(values: Any) -> Any:
    """The values of a score, those of its column apart as in `Score`; others as they are."""
    if not isinstance(values, dict):
        return values
    names = {field.name for field in fields(Column)}
    column = {name: values[name] for name in names & values.keys()}
    rest = {name: value for name, value in values.items() if name not in names}
    return {**rest, "column": column}
