"""LPIPS (Zhang et al., CVPR 2018, arXiv:1801.03924) through the `lpips` package.

n frames, C channels, H height, W width. No torch until frames are scored.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.clip import Clip
from benchbench.errors import DataMissing, Unfit
from benchbench.folder import from_home

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from benchbench.scoring.frames import Pair

BACKBONES = {
    "alex": ("alexnet-owt-7be5be79.pth", 31),
    "vgg": ("vgg16-397923af.pth", 16),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", 17),
}
"""Network to its weight file in torch's hub cache and the smallest frame it takes."""


def check(options: Mapping[str, Any], clip: Clip) -> None:
    """Looks whether clips of this shape can be scored here.

    Raises:
        Unfit: the frames are too small or have the wrong number of channels.
        DataMissing: the network's weight file is absent.
    """
    net = options["net"]
    smallest = BACKBONES[net][1]
    if min(clip.height, clip.width) < smallest:
        raise Unfit(
            f"frames of {clip.height}x{clip.width} are too small for LPIPS ({net}); "
            f"it needs {smallest}x{smallest}"
        )
    if options["rgb"] == "repeat" and clip.channels not in (1, 3):
        raise Unfit(
            f"LPIPS takes grey or RGB frames, not {clip.channels} channels; "
            "use a protocol without LPIPS"
        )
    backbone(net)


def backbone(net: str) -> Path:
    """The weight file of a network in torch's hub cache.

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
    return from_home(home) / "hub"


def distance(pair: Pair, *, net: str, scale: str, rgb: str) -> Tensor:
    """LPIPS of a pair of frames in [0, 1], (n,).

    Args:
        net: `alex`, `vgg` or `squeeze`.
        scale: `-1..1` as the package expects, or `0..1`: frames as they are.
        rgb: `repeat` grey to three channels, or the `first` channel three times unless C is 3.

    Raises:
        DataMissing: the network's weights are not in torch's hub cache, or are not those.
    """
    path = backbone(net)
    network = _network(net, pair.prediction.device, path, path.stat().st_mtime_ns)
    inputs = [_rgb(frames.float(), scale, rgb) for frames in (pair.prediction, pair.target)]
    values: Tensor = network(*inputs)
    return values.flatten()


def _rgb(frames: Tensor, scale: str, rgb: str) -> Tensor:
    if frames.shape[1] != 3:
        assert rgb == "first" or frames.shape[1] == 1
        frames = frames[:, :1].expand(-1, 3, -1, -1)
    return frames * 2 - 1 if scale == "-1..1" else frames


@functools.lru_cache(maxsize=4)
def _network(net: str, device: torch.device, path: Path, _: int) -> nn.Module:
    """The network; its weight file and the time it was written tell networks apart."""
    from pickle import UnpicklingError

    import lpips

    with warnings.catch_warnings():
        # The package calls torchvision by an argument that torchvision has renamed.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        try:
            network: nn.Module = lpips.LPIPS(net=net, version="0.1", verbose=False)
        except (RuntimeError, UnpicklingError, EOFError) as error:
            reason = str(error).partition("\n")[0]
            raise DataMissing(f"{path}: not the weights of LPIPS ({net}): {reason}") from None
    return network.to(device)
