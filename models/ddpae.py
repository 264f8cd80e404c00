"""DDPAE, Hsieh et al., NeurIPS 2018: a video taken apart into objects that move.

Source: jthsieh/DDPAE-video-prediction `models/DDPAE.py`, `models/networks`, `utils/DDPAE_utils.py`
at 219e683. What an object looks like, its content, and where it is, its pose, are random variables
with a learned posterior: trained on one sample of them, tested with their means.

B batch, T frames, K components, C channels, H height, W width; a pose is (scale, x, y).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.errors import Unfit
from benchbench.options import Count
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model

from ._dcgan import decoder, draw_weights, encoder
from ._normal import Gaussian, Normal, excess, posterior

DEVIATION = 0.3
"""Of a pixel from the predicted one, in the likelihood."""


class Poses(NamedTuple):
    """Posteriors of where components are."""

    initial: Normal
    """(B, K, 3), before the first frame."""
    steps: Normal
    """(B, context + horizon, K, 3), by how much each frame's pose differs from that before."""


class PoseModel(nn.Module):
    """Recurrent networks over frames, one component after the other (section 3.2).

    Args:
        independent: components are predicted without regard to each other.
    """

    def __init__(
        self, clip: Clip, components: int, *, width: int, image: int, hidden: int, independent: bool
    ) -> None:
        super().__init__()
        self.components = components
        self.independent = independent
        self.image_encoder = encoder(clip.channels, clip.height, width, image)
        self.encode = nn.LSTM(image + hidden, hidden, batch_first=True)
        self.predict = nn.LSTM(hidden if independent else 2 * hidden, hidden, batch_first=True)
        self.start = nn.LSTM(hidden, hidden, batch_first=True)
        self.step = Gaussian(hidden, 3)
        self.initial = Gaussian(hidden, 3)

    def forward(self, context: Tensor, horizon: int) -> Poses:
        """Posteriors of all frames, from (B, T, C, H, W)."""
        images = self.image_encoder(context.flatten(0, 1)).view(*context.shape[:2], -1)
        # each component sees what the one before it made of the same frame
        read = written = images.new_zeros(*context.shape[:2], self.encode.hidden_size)
        written = images.new_zeros(len(context), horizon, self.encode.hidden_size)
        all_read, all_written = [], []
        for _ in range(self.components):
            read, state = self.encode(torch.cat([images, read.to(images)], dim=2))
            written = self.continued(read[:, -1:], state, written)
            all_read.append(read)
            all_written.append(written)
        first, _ = self.start(torch.stack([read[:, 0] for read in all_read], dim=1))
        frames = torch.cat(
            [torch.stack(all_read, dim=2), torch.stack(all_written, dim=2)], dim=1
        )  # (B, T, K, hidden)
        return Poses(self.initial(first), self.step(frames))

    def continued(self, output: Tensor, state: tuple[Tensor, Tensor], others: Tensor) -> Tensor:
        """A component's outputs of predicted frames, (B, horizon, hidden).

        Args:
            output: its last one of the context, (B, 1, hidden).
            state: of the network that read the context.
            others: those of the component before it.
        """
        outputs = []
        for t in range(others.shape[1]):
            if not self.independent:
                output = torch.cat([output, others[:, t : t + 1].to(output)], dim=2)
            output, state = self.predict(output, state)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


