"""Contests: who can be compared, who cannot and why, and what is kept for the next time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench import protocols
from benchbench.comparison import standing as standings
from benchbench.comparison.contest import Contest, contests
from benchbench.comparison.standing import FOLDER, standing
from benchbench.errors import Unfit, UnknownName
from benchbench.jsonfile import write_cache
from benchbench.run.record import Record, Store, score_files
from benchbench.scoring.rows import rows_in
from benchbench.scoring.summary import write_summary
from benchbench.suite.plan import Plan, Run
from benchbench.suite.plan import plan as make_plan

SEQUENCES, FRAMES = 12, 2


@pytest.fixture
def plan(write_suite: Callable[..., Path]) -> Plan:
    return make_plan(write_suite(), ["seeds=[0, 1, 2]", "protocols=[benchbench, mim]"])


def finish(store: Store, run: Run, level: float, **facts: Any) -> None:
    """Leaves a finished run whose every score is about a level."""
    folder = store.folder(run.spec)
    draw = np.random.default_rng(run.spec.seed)
    count = facts.get("sequences", SEQUENCES)
    rules = [protocols.get("benchbench"), protocols.get("mim")]
    with rows_in(folder / "scores", rules, FRAMES, key=run.spec.key) as rows:
        summaries = []
        for one in rows:
            values = level + draw.random((count, FRAMES))
            values[0, 0] = facts.get("first", values[0, 0])
            numbers = {metric.statistic: values for metric in one.protocol.metrics}
            one.add([f"{facts.get('name', 'clip')} {n}" for n in range(count)], numbers)
            summaries.append(one.close())
    for summary in summaries:
        write_summary(folder / "scores", dataclasses.replace(summary, **facts.get("other", {})))
    trained = 0 if run.spec.train is None else 6
    record = Record(
        *(run.spec.to_dict(), run.spec.key, 7, trained, trained, 0.1, 1.0, 1.0, None),
        facts.get("data", {}),
    )
    record.reseal(folder, score_files(*(summary.stem for summary in summaries)))


def finish_all(store: Store, plan: Plan, **facts: Any) -> None:
    """Finishes all runs; `facts` are those of the trained model."""
    for run in plan.runs:
        finish(store, run, 30.0, **facts if run.spec.train else {})


def absent(plan: Plan, store: Store, metric: str = "mse") -> str:
    """Why the trained model cannot be compared."""
    (contest,) = contests(plan, store, metric=metric)
    assert [entry.label for entry in contest.entries] == ["persistence"]
    return contest.absent["convlstm"]


def test_a_contest_has_the_scores_of_every_run_and_sequence(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish_all(store, plan)
    (contest,) = contests(plan, store)
    assert [(e.label, e.trained, e.seeds) for e in contest.entries] == [
        ("persistence", False, [0]),
        ("convlstm", True, [0, 1, 2]),
    ]
    assert contest.signature == protocols.get("benchbench").signature("mse")
    scores = standing(contest, store).scores(contest.entries)
    for entry, runs in zip(contest.entries, scores.runs, strict=True):
        values = [summary.scores["mse"].value for _, _, summary in entry.runs]
        assert runs == pytest.approx(values, rel=1e-12)
    assert scores.sequences == SEQUENCES


@pytest.mark.parametrize("metric", ["mse", "psnr", "ssim"])
@pytest.mark.parametrize("protocol", ["benchbench", "mim"])
def test_scores_of_sequences_have_the_pooled_score_as_their_mean(
    plan: Plan, tmp_path: Path, protocol: str, metric: str
) -> None:
    store = Store(tmp_path)
    finish_all(store, plan)
    (contest,) = contests(plan, store, protocol=protocol, metric=metric)
    scores = standing(contest, store).scores(contest.entries)
    _, _, summary = contest.entries[0].runs[0]
    assert scores.runs[0] == pytest.approx((summary.scores[metric].value,), rel=1e-12)


def test_a_root_of_a_mean_is_shared_out_to_sequences() -> None:
    rmse = next(
        metric
        for name in protocols.names()
        for metric in protocols.get(name).metrics
        if metric.pool == "frame-rms"
    )
    values = np.random.default_rng(0).random((50, 4)) + 3
    assert rmse.by_sequence(values).mean() == pytest.approx(rmse.pooled(values), rel=1e-12)
    assert rmse.by_sequence(np.zeros((3, 2))).tolist() == [0, 0, 0]


def test_a_model_that_lacks_seeds_is_left_out(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, plan.runs[0], 30.0)
    assert absent(plan, store) == "0 of 3 seeds are scored; run the suite"
    finish(store, plan.runs[2], 30.0)
    assert absent(plan, store) == (
        "1 of 3 seeds are scored; run the suite, or compare fewer with 'seeds=[1]'"
    )


def test_other_sequences_ranges_and_data_are_not_compared(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for facts, reason in (
        ({"name": "film"}, "tested on other sequences than the others ("),
        ({"sequences": 5}, "tested on 5 test sequences, the others on 12"),
        ({"other": {"span": (0, 255)}}, "tested on data of range (0.0, 255.0), the others of"),
        ({"data": {"test_first": "ab"}}, "tested on other frames of the sequences than the others"),
    ):
        finish_all(store, plan)
        (run,) = [run for run in plan.runs if run.spec.train and run.spec.seed == 2]
        finish(store, run, 30.0, **facts)
        (contest,) = contests(plan, store)
        assert [entry.label for entry in contest.entries] == ["persistence"]
        assert contest.absent["convlstm"].startswith(reason)


def test_another_version_of_a_protocol_is_not_compared(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    finish_all(store, plan)
    rules = protocols.get("benchbench")
    newer = dataclasses.replace(rules, version=99)
    monkeypatch.setattr(protocols, "get", lambda name: newer if name == "benchbench" else rules)
    (contest,) = contests(plan, store)
    assert not contest.entries
    was, now = rules.signature("mse"), newer.signature("mse")
    assert contest.absent["convlstm"] == (
        f"mse was scored as {was}, not as {now}; `bench run` scores it again"
    )


def test_infinite_scores_are_not_compared_but_capped_ones_are(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish_all(store, plan, first=math.inf)
    (contest,) = contests(plan, store, protocol="mim", metric="psnr")
    assert contest.absent["convlstm"] == (
        "the PSNR of seed 0 is infinite, for 1 perfect frames; compare an error, as --metric mse"
    )
    (contest,) = contests(plan, store, metric="psnr")
    assert not contest.absent
    assert all(map(math.isfinite, standing(contest, store).runs[1]))


def test_a_damaged_run_is_left_out_with_the_fault(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish_all(store, plan)
    (path,) = store.folder(plan.runs[1].spec).glob("scores/benchbench*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    assert absent(plan, store).startswith(f"damaged: {path}: ")


def test_models_are_asked_for_by_label_and_refused_with_the_reason(
    plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    finish(store, plan.runs[0], 30.0)
    (contest,) = contests(plan, store)
    with pytest.raises(Unfit, match="convlstm on moving_digits: 0 of 3 seeds are scored"):
        contest.places("persistence", "convlstm")
    with pytest.raises(UnknownName, match="no model 'persistense'; did you mean 'persistence'"):
        contest.places("persistense")
    with pytest.raises(UnknownName, match="no protocol 'mimm'; did you mean 'mim'"):
        contests(plan, store, protocol="mimm")
    with pytest.raises(UnknownName, match="has no 'msee'; did you mean 'mse'"):
        contests(plan, store, metric="msee")


def kept(store: Store) -> list[Path]:
    return sorted((store.root / FOLDER).iterdir())


def test_a_standing_is_kept_until_a_score_changes(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    finish_all(store, plan)
    (contest,) = contests(plan, store)
    first = standing(contest, store)
    with monkeypatch.context() as patch:
        patch.setattr(standings, "_read", None)  # reads no score again
        assert standing(contest, store) == first
    (path,) = kept(store)
    path.write_text(path.read_text()[:-9])
    assert standing(contest, store) == first
    assert f'"sequences": {SEQUENCES}' in path.read_text()
    finish(store, plan.runs[1], 90.0)
    (contest,) = contests(plan, store)
    assert standing(contest, store) != first
    assert len(kept(store)) == 2


@pytest.mark.parametrize("change", ["a digit", "other models", "another's"])
def test_no_rank_is_of_a_standing_that_was_changed(plan: Plan, tmp_path: Path, change: str) -> None:
    store = Store(tmp_path)
    finish_all(store, plan)
    (contest,) = contests(plan, store)
    first = standing(contest, store)
    (path,) = kept(store)
    if change == "a digit":
        path.write_text(path.read_text().replace('"ranks": [', '"ranks": [1'))
    elif change == "other models":
        path.write_text('{"runs":[],"rest":[],"covariance":[],"sequences":1,"ranks":[],"sure":[]}')
    else:
        other = tmp_path / "other.json"
        write_cache(other, {**dataclasses.asdict(first), "ranks": [9 for _ in first.ranks]})
        path.write_bytes(other.read_bytes())
    assert standing(contest, store) == first


def test_results_that_are_read_only_are_compared_all_the_same(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    store = Store(tmp_path)
    finish_all(store, plan)
    monkeypatch.setattr(standings, "write_cache", refuse)
    (contest,) = contests(plan, store)
    assert isinstance(contest, Contest)
    assert standing(contest, store).sequences == SEQUENCES
    assert not (tmp_path / FOLDER).exists()
