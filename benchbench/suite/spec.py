"""RunSpec: all that decides a run's numbers, and nothing else."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import ValidationError

from benchbench.digest import values_digest
from benchbench.errors import SchemaError
from benchbench.suite.schema import Train


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
    train: Train | None
    """None for a model that is not trained."""
    seed: int
    test_batch: int
    """Clips predicted at a time in validation and test; a network's last digits depend on it."""
    weights: str | None = None
    """sha256 of the imported weights that are tested instead of training."""
    data: str = ""
    """Digest of what the dataset reads; empty where files were missing when it was planned."""
    places: list[str] = field(default_factory=list)
    """Options of the dataset that only say where its files lie."""

    @functools.cached_property
    def key(self) -> str:
        """12 hex digits of the SHA-256 of what decides the numbers, as canonical JSON.

        Where the files lie does not, once their content is known.
        """
        return values_digest(self.to_dict() if not self.data else self._elsewhere())[:12]

    @functools.cached_property
    def question(self) -> str:
        """The key without the data: of runs that differ only in what their files hold."""
        return values_digest({**self._elsewhere(), "data": ""})[:12]

    def _elsewhere(self) -> dict[str, Any]:
        """Plain values without the places of files."""
        values, options = self.to_dict(), self.dataset_options
        del values["places"]
        values["dataset_options"] = {k: v for k, v in options.items() if k not in self.places}
        return values

    @property
    def precision(self) -> str:
        """Precision of forward passes, `fp32` or `bf16`."""
        return self.train.precision if self.train else "fp32"

    @property
    def folder(self) -> str:
        """Where the run lies in the results folder."""
        return f"runs/{self.name}"

    @property
    def name(self) -> str:
        """How log lines call the run."""
        return f"{self.dataset}/{self.model}/seed{self.seed}-{self.key}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in `spec.yaml`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "train": self.train.model_dump(mode="json") if self.train else None}

    @classmethod
    def from_dict(cls, value: Any) -> RunSpec:
        """The spec in plain values.

        Raises:
            SchemaError: the values are not those of a spec.
        """
        names = {each.name for each in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise SchemaError(f"not a run's spec; expected the keys {', '.join(sorted(names))}")
        try:
            train = Train.model_validate(value["train"]) if value["train"] else None
        except ValidationError as error:
            raise SchemaError(f"not a run's spec; its train settings: {error}") from None
        return cls(**{**value, "train": train})
