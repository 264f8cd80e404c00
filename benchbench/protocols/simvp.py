"""SimVP's evaluation, `API/metrics.py metric`, whose PSNR wraps around in 8 bits."""

from benchbench.scoring.protocol import Protocol, mae, mse, psnr, ssim

PROTOCOLS = (
    Protocol(
        name="simvp",
        version=1,
        title="as released with SimVP: like openstl, but a PSNR that wraps around in 8 bits",
        source="github.com/A4Bio/SimVP, API/metrics.py metric (08157e3)",
        metrics=(
            mse(clip=False),
            mae(clip=False),
            psnr(peak=255, wrap=256, quantised=True),
            ssim(span=2),
        ),
        notes=(
            "differences and squares of uint8 frames are taken modulo 256, so a large error can "
            "score as none, and 16 levels everywhere as infinite: this PSNR can rank a worse "
            "prediction first",
            "its SSIM names no data range, so scikit-image took 2",
            "a perfect frame makes the pooled PSNR infinite, as there",
        ),
    ),
)
