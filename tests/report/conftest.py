"""A plan of two models, and runs that look finished without having been made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench import protocols
from benchbench.run.record import Record, Store
from benchbench.scoring.protocol import Column
from benchbench.scoring.summary import Score, Summary, write_summary
from benchbench.suite.plan import Plan
from benchbench.suite.plan import plan as make_plan


@pytest.fixture
def plan(write_suite: Callable[..., Path]) -> Plan:
    return make_plan(write_suite(), ["seeds=[0, 1, 2]", "models.1.label=ConvLSTM"])


@pytest.fixture
def finish() -> Callable[..., None]:
    """Leaves a record and scores of one run."""
    return _finish


def _finish(store: Store, plan: Plan, model: str, seed: int, mse: float, **fields: Any) -> None:
    (run,) = [r for r in plan.runs if (r.model, r.spec.seed) == (model, seed)]
    version, infinite = fields.get("version", 1), fields.get("infinite", 0)
    scores = {"mse": _score("mse", mse, version=version), "ssim": _score("ssim", 0.5, decimals=4)}
    scores["mse"] = dataclasses.replace(scores["mse"], infinite=infinite)
    protocol = fields.get("protocol", "benchbench")
    if protocol != "benchbench":  # the columns that are its own
        for name, score in scores.items():
            own = protocols.get(protocol).column(name)
            scores[name] = dataclasses.replace(score, column=own)
    summary = Summary(protocol, version, "", 6, 2, "", scores, ("ssim", "mse"))
    write_summary(store.folder(run.spec) / "scores", summary)
    data, facts = fields.get("dataset", {}), fields.get("provenance", {})
    record = Record(
        *(run.spec.to_dict(), run.spec.key, 74_321, 6, 6, 0.1, 10.0 + seed, 1.0, None),
        **{"dataset": data, "provenance": facts},
    )
    record.reseal(store.folder(run.spec), [f"scores/{summary.stem}.json"])


def _score(metric: str, value: float, *, version: int = 1, decimals: int = 2) -> Score:
    better = "higher" if metric in ("psnr", "ssim") else "lower"
    signature = f"{metric}|v{version}"
    column = Column(metric, metric.upper(), "unit", better, decimals, signature)
    return Score(column, value, 0, (value,))
