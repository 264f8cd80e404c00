"""PredRNN's evaluation in PyTorch, `core/trainer.py test`; its LPIPS as a protocol of its own."""

from benchbench.scoring.protocol import Protocol, lpips, mse, psnr, ssim

SOURCE = "github.com/thuml/predrnn-pytorch, core/trainer.py test (49d3b0f)"
DROPPED = (
    "the reference drops the last full batch (9,992 of 10,000 sequences at batch 8); "
    "here every sequence is scored"
)

PROTOCOLS = (
    Protocol(
        name="predrnn",
        version=1,
        title="as released with PredRNN (PyTorch): clipped, 8-bit SSIM and PSNR, all channels",
        source=f"{SOURCE}, with scikit-image 0.17.2",
        metrics=(
            mse(),
            mse("mse_sequence", label="MSE (sequence)", pool="sequence-sum"),
            psnr(peak=255, quantised=True),
            ssim(span=255, quantised=True),
        ),
        headline=("psnr", "ssim", "mse"),
        notes=(
            "mse_sequence is what it prints as 'mse per seq': the sum over the predicted frames",
            DROPPED,
            "a frame that is perfect in 8 bits makes the pooled PSNR infinite, as there",
        ),
    ),
    Protocol(
        name="predrnn_lpips",
        version=1,
        title="LPIPS as released with PredRNN (PyTorch): fed [0, 1] where [-1, 1] is expected",
        source=SOURCE,
        metrics=(lpips(net="alex", scale="0..1", rgb="first"),),
        headline=("lpips",),
        notes=(
            "frames that are not RGB are channel 0 three times; compare lpips_alex",
            DROPPED,
        ),
    ),
)
