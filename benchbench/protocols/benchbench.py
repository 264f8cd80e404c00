"""The recommended protocol: all explicit, nothing lost, a better frame never scores worse."""

from benchbench.scoring.protocol import Protocol, absolute, psnr, root, squared, ssim

PROTOCOLS = (
    Protocol(
        name="benchbench",
        version=1,
        title="recommended: clipped to [0, 1], float frames, data range 1",
        source="this project",
        metrics=(
            squared(),
            absolute(),
            squared("mse_mean", label="MSE (mean)", per="value"),
            absolute("mae_mean", label="MAE (mean)", per="value"),
            root(per="value"),
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
