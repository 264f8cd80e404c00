"""MIM's evaluation in TensorFlow, `src/trainer.py test`."""

from benchbench.scoring.protocol import Protocol, mae, mse, psnr, sharpness, ssim

PROTOCOLS = (
    Protocol(
        name="mim",
        version=1,
        title="as released with MIM: unclipped MAE, SSIM of data range 2, 8-bit PSNR",
        source="github.com/Yunbo426/MIM, src/trainer.py test (a61eb6a)",
        metrics=(
            mse(),
            mse("mse_sequence", label="MSE (sequence)", pool="sequence-sum"),
            mae(clip=False),
            psnr(peak=255, quantised=True),
            ssim(span=2),
            sharpness(),
        ),
        notes=(
            "its SSIM is of float frames without a data range, so scikit-image took 2",
            "mse_sequence is what it prints as 'mse per seq': the sum over the predicted frames",
            "a perfect frame makes the pooled PSNR infinite, as there",
            "the reference stops at 100 batches while training and drops the last full batch; "
            "here every sequence is scored",
        ),
    ),
)
