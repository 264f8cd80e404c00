"""PhyDNet's evaluation, `main.py evaluate`: nothing clipped, channels averaged."""

from benchbench.scoring.protocol import Protocol, mae, mse, ssim

PROTOCOLS = (
    Protocol(
        name="phydnet",
        version=1,
        title="as released with PhyDNet: unclipped, errors averaged over channels",
        source="github.com/vincent-leguen/PhyDNet, main.py evaluate (289845b)",
        metrics=(
            mse(per="channel", clip=False),
            mae(per="channel", clip=False),
            ssim(span=2, clip=False, channel=0),
        ),
        headline=("ssim", "mse", "mae"),
        notes=(
            "with two channels MSE and MAE are half of those summed over a frame",
            "its SSIM is of unclipped float frames of channel 0 without a data range, so "
            "scikit-image took 2; beyond values of 100,000 or so it loses digits, as there",
            "its cross-entropy, not a number for predictions outside (0, 1), is left out",
        ),
    ),
)
