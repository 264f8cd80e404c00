"""PredRNN++'s evaluation in TensorFlow, `train.py`."""

from benchbench.scoring.protocol import Protocol, mae, mse, psnr, sharpness, ssim

PROTOCOLS = (
    Protocol(
        name="predrnn_pp",
        version=1,
        title="as released with PredRNN++: as cms_lstm, but MAE of unclipped predictions",
        source="github.com/Yunbo426/predrnn-pp, train.py and utils/metrics.py (40764c5)",
        metrics=(
            mse(channel=0),
            mse("mse_sequence", label="MSE (sequence)", pool="sequence-sum", channel=0),
            mae(channel=0, clip=False),
            psnr(peak=255, quantised=True, channel=0),
            ssim(span=255, quantised=True, channel=0),
            sharpness(channel=0),
        ),
        notes=(
            "only the first channel is scored",
            "mse_sequence is what it prints as 'mse per seq': the sum over the predicted frames",
            "a perfect frame makes the pooled PSNR infinite, as there",
            "the reference drops the last full batch; here every sequence is scored",
        ),
    ),
)
