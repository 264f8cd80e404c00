"""Encoders and decoders of DCGAN, Radford et al., ICLR 2016, arXiv:1511.06434.

N frames, C channels; sides are powers of 2.
"""

from __future__ import annotations

from torch import nn


def encoder(channels: int, size: int, width: int, outputs: int) -> nn.Sequential:
    """(N, C, size, size) to (N, outputs, 1, 1): convolutions that halve, down to 4x4 and to 1x1."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2),
    ]
    while (size := size // 2) > 4:
        layers += [
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
        ]
        width *= 2
    return nn.Sequential(*layers, nn.Conv2d(width, outputs, 4, bias=False))


def decoder(inputs: int, size: int, width: int, channels: int) -> nn.Sequential:
    """(N, inputs, 1, 1) to (N, C, size, size) in [0, 1], the encoder backwards."""
    width *= size // 8
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(inputs, width, 4, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    while (size := size // 2) > 4:
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
        ]
        width //= 2
    last = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(*layers, last, nn.Sigmoid())


def draw_weights(module: nn.Module) -> None:
    """Draws kernels and matrices from a normal distribution of deviation 0.02, biases zero."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
