"""The contract of every protocol, and how they differ."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import BenchError, SchemaError, Unfit, UnknownName
from benchbench.scoring.protocol import psnr

SIGNATURES = Path(__file__).parents[1] / "goldens" / "metrics" / "signatures.txt"
NAMES = protocols.names()
PLAIN = [name for name in NAMES if "lpips" not in name]
IDEAL = {"mse": 0, "mae": 0, "rmse": 0, "psnr": math.inf, "ssim": 1}


def clips(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_perfect_prediction_scores_the_ideal(name: str, channels: int) -> None:
    target = clips(2, 3, channels, 16, 12)
    for metric, scores in protocols.score(name, target, target).items():
        ideal = IDEAL.get(protocols.get(name)[metric].statistic.measure)
        assert scores.shape == (2, 3)
        assert scores.dtype == np.float64
        if ideal is not None:
            np.testing.assert_allclose(scores, ideal, atol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_a_worse_prediction_scores_worse(name: str) -> None:
    target = clips(1, 2, 1, 16, 16) * 0.8 + 0.1
    noise = clips(1, 2, 1, 16, 16, seed=1) - 0.5
    near = protocols.score(name, target + 0.02 * noise, target)
    far = protocols.score(name, target + 0.08 * noise, target)
    for metric in protocols.get(name).metrics:
        if metric.name in ("sharpness",) or "wrap" in dict(metric.statistic.options):
            continue
        sign = 1 if metric.better == "lower" else -1
        assert (sign * far[metric.name] > sign * near[metric.name]).all(), metric.name


@pytest.mark.parametrize("name", PLAIN)
def test_the_unit_of_an_error_says_what_it_grows_with(name: str) -> None:
    protocol = protocols.get(name)
    target, prediction = clips(2, 3, 2, 8, 8), clips(2, 3, 2, 8, 8, seed=1)

    def scores(*repeat: int) -> dict[str, float]:
        """Pooled scores of frames beside themselves, that many times along each axis."""
        numbers = protocols.score(name, prediction.repeat(repeat), target.repeat(repeat))
        return {metric: protocol[metric].pooled(values) for metric, values in numbers.items()}

    once, wider, deeper = scores(1, 1, 1, 1, 1), scores(1, 1, 1, 1, 2), scores(1, 1, 2, 1, 1)
    longer = scores(1, 2, 1, 1, 1)
    for metric in protocol.metrics:
        if metric.unit in ("dB", "index", "levels of 255"):
            continue
        power = 0.5 if metric.unit.startswith("root of the ") else 1
        of_all = "value" not in metric.unit and "channel" not in metric.unit
        grows = {"wider": "sum" in metric.unit, "deeper": of_all, "longer": "seq" in metric.unit}
        for how, more in (("wider", wider), ("deeper", deeper), ("longer", longer)):
            ratio = 2**power if grows[how] else 1
            assert more[metric.name] / once[metric.name] == pytest.approx(ratio), (metric, how)


@pytest.mark.parametrize("name", NAMES)
def test_its_metrics_have_columns_of_their_own_and_its_headline_is_of_them(name: str) -> None:
    protocol = protocols.get(name)
    columns = [protocol.column(metric.name) for metric in protocol.metrics]
    assert len({column.signature for column in columns}) == len(columns)
    for column in columns:
        assert re.fullmatch(r"[a-z]+(\|[a-z]+:[^|\s]+)+\|v\d+", column.signature)
        assert column.unit.strip()
    labels = [protocol[headline].label for headline in protocol.headline]
    assert len(set(labels)) == len(labels) > 0


def test_signatures_are_those_of_published_tables() -> None:
    """A changed line is another score: raise the protocol's version, and record it here."""
    recorded = SIGNATURES.read_text(encoding="utf-8").splitlines()
    every = (protocols.get(name) for name in sorted(protocols.names()))
    assert recorded == [
        f"{protocol.name} {metric.name} {protocol.signature(metric.name)}"
        for protocol in every
        for metric in protocol.metrics
    ]


