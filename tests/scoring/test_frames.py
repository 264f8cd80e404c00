"""The measures against scikit-image and cases worked out by hand."""

import math

import numba
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchbench.scoring import frames as functions
from benchbench.scoring import measures, planes
from benchbench.scoring.frames import Pair


def frames(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pair(x: torch.Tensor, y: torch.Tensor, **how: object) -> Pair:
    return Pair(x, y, **how)  # type: ignore[arg-type]


def smooth(n: int, c: int, h: int, w: int, seed: int) -> torch.Tensor:
    coarse = frames(n, c, 5, 5, seed=seed)
    return torch.nn.functional.interpolate(coarse, (h, w), mode="bilinear", align_corners=True)


@pytest.mark.parametrize("size", [(7, 7), (8, 31), (64, 64), (33, 20)])
@pytest.mark.parametrize("span", [1.0, 2.0])
def test_ssim_of_floats_is_scikit_images(size: tuple[int, int], span: float) -> None:
    x, y = smooth(3, 2, *size, seed=1), smooth(3, 2, *size, seed=2)
    ours = functions.ssim(pair(x, y), range=span, win=7)
    for n in range(3):
        theirs = structural_similarity(
            x[n].double().numpy(), y[n].double().numpy(), channel_axis=0, data_range=span
        )
        assert float(ours[n]) == pytest.approx(theirs, abs=1e-12)


def test_ssim_of_quantised_frames_is_scikit_images_of_uint8() -> None:
    x, y = smooth(3, 1, 24, 40, seed=3), smooth(3, 1, 24, 40, seed=4)
    ours = functions.ssim(pair(x, y, quantised=True), range=255, win=7)
    for n in range(3):
        eight = [(f[n, 0].numpy() * 255).astype(np.uint8) for f in (x, y)]
        assert float(ours[n]) == pytest.approx(structural_similarity(*eight), abs=1e-12)


def test_ssim_of_white_frames_keeps_its_precision() -> None:
    x = torch.ones(1, 1, 16, 16)
    y = 1 - 1e-3 * frames(1, 1, 16, 16)
    theirs = structural_similarity(
        x[0, 0].double().numpy(), y[0, 0].double().numpy(), data_range=1.0
    )
    assert float(functions.ssim(pair(x, y), range=1, win=7)) == pytest.approx(theirs, abs=1e-10)


def test_psnr_is_scikit_images() -> None:
    x, y = frames(4, 3, 9, 11, seed=5), frames(4, 3, 9, 11, seed=6)
    joint = functions.psnr(pair(x, y), peak=1)
    alone = functions.psnr(pair(x, y), peak=1, mse="hw")
    for n in range(4):
        a, b = y[n].double().numpy(), x[n].double().numpy()
        each = [peak_signal_noise_ratio(a[c], b[c], data_range=1) for c in range(3)]
        assert float(joint[n]) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1))
        assert float(alone[n]) == pytest.approx(np.mean(each))
        assert float(joint[n]) != pytest.approx(np.mean(each), abs=1e-6)


def test_errors_of_a_frame_worked_out_by_hand() -> None:
    x = torch.tensor([[[[0.5, 0.0]], [[1.0, 1.0]]]])  # one frame, two channels of 1x2
    y = torch.tensor([[[[0.0, 0.0]], [[1.0, 0.0]]]])
    one = pair(x, y)
    assert functions.mse(one, per="frame").tolist() == [1.25]
    assert functions.mse(one, per="channel").tolist() == [0.625]
    assert functions.mse(one, per="value").tolist() == [0.3125]
    assert functions.mse(one, per="frame", ch=0).tolist() == [0.25]
    assert functions.mae(one, per="frame").tolist() == [1.5]
    assert functions.mae(one, per="value", ch=1).tolist() == [0.5]
    assert functions.rmse(one, per="frame").tolist() == [math.sqrt(1.25)]


def test_predictions_are_clipped_and_targets_are_not_needed_to_be() -> None:
    x, y = torch.full((1, 1, 2, 2), 1.5), torch.ones(1, 1, 2, 2)
    assert functions.mse(pair(x, y, clip=True), per="frame").tolist() == [0]
    assert functions.mse(pair(x, y), per="frame").tolist() == [1]


def test_quantising_truncates_and_returns_every_level() -> None:
    levels = torch.arange(256) / 255
    assert functions.quantise(levels).tolist() == list(range(256))
    assert functions.quantise(torch.tensor([0.999, 0.5])).tolist() == [254, 127]


def test_a_perfect_frame_has_an_infinite_psnr_and_no_warning() -> None:
    x = frames(2, 1, 8, 8)
    y = x.clone()
    y[1] += 0.1
    assert functions.psnr(pair(x, y), peak=1).tolist() == [math.inf, pytest.approx(20, abs=1e-5)]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_frames_have_a_finite_ssim(value: float) -> None:
    x = torch.full((1, 1, 8, 8), value)
    assert functions.ssim(pair(x, x), range=1, win=7).tolist() == [pytest.approx(1)]
    other = functions.ssim(pair(x, 1 - x), range=1, win=7)
    assert bool(torch.isfinite(other).all())


def test_the_wrapping_psnr_takes_a_large_error_for_none() -> None:
    black, grey = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), 16.01 / 255)
    one = pair(grey, black, quantised=True)
    assert functions.psnr(one, peak=255, wrap=256).tolist() == [math.inf]
    assert float(functions.psnr(one, peak=255)) == pytest.approx(20 * math.log10(255 / 16))


def test_sharpness_is_the_largest_laplacian() -> None:
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 30.2 / 255
    assert functions.sharpness(pair(x, x, quantised=True)).tolist() == [120]
    x[0, 0, 2, 2] = 1
    assert functions.sharpness(pair(x, x, quantised=True)).tolist() == [255]


@pytest.mark.parametrize("shape", [(1, 9, 13), (3, 64, 64), (2, 7, 100)])
@pytest.mark.parametrize("quantised", [False, True])
def test_a_frames_numbers_do_not_depend_on_its_neighbours(
    shape: tuple[int, int, int], quantised: bool
) -> None:
    x, y = frames(37, *shape, seed=7), frames(37, *shape, seed=8)
    options_of = {
        "mse": {"per": "frame"},
        "mae": {"per": "value"},
        "psnr": {"peak": 1, "mse": "hw"},
        "ssim": {"range": 1.0, "win": 7},
        "sharpness": {},
    }
    for name, options in options_of.items():
        function = measures.MEASURES[name].load()
        together = function(pair(x, y, quantised=quantised), **options)
        for part in (slice(0, 1), slice(3, 8), slice(36, 37), slice(1, 34)):
            alone = function(pair(x[part], y[part], quantised=quantised), **options)
            assert torch.equal(together[part], alone), (name, part)


@pytest.mark.parametrize("window", [3, 5, 9, 11])
def test_ssim_of_any_window_is_scikit_images(window: int) -> None:
    x, y = smooth(1, 1, 11, 40, seed=9), smooth(1, 1, 11, 40, seed=10)
    ours = functions.ssim(pair(x, y), range=1, win=window)
    arrays = [frame[0, 0].double().numpy() for frame in (x, y)]
    theirs = structural_similarity(*arrays, data_range=1, win_size=window)
    assert float(ours) == pytest.approx(theirs, abs=1e-12)


def test_where_machine_code_cannot_be_kept_it_is_made_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(planes.errors.py_func)
    anew = planes.compiled(planes.errors.py_func)
    x, y = np.ones((1, 2, 3), np.float32), np.zeros((1, 2, 3), np.float32)
    assert anew(x, y).tolist() == [[6], [6]]
