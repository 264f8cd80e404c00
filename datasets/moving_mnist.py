"""N. Srivastava et al., "Unsupervised Learning of Video Representations using LSTMs", ICML 2015.

Two handwritten digits of MNIST move and bounce. Training clips are generated from the training
images, as every reference does; the test clips are those of `mnist_test_seq.npy`.

Validation: the references validate on the test file. Here a tenth of the training images, drawn
once and for all, is kept from training, and validation clips are generated from it. MNIST's own
test images are not used for it, since the official test clips may show them. With `val_from:
training` all images are trained on, and validation clips show the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchbench.registry import register_dataset

from ._moving import Idx, MovingImages, Published, Sequences, TestFrom

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@register_dataset("moving_mnist", version=1)
@dataclass(kw_only=True)
class MovingMNIST(MovingImages):
    test_from: TestFrom = "official"
    published = Published(
        folder="moving_mnist",
        # Well-known checksums of the unpacked files; that of the clips is torchvision's.
        images=(
            Idx(
                "train-images-idx3-ubyte.gz",
                tuple(f"{mirror}train-images-idx3-ubyte.gz" for mirror in MIRRORS),
                "6bbc9ace898e44ae57da46a324031adb",
            ),
            Idx(
                "t10k-images-idx3-ubyte.gz",
                tuple(f"{mirror}t10k-images-idx3-ubyte.gz" for mirror in MIRRORS),
                "2646ac647ad5339dbf082846283269ea",
            ),
        ),
        sequences=Sequences(
            "mnist_test_seq.npy",
            ("http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",),
            "md5:be083ec986bfe91a449d63653c411eb2",
        ),
    )
