"""The recommended protocol: all explicit, nothing lost, a better frame never scores worse."""

from benchbench.scoring.protocol import Protocol, mae, mse, psnr, rmse, ssim

PROTOCOLS = (
    Protocol(
        name="benchbench",
        version=1,
        title="recommended: clipped to [0, 1], float frames, data range 1",
        source="this project",
        metrics=(
            mse(),
            mae(),
            mse("mse_mean", label="MSE (mean)", per="value"),
            mae("mae_mean", label="MAE (mean)", per="value"),
            rmse(per="value"),
            psnr(peak=1, cap=100.0),
            ssim(span=1),
        ),
        notes=(
            "MSE and MAE are summed over the values of a frame, as the field quotes them; "
            "mse_mean and mae_mean are the same a value, RMSE is the root of mse_mean",
            "a perfect frame has an infinite PSNR, kept in the rows; pooled it counts as 100 dB, "
            "and the number of such frames is recorded",
        ),
    ),
)
