"""MEASURES: what can be computed of a predicted frame and the true one.

A measure is a function and its row here. A third-party package offers its own through the
entry-point group `benchbench.measures`: the entry's name is the measure's, its value a `Measure`.
No torch until a function is loaded.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.registry import Offers
from benchbench.scoring import lpips

if TYPE_CHECKING:
    from torch import Tensor

Better = Literal["lower", "higher"]
Options = Mapping[str, Any]


def _check_ssim(options: Options, clip: Clip) -> None:
    window = options["win"]
    if min(clip.height, clip.width) < window:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} are smaller than the {window}x{window} window "
            "of SSIM; use frames of at least that size or a protocol without SSIM"
        )


@dataclass(frozen=True)
class Measure:
    """All that the engine knows of a measure."""

    better: Better
    function: str
    """`module:name` of what gives numbers (n,) from a `frames.Pair` and the options as keywords."""
    needs_range: bool = False
    """Whether it means nothing for data whose range is not known."""
    network: bool = False
    """Whether a network computes it, best where the predictor runs."""
    check: Callable[[Options, Clip], None] = lambda *_: None
    """Raises Unfit for clips it cannot score, DataMissing where a weight file is absent."""

    def load(self) -> Callable[..., Tensor]:
        """The function."""
        function: Callable[..., Tensor] = pkgutil.resolve_name(self.function)
        return function


_FRAMES = "benchbench.scoring.frames"

MEASURES = Offers(
    "benchbench.measures",
    Measure,
    {
        "mse": Measure("lower", f"{_FRAMES}:mse"),
        "mae": Measure("lower", f"{_FRAMES}:mae"),
        "rmse": Measure("lower", f"{_FRAMES}:rmse"),
        "psnr": Measure("higher", f"{_FRAMES}:psnr", needs_range=True),
        "ssim": Measure("higher", f"{_FRAMES}:ssim", needs_range=True, check=_check_ssim),
        "sharpness": Measure("higher", f"{_FRAMES}:sharpness"),
        "lpips": Measure(
            "lower",
            "benchbench.scoring.lpips:distance",
            needs_range=True,
            network=True,
            check=lpips.check,
        ),
    },
)
