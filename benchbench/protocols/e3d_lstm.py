"""E3D-LSTM's evaluation in TensorFlow, `src/trainer.py test`, whose SSIM is commented out."""

from benchbench.scoring.protocol import Protocol, mse, psnr

PROTOCOLS = (
    Protocol(
        name="e3d_lstm",
        version=1,
        title="as released with E3D-LSTM: clipped MSE and 8-bit PSNR, no SSIM",
        source="github.com/google/e3d_lstm, src/trainer.py test (fc68c79)",
        metrics=(
            mse(),
            mse("mse_sequence", label="MSE (sequence)", pool="sequence-sum"),
            psnr(peak=255, quantised=True),
        ),
        headline=("psnr", "mse"),
        notes=(
            "the code of its published SSIM is not released",
            "mse_sequence is what it prints as 'mse per seq': the sum over the predicted frames",
            "a perfect frame makes the pooled PSNR infinite, as there",
            "the reference drops the last full batch; here every sequence is scored",
        ),
    ),
)
