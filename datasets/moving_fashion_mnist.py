"""H. Xiao et al., "Fashion-MNIST", arXiv 2017; set in motion as in OpenSTL (Tan et al., 2023).

Two garments move and bounce as the digits of Moving MNIST do. The published test clips,
`fmnist_test_seq.npy`, were made from the *training* images, so a model may have seen what they
show: by default the test clips are generated here, from images kept from training.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchbench.registry import register_dataset

from ._moving import Idx, MovingImages, Published, Sequences, TestFrom

MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


@register_dataset("moving_fashion_mnist", version=1)
@dataclass(kw_only=True)
class MovingFashionMNIST(MovingImages):
    test_from: TestFrom = "generated"
    published = Published(
        folder="moving_fashion_mnist",
        # Well-known checksums of the unpacked files.
        images=(
            Idx(
                "train-images-idx3-ubyte.gz",
                (f"{MIRROR}train-images-idx3-ubyte.gz",),
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            ),
            Idx(
                "t10k-images-idx3-ubyte.gz",
                (f"{MIRROR}t10k-images-idx3-ubyte.gz",),
                "8181f5470baa50b63fa0f6fddb340f0a",
            ),
        ),
        sequences=Sequences(
            "fmnist_test_seq.npy",
            (
                "https://github.com/chengtan9907/OpenSTL/releases/download/v0.1.0/"
                "fmnist_test_seq.npy.tar",
            ),
            digest=None,  # none was published: trusted when first seen
            member="fmnist_test_seq.npy",
        ),
    )
