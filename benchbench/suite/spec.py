"""RunSpec: all that decides a run's numbers, and nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from benchbench.errors import SchemaError


@dataclass(frozen=True)
class RunSpec:
    """One model trained on one dataset with one seed.

    Options are complete, defaults filled in, so that a changed default is another run. Versions
    are those of the registered builders.
    """

    model: str
    model_version: int
    model_options: dict[str, Any]
    dataset: str
    dataset_version: int
    dataset_options: dict[str, Any]
    train: dict[str, Any] | None
    """Fields of `benchbench.suite.schema.Train`; None for a model that is not trained."""
    seed: int
    test_batch: int
    """Clips predicted at a time in validation and test; a network's last digits depend on it."""
    weights: str | None = None
    """sha256 of the imported weights that are tested instead of training."""

    @functools.cached_property
    def key(self) -> str:
        """12 hex digits of the canonical JSON's SHA-256."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def precision(self) -> str:
        """Of forward passes."""
        return self.train["precision"] if self.train else "fp32"

    @property
    def folder(self) -> str:
        """Where the run lies in the results folder."""
        return f"runs/{self.dataset}/{self.model}/seed{self.seed}-{self.key}"

    @property
    def name(self) -> str:
        """How log lines call the run."""
        return f"{self.dataset}/{self.model}/seed{self.seed}-{self.key}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in `spec.yaml`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Any) -> RunSpec:
        """The spec in plain values.

        Raises:
            SchemaError: the values are not those of a spec.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != known:
            raise SchemaError(f"not a run's spec; expected the keys {', '.join(sorted(known))}")
        return cls(**value)
