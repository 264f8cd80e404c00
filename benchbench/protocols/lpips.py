"""LPIPS as its package means it: frames in [-1, 1], grey repeated to three channels."""

from benchbench.scoring.protocol import Protocol, lpips

PROTOCOLS = tuple(
    Protocol(
        name=f"lpips_{net}",
        version=1,
        title=f"LPIPS with {network}, as its package means it",
        source="github.com/richzhang/PerceptualSimilarity, package lpips 0.1.4, weights v0.1",
        metrics=(lpips(net=net, scale="-1..1", rgb="repeat"),),
        headline=("lpips",),
        notes=(
            "grey frames are repeated to three channels; other than grey and RGB are refused",
            f"needs torchvision's ImageNet weights of {network} in torch's hub cache",
        ),
    )
    for net, network in (("alex", "AlexNet"), ("vgg", "VGG-16"), ("squeeze", "SqueezeNet 1.1"))
)
