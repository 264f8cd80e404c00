"""Whether a measure can score clips of a shape here: sizes, channels, weight files; no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchbench.clip import Clip
from benchbench.errors import DataMissing, Unfit

BACKBONES = {
    "alex": ("alexnet-owt-7be5be79.pth", 31),
    "vgg": ("vgg16-397923af.pth", 16),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", 17),
}
"""LPIPS network to its weight file in torch's hub cache and the smallest frame it takes."""


def check(measure: str, options: dict[str, Any], clip: Clip) -> None:
    """Looks whether a measure can score clips of this shape here.

    Raises:
        Unfit: the frames are too small or have the wrong number of channels.
        DataMissing: a weight file is absent.
    """
    if measure == "ssim" and min(clip.height, clip.width) < options["win"]:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} are smaller than the "
            f"{options['win']}x{options['win']} window of SSIM; use frames of at least that size "
            "or a protocol without SSIM"
        )
    if measure == "lpips":
        _check_lpips(options["net"], options["rgb"], clip)


def _check_lpips(net: str, rgb: str, clip: Clip) -> None:
    smallest = BACKBONES[net][1]
    if min(clip.height, clip.width) < smallest:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} are too small for LPIPS ({net}); "
            f"it needs {smallest}x{smallest}"
        )
    if rgb == "repeat" and clip.channels not in (1, 3):
        raise Unfit(
            f"LPIPS takes grey or RGB frames, not {clip.channels} channels; "
            "use a protocol without LPIPS"
        )
    backbone(net)


def backbone(net: str) -> Path:
    """The weight file of an LPIPS backbone in torch's hub cache.

    Raises:
        DataMissing: it is not there; nothing is downloaded by itself.
    """
    path = hub_folder() / "checkpoints" / BACKBONES[net][0]
    if not path.is_file():
        raise DataMissing(
            f"the ImageNet weights of LPIPS ({net}) are missing; "
            f"put torchvision's '{path.name}' into {path.parent}"
        )
    return path


def hub_folder() -> Path:
    """Where `torch.hub` keeps its files, without importing torch."""
    home = os.environ.get("TORCH_HOME")
    if home is None:
        home = os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/torch"
    return Path(home).expanduser() / "hub"
