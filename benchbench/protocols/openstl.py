"""OpenSTL's evaluation, `metric`, as it computed until scikit-image 0.20 broke its SSIM."""

from benchbench.scoring.protocol import Protocol, mae, mse, psnr, rmse, ssim

PROTOCOLS = (
    Protocol(
        name="openstl",
        version=1,
        title="as OpenSTL: errors of unclipped predictions, SSIM of data range 2",
        source="github.com/chengtan9907/OpenSTL, openstl/core/metrics.py metric (0d74406), "
        "with scikit-image 0.19.3",
        metrics=(
            mse(clip=False),
            mae(clip=False),
            rmse(clip=False),
            mse("mse_mean", label="MSE (mean)", per="value", clip=False),
            mae("mae_mean", label="MAE (mean)", per="value", clip=False),
            rmse("rmse_mean", label="RMSE (mean)", per="value", clip=False),
            psnr(peak=1),
            ssim(span=2),
        ),
        notes=(
            "its SSIM names no data range, so scikit-image took 2, that of floats from -1 to 1: "
            "constants four times those of range 1 inflate the score",
            "mse_mean, mae_mean and rmse_mean are its spatial_norm=True",
            "a perfect frame makes the pooled PSNR infinite, as there",
            "its LPIPS is lpips_alex; its SNR, undefined for black frames, is left out",
            "scikit-image 0.19 computed float32 frames in float32, here it is float64 (1e-8)",
        ),
    ),
)
