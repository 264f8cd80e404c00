"""Each verdict and each reason on a planted case: what is declared decides, never a difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest

from benchbench import protocols
from benchbench.references.facts import Frames
from benchbench.references.read import names, table
from benchbench.references.schema import Row
from benchbench.report.facts import Facts, Sample
from benchbench.report.verdict import Verdict, find_sample, judge, judge_size

MNIST = Frames(channels=1, height=64, width=64, context=10, horizon=10)
TAXI = Frames(channels=2, height=32, width=32, context=4, horizon=4)
SPREAD = (-1.0, 0.0, 1.0)
"""Three seeds whose standard deviation is 1."""


def find(name: str, label: str) -> Row:
    (row,) = [row for row in table(name).rows if row.name == label]
    return row


SHORT = find("cms_lstm_table1", "CMS-LSTM (80,000 iterations)")
LONG = find("cms_lstm_table1", "CMS-LSTM (400,000 iterations)")
PREDRNN = find("cms_lstm_table1", "PredRNN")


def sample(protocol: str, metric: str, values: Sequence[float], version: int = 1) -> Sample:
    column = protocols.get(protocol).column(metric)
    signature = f"{column.signature.rpartition('|')[0]}|v{version}"
    by_frame = tuple((value,) * 10 for value in values)
    return Sample(dataclasses.replace(column, signature=signature), tuple(values), by_frame)


def around(mean: float, protocol: str = "cms_lstm", metric: str = "mse") -> Sample:
    return sample(protocol, metric, [mean + away for away in SPREAD])


def parameters_of(row: Row) -> int | None:
    """Trainable parameters that print as the row has them."""
    if row.size is None:
        return None
    printed = round(float(row.size.printed.removesuffix("M")) * 1e6)
    return printed // 3 if "moments" in row.size.counts else printed - (row.size.unused or 0)


def facts_like(row: Row, *samples: Sample, **changes: Any) -> Facts:
    """Runs of ours that do everything as a published row declares it."""
    clips = row.data.train_clips_here or row.data.train_clips
    facts = Facts(
        label="Ours",
        dataset_label="Data",
        model=row.model or "",
        options={**row.variant, **row.network.options},
        dataset=row.data.dataset,
        dataset_options=row.data.options,
        frames=row.data.frames,
        train_clips=clips,
        iterations=row.budget.iterations,
        batch=row.budget.batch,
        updates=row.budget.updates,
        parameters=parameters_of(row),
        samples=samples,
    )
    return dataclasses.replace(facts, **changes)


def reason(verdict: Verdict, kind: str) -> str:
    """The text of the only reason, which is of this kind."""
    assert verdict.word == "not comparable"
    assert verdict.caveats == ()
    (one,) = verdict.reasons
    assert one.kind == kind
    return one.text


@pytest.mark.parametrize("away", [0.0, 1.99, -1.99, 2.0, -2.0])
def test_within_two_standard_deviations_over_three_seeds_is_reproduced(away: float) -> None:
    assert judge(LONG, "mse", facts_like(LONG, around(24.3 + away))).word == "reproduced"


def test_beyond_them_an_error_is_better_below_and_worse_above() -> None:
    assert judge(LONG, "mse", facts_like(LONG, around(24.3 - 2.01))).word == "better"
    assert judge(LONG, "mse", facts_like(LONG, around(24.3 + 2.01))).word == "worse"


def test_beyond_them_a_psnr_is_better_above_and_worse_below() -> None:
    above = around(23.682 + 2.01, metric="psnr")
    assert judge(LONG, "psnr", facts_like(LONG, above)).word == "better"
    below = around(23.682 - 2.01, metric="psnr")
    assert judge(LONG, "psnr", facts_like(LONG, below)).word == "worse"


def test_a_difference_is_measured_by_the_spread_and_not_by_its_size() -> None:
    near = sample("cms_lstm", "mse", (24.28, 24.29, 24.285))
    assert judge(LONG, "mse", facts_like(LONG, near)).word == "better"
    far = sample("cms_lstm", "mse", (20.0, 30.0, 34.0))
    assert judge(LONG, "mse", facts_like(LONG, far)).word == "reproduced"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_seeds_judge_nothing(count: int) -> None:
    few = sample("cms_lstm", "mse", [24.3 + 0.1 * seed for seed in range(count)])
    text = reason(judge(LONG, "mse", facts_like(LONG, few)), "seeds")
    assert text.startswith(f"{count} seed")
    assert text.endswith("at least 3 are needed")


def test_seeds_that_give_one_number_have_no_spread() -> None:
    text = reason(
        judge(LONG, "mse", facts_like(LONG, sample("cms_lstm", "mse", [24.3] * 3))), "seeds"
    )
    assert "no spread" in text


@pytest.mark.parametrize("value", [math.inf, math.nan, -math.inf])
def test_a_seed_without_a_finite_number_judges_nothing(value: float) -> None:
    scores = sample("cms_lstm", "psnr", [23.0, 24.0, value])
    assert "finite" in reason(judge(LONG, "psnr", facts_like(LONG, scores)), "seeds")


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"iterations": 560}, "budget", "560 iterations of 8 clips, two updates each; theirs 400"),
        ({"iterations": 80_000}, "budget", "theirs 400,000 iterations"),
        ({"batch": 16}, "budget", "of 16 clips, two updates each; theirs"),
        ({"updates": 1}, "budget", "400,000 iterations of 8 clips; theirs"),
        ({"iterations": None}, "budget", "not trained here"),
        ({"dataset": "moving_digits"}, "data", "ours is moving_digits, theirs moving_mnist"),
        ({"frames": TAXI}, "data", "clips of 2x32x32, 4 frames to 4, theirs of 1x64x64, 10 frames"),
        (
            {"train_clips": 10_000},
            "data",
            "trained on 10,000 clips, theirs on clips that never repeat",
        ),
        ({"train_clips": None}, "data", "a number of clips that no record tells"),
        ({"model": "predrnn"}, "network", "ours is predrnn, theirs cms_lstm"),
        ({"parameters": 235_000}, "network", "235,000 parameters, 235,012 counted as theirs"),
    ],
)
def test_a_declared_fact_that_differs_is_the_reason(
    changes: dict[str, Any], kind: str, text: str
) -> None:
    ours = facts_like(LONG, around(24.3), **changes)
    assert text in reason(judge(LONG, "mse", ours), kind)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("test_from", "generated"),
        ("test_npz", "mine.npz"),
        ("test", 256),
        ("source", "letters"),
        ("digits", 3),
        ("val_from", "kept"),
    ],
)
def test_other_test_or_training_clips_are_other_data(option: str, value: Any) -> None:
    ours = facts_like(LONG, around(24.3), dataset_options={**LONG.data.options, option: value})
    assert reason(judge(LONG, "mse", ours), "data").startswith(f"{option} {value}, theirs ")


@pytest.mark.parametrize(
    ("option", "value"), [("hidden", [16, 16]), ("kernel", 5), ("se_scales", [1]), ("ce_steps", 10)]
)
def test_other_options_are_another_network(option: str, value: Any) -> None:
    ours = facts_like(LONG, around(24.3), options={**LONG.network.options, option: value})
    assert option in reason(judge(LONG, "mse", ours), "network")


def test_options_are_the_same_in_a_tuple_and_in_a_list() -> None:
    ours = facts_like(LONG, around(24.3), options={**LONG.network.options, "hidden": (64,) * 4})
    assert judge(LONG, "mse", ours).word == "reproduced"


def test_budgets_alike_but_for_the_rest_of_an_epoch_are_one() -> None:
    row = find("openstl_taxibj", "PhyDNet")
    scores = around(0.3622, "openstl")
    assert judge(row, "mse", facts_like(row, scores, iterations=61_300)).word == "reproduced"
    assert judge(row, "mse", facts_like(row, scores, iterations=60_000)).reasons


def test_all_reasons_are_told_at_once() -> None:
    ours = facts_like(LONG, iterations=560, train_clips=9, parameters=1)
    assert list(judge(LONG, "mse", ours).by_kind) == ["data", "network", "budget", "protocol"]


def test_on_other_data_it_does_not_matter_how_it_was_scored() -> None:
    ours = facts_like(LONG, iterations=560, dataset="moving_digits")
    assert list(judge(LONG, "mse", ours).by_kind) == ["data", "budget"]


def test_a_metric_under_another_protocol_is_another_quantity() -> None:
    row = find("cms_lstm_table1", "MIM*")
    ours = facts_like(row, around(0.910, "cms_lstm", "ssim"), around(44.2), parameters=12_307_600)
    assert "not scored as by mim v1" in reason(judge(row, "ssim", ours), "protocol")
    # ... but with one channel the squared error is the same under both
    assert judge(row, "mse", ours).word == "reproduced"


def test_an_unclipped_error_is_another_quantity_than_a_clipped_one() -> None:
    ours = facts_like(PREDRNN, around(126.1, "cms_lstm", "mae"), parameters=None)
    assert judge(PREDRNN, "mae", ours).by_kind.keys() == {"protocol"}
    ours = facts_like(PREDRNN, around(126.1, "predrnn_pp", "mae"), parameters=None)
    assert judge(PREDRNN, "mae", ours).word == "reproduced"


def test_another_version_of_the_protocol_is_another_quantity() -> None:
    newer = sample("cms_lstm", "mse", (23.3, 24.3, 25.3), version=2)
    text = reason(judge(LONG, "mse", facts_like(LONG, newer)), "protocol")
    assert text == "scored by another version than cms_lstm v1"


def test_the_first_channel_alone_is_another_scale_than_the_sum_of_both() -> None:
    row = find("cms_lstm_table2", "CMS-LSTM")
    ours = facts_like(row, around(0.228, "mim"))
    text = reason(judge(row, "mse", ours), "scale")
    assert text == "ours is the sum per frame; theirs the sum per frame, channel 0, by cms_lstm v1"
    assert judge(row, "mse", facts_like(row, around(0.228))).word == "reproduced"


@pytest.mark.parametrize(
    ("name", "label", "metric", "kind"),
    [
        ("cms_lstm_table1", "CrevNet+ConvLSTM", "mse", "data"),
        ("cms_lstm_table1", "PDE-Driven", "psnr", "data"),
        ("cms_lstm_table1", "SA-ConvLSTM", "mse", "code"),
        ("cms_lstm_table1", "E3D-LSTM", "ssim", "code"),
        ("cms_lstm_table1", "PhyDNet", "psnr", "data"),
        ("cms_lstm_table1", "DDPAE", "psnr", "data"),
        ("cms_lstm_table2", "PhyDNet", "mse", "scale"),
        ("cms_lstm_table2", "PDE-Driven", "mse", "scale"),
        ("cms_lstm_table2", "SA-ConvLSTM", "mse", "code"),
        ("cms_lstm_table3", "PredRNN", "mse", "code"),
        ("cms_lstm_table3", "SA-ConvLSTM", "psnr", "code"),
    ],
)
def test_a_number_that_is_known_to_be_incomparable_is_so_whatever_ours_is(
    name: str, label: str, metric: str, kind: str
) -> None:
    row = find(name, label)
    exact = sample(row.protocol.name or "mim", "mse", [row.numbers[metric].value] * 3)
    assert reason(judge(row, metric, facts_like(row, exact, parameters=None)), kind)


def test_an_unknown_evaluation_is_unknown_code_where_no_other_obstacle_is_told() -> None:
    row = LONG.model_copy(update={"protocol": LONG.protocol.model_copy(update={"name": None})})
    assert "unknown" in reason(judge(row, "mse", facts_like(row, around(24.3))), "code")


def test_an_unknown_budget_is_comparable_with_none() -> None:
    row = LONG.model_copy(update={"budget": LONG.budget.model_copy(update={"iterations": None})})
    ours = facts_like(LONG, around(24.3))
    assert "unknown" in reason(judge(row, "mse", ours), "budget")


def test_a_row_that_is_partly_comparable_gets_both_verdicts_with_the_caveats_named() -> None:
    row = find("cms_lstm_table1", "E3D-LSTM")
    samples = (around(41.7, "e3d_lstm"), around(20.590, "e3d_lstm", "psnr"))
    ours = facts_like(row, *samples, parameters=12_898_832)
    verdict = judge(row, "mse", ours)
    assert verdict.word == "reproduced"
    caveats = "; ".join(verdict.caveats)
    assert "budget (likely): from the script's name of a checkpoint" in caveats
    assert "network (likely): the released code's memory stays zero" in caveats
    assert "41.3" in caveats
    assert "single run" in caveats
    assert judge(row, "ssim", ours).by_kind.keys() == {"code"}


def test_what_is_unknown_about_a_transplant_is_a_caveat() -> None:
    row = find("cms_lstm_table3", "PredRNN: w CE, w SE")
    verdict = judge(row, "mse", facts_like(row, around(26.3)))
    assert verdict.word == "reproduced"
    assert any(text.startswith("network (unknown): ") for text in verdict.caveats)


def test_a_metric_that_the_protocol_does_not_have_gives_no_scores() -> None:
    row = find("cms_lstm_table1", "PhyDNet")
    assert find_sample(row, "psnr", facts_like(row, around(23.1, "cms_lstm", "psnr"))) is None


def test_each_frame_has_its_own_verdict() -> None:
    row = find("cms_lstm_table2", "MIM*")
    scores = sample("mim", "mse", (0.3, 0.31, 0.32))  # the same at every frame
    ours = facts_like(row, scores, parameters=None)
    words = [judge(row, "mse", ours, frame=frame).word for frame in (1, 2, 3, 4)]
    assert words == ["reproduced", "better", "better", "better"]


def test_parameters_counted_with_the_moments_of_adam_are_counted_so_here() -> None:
    row = find("cms_lstm_table1", "E3D-LSTM")
    verdict = judge_size(row, facts_like(row, parameters=12_898_832))
    assert verdict is not None
    assert verdict.word == "reproduced"
    assert "3 x 12,898,832 + 1" in verdict.caveats[0]
    other = judge_size(row, facts_like(row, parameters=38_696_497))
    assert other is not None
    assert "116,089,492 counted as theirs" in reason(other, "network")


def test_parameters_of_another_network_or_of_unknown_count_are_comparable_with_none() -> None:
    verdict = judge_size(PREDRNN, facts_like(PREDRNN, parameters=4_599_560))
    assert verdict is not None
    assert "TaxiBJ" in reason(verdict, "network")
    row = find("cms_lstm_table1", "MIM*")
    verdict = judge_size(row, facts_like(row, parameters=12_307_600))
    assert verdict is not None
    assert "matches no configuration" in reason(verdict, "network")
    assert judge_size(find("cms_lstm_table1", "DDPAE"), facts_like(SHORT)) is None
    assert judge_size(SHORT, facts_like(SHORT, parameters=None)) is None


def test_a_size_that_belongs_to_another_network_does_not_bar_the_scores() -> None:
    ours = facts_like(PREDRNN, around(56.8), parameters=4_651_280)
    assert judge(PREDRNN, "mse", ours).word == "reproduced"


ROWS = [(name, row) for name in names() for row in table(name).rows if row.model]
IDS = [f"{name}: {row.name}" for name, row in ROWS]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=IDS)
def test_runs_that_do_all_that_a_row_declares_are_judged_unless_it_says_why_not(
    name: str, row: Row
) -> None:
    for metric, number in row.numbers.items():
        evaluation = row.evaluation(metric)
        obstacle = row.obstacle_to(metric)
        spread = [number.value * (1 + 0.01 * away) for away in SPREAD]
        samples = () if obstacle else (sample(evaluation.name or "", metric, spread),)
        verdict = judge(row, metric, facts_like(row, *samples))
        assert verdict.word == ("not comparable" if obstacle else "reproduced"), verdict
        if row.comparable == "partly" and not obstacle:
            assert verdict.caveats


PARTLY = {
    "cms_lstm_table1": "FC-LSTM DDPAE PhyDNet PredRNN PredRNN++ MIM* E3D-LSTM",
    "cms_lstm_table2": "ST-ResNet VPN FRNN PredRNN PredRNN++ MIM* CMS-LSTM",
}
NOT = {
    "cms_lstm_table1": "CrevNet+ConvLSTM PDE-Driven SA-ConvLSTM",
    "cms_lstm_table2": "PhyDNet PDE-Driven SA-ConvLSTM",
    "cms_lstm_table3": "PredRNN SA-ConvLSTM",
}


@pytest.mark.parametrize("name", PARTLY)
def test_rows_are_as_comparable_as_is_known(name: str) -> None:
    rows = {row.name: row.comparable for row in table(name).rows}
    assert {label for label, how in rows.items() if how == "partly"} == set(PARTLY[name].split())
    assert {label for label, how in rows.items() if how == "no"} == set(NOT[name].split())


def test_of_the_ablation_only_the_borrowed_baselines_are_comparable_with_nothing() -> None:
    rows = table("cms_lstm_table3").rows
    assert {row.name for row in rows if row.comparable == "no"} == set(
        NOT["cms_lstm_table3"].split()
    )
    transplants = {row.name for row in rows if row.network.sure == "unknown"}
    assert transplants == {row.name for row in rows if row.backbone in ("PredRNN", "SA-ConvLSTM")}
