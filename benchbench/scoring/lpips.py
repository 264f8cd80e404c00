"""LPIPS (Zhang et al., CVPR 2018, arXiv:1801.03924) through the `lpips` package.

n frames, C channels, H height, W width.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from benchbench.errors import DataMissing
from benchbench.scoring.fitness import backbone


def distance(prediction: Tensor, target: Tensor, *, net: str, scale: str, rgb: str) -> Tensor:
    """LPIPS of frames (n, C, H, W) in [0, 1], (n,).

    Args:
        net: `alex`, `vgg` or `squeeze`.
        scale: `-1..1` as the package expects, or `0..1`: frames as they are.
        rgb: `repeat` grey to three channels, or the `first` channel three times unless C is 3.

    Raises:
        DataMissing: the network's weights are not in torch's hub cache, or are not those.
    """
    path = backbone(net)
    network = _network(net, prediction.device, path, path.stat().st_mtime_ns)
    inputs = [_rgb(frames.float(), scale, rgb) for frames in (prediction, target)]
    return torch.flatten(network(*inputs))


def _rgb(frames: Tensor, scale: str, rgb: str) -> Tensor:
    if frames.shape[1] != 3:
        assert rgb == "first" or frames.shape[1] == 1
        frames = frames[:, :1].expand(-1, 3, -1, -1)
    return frames * 2 - 1 if scale == "-1..1" else frames


@functools.lru_cache(maxsize=4)
def _network(net: str, device: torch.device, path: Path, _: int) -> nn.Module:
    """The network; its weight file and the time it was written tell networks apart."""
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