def test_equal_signatures_are_equal_scores_and_others_are_not() -> None:
    """On frames where every choice matters: two channels, values out of range."""
    target = 1 - 0.1 * clips(2, 3, 2, 24, 24)
    prediction = target + 0.2 * (clips(2, 3, 2, 24, 24, seed=1) - 0.5)
    scored: dict[str, bytes] = {}
    for name in PLAIN:
        protocol = protocols.get(name)
        for metric, scores in protocols.score(name, prediction, target).items():
            parts = protocol.signature(metric).split("|")
            key = "|".join(p for p in parts if not p.startswith(("reduce:", "cap:", "v")))
            assert scored.setdefault(key, scores.tobytes()) == scores.tobytes()
    assert len(set(scored.values())) == len(scored)


def test_the_recommended_signature_reads_as_documented() -> None:
    signature = protocols.get("benchbench").signature("ssim")
    assert signature == "ssim|range:1|win:7u|clip:01|reduce:frame-mean|v1"


def test_two_protocols_rank_the_same_predictions_differently() -> None:
    """Overshooting bright pixels is punished by OpenSTL alone, which does not clip."""
    target = torch.ones(1, 2, 1, 16, 16)
    overshoots, dark = target + 0.3, target - 0.2
    first, second = (
        {name: protocols.score(name, each, target)["mse"].mean() for name in PLAIN}
        for each in (overshoots, dark)
    )
    assert first["benchbench"] < second["benchbench"]
    assert first["openstl"] > second["openstl"]
    ours, theirs = (protocols.get(n).signature("mse") for n in ("benchbench", "openstl"))
    assert ours != theirs  # so that no table puts them into one column


def test_the_wrapping_psnr_ranks_the_worse_prediction_first() -> None:
    target = torch.zeros(1, 1, 1, 16, 16)
    good, bad = target + 5.5 / 255, target + 16.5 / 255
    ranks = {
        name: protocols.score(name, good, target)["psnr"][0, 0]
        > protocols.score(name, bad, target)["psnr"][0, 0]
        for name in ("predrnn", "simvp")
    }
    assert ranks == {"predrnn": True, "simvp": False}


def test_frames_are_quantised_only_where_they_are_clipped() -> None:
    with pytest.raises(SchemaError, match=r"'psnr': .* must be clipped"):
        psnr(peak=255, quantised=True, clip=False)


def test_only_cms_lstm_all_counts_the_second_channel() -> None:
    target = clips(1, 2, 2, 16, 16)
    prediction = target.clone()
    prediction[:, :, 1] *= 0.5
    assert protocols.score("cms_lstm", prediction, target)["mse"].max() == 0
    assert protocols.score("cms_lstm_all", prediction, target)["mse"].min() > 0


def test_perfect_frames_count_100_db_here_and_poison_the_mean_there() -> None:
    target = clips(1, 2, 1, 16, 16)
    prediction = target.clone()
    prediction[0, 1] = (prediction[0, 1] + 0.1).clamp(max=1)
    for name, pooled in (("benchbench", True), ("openstl", False)):
        scores = protocols.score(name, prediction, target)["psnr"]
        assert scores[0, 0] == math.inf
        value = protocols.get(name)["psnr"].pooled(scores)
        assert value == (pytest.approx((100 + scores[0, 1]) / 2) if pooled else math.inf)


def test_small_frames_are_refused_before_anything_runs() -> None:
    small = Clip(channels=1, height=6, width=64, context=1, horizon=1)
    with pytest.raises(Unfit, match="6x64 are smaller than the 7x7 window of SSIM"):
        protocols.get("benchbench").check(small)
    protocols.get("e3d_lstm").check(small)
    with pytest.raises(Unfit, match="7x7 window"):
        protocols.score("benchbench", torch.rand(1, 1, 1, 6, 64), torch.rand(1, 1, 1, 6, 64))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_prediction_that_is_no_number_is_named(bad: float) -> None:
    target = clips(3, 4, 1, 8, 8)
    prediction = target.clone()
    prediction[2, 1, 0, 3, 3] = bad
    with pytest.raises(Unfit, match="sequence 2, frame 1: the predicted frame holds nan or inf"):
        protocols.score("benchbench", prediction, target)


def test_data_outside_its_range_is_refused() -> None:
    target = clips(1, 1, 1, 8, 8) * 2 - 1
    with pytest.raises(Unfit, match="outside the range of 0 to 1; declare the range"):
        protocols.score("benchbench", target, target)