class Content(nn.Module):
    """What a component looks like, from its crops of all context frames."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2 * inputs)

    def forward(self, crops: Tensor) -> Normal:
        """Posterior (N, inputs), from (N, T, inputs)."""
        outputs, _ = self.encoder(crops)
        mu, sigma = self.head(outputs[:, -1]).chunk(2, dim=1)
        return posterior(mu, sigma)


def warped(images: Tensor, pose: Tensor, size: int) -> Tensor:
    """(N, C, size, size): images seen through a grid that is scaled by s and moved by (x, y).

    Corners are aligned, as in torch 0.3, which the source is for.
    """
    line = torch.linspace(-1, 1, size, dtype=pose.dtype, device=pose.device)
    scale, x, y = pose[:, :, None, None].unbind(1)
    columns = (scale * line + x).expand(-1, size, -1)
    rows = (scale * line[:, None] + y).expand(-1, -1, size)
    grid = torch.stack([columns, rows], dim=3)
    return F.grid_sample(images.to(pose), grid, align_corners=True)


class Scene(NamedTuple):
    """One drawing of all variables, and what it looks like."""

    poses: Poses
    initial: Tensor
    steps: Tensor
    pose: Tensor
    """(B, T, K, 3), within bounds."""
    crops: Tensor
    """(B · context · K, C, h, w)"""
    looks: Normal
    content: Tensor
    """(B · K, content)"""
    objects: Tensor
    """(B · T · K, C, h, w)"""
    components: Tensor
    """(B, T, K, C, H, W)"""
    frames: Tensor
    """(B, T, C, H, W): sums of components, at most 1."""


class DDPAE(Predictor):
    """Poses, crops, contents, objects, frames.

    Args:
        scale: how many times smaller than a frame an object is on average.
    """

    def __init__(
        self,
        pose_model: PoseModel,
        object_encoder: nn.Module,
        content: Content,
        object_decoder: nn.Module,
        *,
        crop: int,
        scale: float,
    ) -> None:
        super().__init__()
        self.pose_model = pose_model
        self.object_encoder = object_encoder
        self.content = content
        self.object_decoder = object_decoder
        self.crop = crop
        self.scale = scale

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        frames = self.scene(context, horizon, lambda posterior: posterior.mu).frames
        return frames[:, -horizon:].to(context.dtype)

    def scene(self, context: Tensor, horizon: int, draw: Callable[[Normal], Tensor]) -> Scene:
        """All variables, drawn from their posteriors by `draw`."""
        B, T, K = *context.shape[:2], self.pose_model.components
        poses = self.pose_model(context, horizon)
        initial, steps = draw(poses.initial), draw(poses.steps)
        pose = self.bounded(initial[:, None] + steps.cumsum(dim=1))
        each = context[:, :, None].expand(-1, -1, K, -1, -1, -1).flatten(0, 2)
        crops = warped(each, inverted(pose[:, :T].flatten(0, 2)), self.crop)
        codes = self.object_encoder(crops).view(B, T, K, -1).transpose(1, 2)
        looks = self.content(codes.flatten(0, 1))
        content = draw(looks)
        objects = self.object_decoder(content[:, :, None, None])  # (B K, C, h, w)
        objects = objects.view(B, 1, K, *objects.shape[1:]).expand(-1, T + horizon, *[-1] * 4)
        objects = objects.flatten(0, 2)
        components = warped(objects, pose.flatten(0, 2), context.shape[-1])
        components = components.view(B, T + horizon, K, *context.shape[2:])
        frames = components.sum(dim=2).clamp(max=1)
        return Scene(
            poses, initial, steps, pose, crops, looks, content, objects, components, frames
        )

    def bounded(self, pose: Tensor) -> Tensor:
        """Scales within 1 of the mean, and positions that keep the object in the frame."""
        scale = pose[..., :1].clamp(self.scale - 1, self.scale + 1)
        return torch.cat([scale, torch.tanh(pose[..., 1:]) * (scale - 0.5)], dim=-1)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """The negative evidence bound of one sample, summed over everything, the batch's too.

        It has all frames, the context's reconstructed; the suite's pixel loss is not used.
        """

        def draw(posterior: Normal) -> Tensor:
            noise = torch.randn(posterior.mu.shape, generator=progress.generator)
            return posterior.mu + posterior.sigma * noise.to(posterior.mu)

        scene = self.scene(context, target.shape[1], draw)
        frames = torch.cat([context, target], dim=1)
        seen = Normal(scene.frames, torch.full_like(scene.frames, DEVIATION))
        start = scene.initial.new_tensor([self.scale, 0, 0])
        spread = scene.initial.new_tensor([0.2, 1, 1])
        still, one = torch.zeros_like(start), torch.ones_like(scene.content)
        return {
            "likelihood": -seen.log_density(frames),
            "initial": excess(scene.poses.initial, Normal(start, spread), scene.initial),
            "steps": excess(scene.poses.steps, Normal(still, still + 0.1), scene.steps),
            "content": excess(scene.looks, Normal(0 * one, one), scene.content),
        }


def inverted(pose: Tensor) -> Tensor:
    """The pose (N, 3) that undoes another."""
    scale = pose[:, :1]
    return torch.cat([1 / scale, -pose[:, 1:] / scale], dim=1)


@register_model("ddpae")
def ddpae(
    clip: Clip,
    *,
    components: Count = 2,
    hidden: Count = 64,
    image: Count = 256,
    content: Count = 128,
    width: Count = 8,
    scale: float = 2.0,
    independent: bool = False,
) -> Predictor:
    """DDPAE; the defaults are the authors' for Moving MNIST.

    Args:
        components: objects of a video, 2 digits on Moving MNIST.
        hidden: units of the recurrent networks.
        image: length of the code of a frame.
        content: length of the code of an object.
        width: of the outermost layer of encoders and decoder.
        scale: how many times smaller than a frame an object is on average.
        independent: components move without regard to each other.
    """
    size = clip.height
    if clip.width != size or size < 16 or size & (size - 1):
        raise Unfit(
            f"frames of {clip.height}x{clip.width}: objects are cropped out of squares with a side "
            "of 16, 32, 64, …; crop or scale the frames"
        )
    if scale <= 1:
        raise Unfit(f"scale must be more than 1, for scales down to one less, not {scale:g}")
    crop = size // 2
    predictor = DDPAE(
        PoseModel(
            clip, components, width=width, image=image, hidden=hidden, independent=independent
        ),
        encoder(clip.channels, crop, width, content),
        Content(content, hidden),
        decoder(content, crop, width, clip.channels),
        crop=crop,
        scale=scale,
    )
    draw_weights(predictor)
    return predictor
