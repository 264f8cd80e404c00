"""Protocols against what the published evaluation codes gave (tests/goldens/metrics/README.md)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchbench import protocols

FOLDER = Path(__file__).parents[1] / "goldens" / "metrics"
CASES = ("mmnist_finite", "mmnist_perfect", "taxibj_finite")
Arrays = dict[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="module", params=CASES)
def golden(request: pytest.FixtureRequest) -> Arrays:
    with np.load(FOLDER / f"{request.param}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "meta"}


def near(got: object, want: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(got, want.astype(np.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("name", "prefix"), [("cms_lstm", "cms_evalseqbatch"), ("cms_lstm_all", "cms_evalseq")]
)
def test_cms_lstm_as_recorded(golden: Arrays, name: str, prefix: str) -> None:
    scores = protocols.score(name, golden["pred"], golden["gt"])
    for metric, recorded in (
        ("mse", "mse"),
        ("mae", "mae"),
        ("psnr", "psnr"),
        ("ssim", "ssim"),
        ("sharpness", "sharp"),
    ):
        near(scores[metric].mean(0), golden[f"{prefix}_{recorded}_frame"])
        pooled = protocols.get(name)[metric].pooled(scores[metric])
        near(pooled, golden[f"{prefix}_{recorded}_mean"])


def test_predrnn_as_recorded(golden: Arrays) -> None:
    scores = protocols.score("predrnn", golden["pred"], golden["gt"])
    for metric in ("mse", "psnr", "ssim"):
        near(scores[metric].mean(0), golden[f"thuml_{metric}"])
    sequence = protocols.get("predrnn")["mse_sequence"]
    near(sequence.pooled(scores["mse_sequence"]), golden["thuml_mse_per_seq"])


def test_openstl_as_recorded(golden: Arrays) -> None:
    scores = protocols.score("openstl", golden["pred"], golden["gt"])
    for metric in ("mse", "mae", "psnr", "ssim"):
        near(scores[metric].mean(0), golden[f"openstl_frame_{metric}"])
    for metric, recorded in (
        ("mse", "mse"),
        ("mae", "mae"),
        ("rmse", "rmse"),
        ("psnr", "psnr"),
        ("ssim", "ssim"),
        ("mse_mean", "mse_spatialnorm"),
        ("mae_mean", "mae_spatialnorm"),
    ):
        pooled = protocols.get("openstl")[metric].pooled(scores[metric])
        near(pooled, golden[f"openstl_{recorded}"])


def test_scores_of_the_other_scales_follow_from_those_recorded(golden: Arrays) -> None:
    pred, gt = golden["pred"], golden["gt"]
    C, H, W = gt.shape[2:]
    mse = golden["openstl_frame_mse"]
    near(protocols.score("phydnet", pred, gt)["mse"].mean(0), mse / C)
    near(protocols.score("pde_driven", pred, gt)["mse"].mean(0), mse / (C * H * W))
    mim = protocols.score("mim", pred, gt)
    near(mim["mae"].mean(0), golden["openstl_frame_mae"])
    near(mim["ssim"].mean(0), golden["openstl_frame_ssim"])
    near(mim["psnr"].mean(0), golden["thuml_psnr"])
    near(protocols.score("e3d_lstm", pred, gt)["psnr"].mean(0), golden["thuml_psnr"])
    pp = protocols.score("predrnn_pp", pred, gt)
    near(pp["ssim"].mean(0), golden["cms_evalseqbatch_ssim_frame"])