def test_whole_numbers_need_a_declared_range() -> None:
    target = (clips(1, 5, 8, 8) * 255).byte()
    prediction = (clips(1, 5, 8, 8, seed=1) * 255).byte()
    with pytest.raises(Unfit, match="whole numbers"):
        protocols.score("benchbench", prediction, target)
    declared = protocols.score("benchbench", prediction, target, span=(0, 255))
    scaled = protocols.score("benchbench", prediction / 255, target / 255)
    for metric, scores in declared.items():
        np.testing.assert_allclose(scores, scaled[metric], rtol=1e-6)


def test_a_declared_range_is_mapped_to_ours() -> None:
    target, prediction = clips(1, 2, 1, 8, 8), clips(1, 2, 1, 8, 8, seed=1)
    ours = protocols.score("benchbench", prediction, target)
    theirs = protocols.score("benchbench", prediction * 2 - 1, target * 2 - 1, span=(-1, 1))
    for metric, scores in ours.items():
        np.testing.assert_allclose(theirs[metric], scores, rtol=1e-5)


def test_the_ends_of_a_range_are_what_the_data_can_hold() -> None:
    target = clips(1, 1, 1, 8, 8) - 0.3
    target[0, 0, 0, 0, :2] = torch.tensor([-0.3, 0.7])  # float32 has neither
    assert target.double().min() < -0.3
    scores = protocols.score("benchbench", target, target, span=(-0.3, 0.7))
    assert scores["ssim"].item() == pytest.approx(1)
    with pytest.raises(Unfit, match=r"from -0\.300000\d+ to"):
        protocols.score("benchbench", target.double(), target.double(), span=(-0.3, 0.7))


def test_float64_frames_are_scored_as_they_are() -> None:
    target = np.full((1, 1, 1, 8, 8), 0.5)
    scores = protocols.score("openstl", target + 1e-9, target)
    assert scores["psnr"].item() == pytest.approx(180, abs=1e-5)
    almost = np.full((1, 1, 1, 8, 8), 1 - 1e-9)
    eight_bit = 20 * math.log10(255)  # one level off, where float32 would make it a 1
    assert protocols.score("predrnn", almost, almost.round())["psnr"].item() == eight_bit


def test_without_a_range_psnr_and_ssim_are_left_out_not_invented() -> None:
    target = clips(1, 2, 1, 8, 8) * 300 - 50
    scores = protocols.score("openstl", target + 1, target, span=None)
    assert set(scores) == {"mse", "mae", "rmse", "mse_mean", "mae_mean", "rmse_mean"}
    assert scores["mse"][0, 0] == pytest.approx(64, rel=1e-4)
    with pytest.raises(Unfit, match=r"that needs none: mim, openstl, pde_driven, phydnet, "):
        protocols.score("benchbench", target, target, span=None)


@pytest.mark.parametrize(
    ("prediction", "target", "says"),
    [
        (torch.rand(1, 2, 1, 8, 8), torch.rand(1, 3, 1, 8, 8), "must be the same"),
        (torch.rand(8, 8), torch.rand(8, 8), "expected .N, T, C, H, W."),
        (torch.rand(1, 2, 8, 8, 1), torch.rand(1, 2, 8, 8, 1), "looks like channels last"),
        (torch.rand(0, 2, 1, 8, 8), torch.rand(0, 2, 1, 8, 8), "nothing to score"),
        (torch.ones(1, 5, 8, 8) > 0, torch.ones(1, 5, 8, 8) > 0, "floating-point"),
    ],
)
def test_arrays_that_are_no_frames_are_refused(
    prediction: torch.Tensor, target: torch.Tensor, says: str
) -> None:
    with pytest.raises(Unfit, match=says):
        protocols.score("benchbench", prediction, target)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'openstl'"):
        protocols.get("openst")
    with pytest.raises(UnknownName, match="did you mean 'ssim'"):
        protocols.get("openstl")["sim"]
    assert issubclass(UnknownName, BenchError)


def test_names_and_signatures_need_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import benchbench.scoring.summary; from benchbench import protocols; "
        "[protocols.get(n).signature(m.name) for n in protocols.names() "
        "for m in protocols.get(n).metrics]; "
        "assert not {'torch', 'numpy', 'pyarrow', 'skimage'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
