"""CMS-LSTM's released evaluation: `eval_seq_batch` as its trainer calls it, and `eval_seq`."""

from typing import Any

from benchbench.scoring.protocol import Metric, Protocol, mae, mse, psnr, sharpness, ssim

SOURCE = "github.com/czh-98/CMS-LSTM, utils.py {} (6dfcd19), with scikit-image 0.17.2"


def _metrics(over: str, **ch: Any) -> tuple[Metric, ...]:
    return (
        mse(**ch),
        mae(**ch),
        psnr(peak=255, over=over, quantised=True, **ch),
        ssim(span=255, quantised=True, **ch),
        sharpness(**ch),
    )


PROTOCOLS = (
    Protocol(
        name="cms_lstm",
        version=1,
        title="as released with CMS-LSTM: clipped, 8-bit SSIM and PSNR, channel 0 only",
        source=SOURCE.format("eval_seq_batch"),
        metrics=_metrics("chw", channel=0),
        notes=(
            "only the first channel is scored, which halves the errors of TaxiBJ's two; "
            "with one channel it is the same as cms_lstm_all",
            "a frame that is perfect in 8 bits makes the pooled PSNR infinite, as there",
        ),
    ),
    Protocol(
        name="cms_lstm_all",
        version=1,
        title="CMS-LSTM's other evaluation, called nowhere in its release: all channels",
        source=SOURCE.format("eval_seq"),
        metrics=_metrics("hw"),
        notes=(
            "PSNR is computed for each channel alone, then averaged: one perfect channel makes it "
            "infinite",
            "a frame that is perfect in 8 bits makes the pooled PSNR infinite, as there",
        ),
    ),
)
