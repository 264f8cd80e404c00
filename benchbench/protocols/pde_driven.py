"""PDE-Driven Spatiotemporal Disentanglement's evaluation: everything averaged."""

from benchbench.scoring.protocol import Protocol, mse, psnr

PROTOCOLS = (
    Protocol(
        name="pde_driven",
        version=1,
        title="as released with PDE-Driven: unclipped, errors averaged over all values",
        source="github.com/JeremieDona/spatiotemporal_variable_separation, "
        "var_sep/test/taxibj/test.py and var_sep/test/mnist/test.py (8d92277)",
        metrics=(
            mse(per="value", clip=False),
            psnr(peak=1, over="hw", clip=False),
        ),
        headline=("psnr", "mse"),
        notes=(
            "TaxiBJ's MSE is 1/2048 of the sum over a frame; papers quote 100 times that sum",
            "PSNR, of its Moving MNIST test, is computed for each channel alone, then averaged: "
            "one perfect channel makes it infinite",
            "a perfect frame makes the pooled PSNR infinite, as there",
            "its SSIM, another library's with a Gaussian window, is left out",
        ),
    ),
)
