"""H. Xiao et al., "Fashion-MNIST", arXiv 2017; set in motion as in OpenSTL (Tan et al., 2023).

Two garments move and bounce as the digits of Moving MNIST do. The published test clips,
`fmnist_test_seq.npy`, were made from the *training* images, so a model may have seen what they
show: by default the test clips are generated here, from images kept from training.
"""

from __future__ import annotations

from benchbench.clip import Clip
from benchbench.dataset import Dataset
from benchbench.options import Count
from benchbench.registry import register_dataset

from ._moving import Idx, MovingImages, Published, Sequences, TestFrom

MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

PUBLISHED = Published(
    name="moving_fashion_mnist",
    version=1,
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


@register_dataset("moving_fashion_mnist", version=PUBLISHED.version)
def moving_fashion_mnist(
    *,
    digits: Count = 2,
    size: Count = 64,
    context: Count = 10,
    horizon: Count = 10,
    train: Count | None = None,
    val: Count = 1000,
    test: Count = 10_000,
    test_from: TestFrom = "generated",
    source: str | None = None,
    train_npz: str | None = None,
    test_npz: str | None = None,
    seed: int = 0,
) -> Dataset:
    """Fashion-MNIST images that move straight and bounce off the borders.

    Args:
        digits: how many move in a clip.
        size: side of the square frames, pixels.
        context: frames read.
        horizon: frames to predict.
        train: clips of a fixed training set, 10,000 in PredRNN's; null never repeats a clip.
        val: clips of the validation set, of a tenth of the images that training never sees.
        test: clips of the test set.
        test_from: the published `official` file, or `generated` from a further tenth of the images.
        source: another idx file of images, by name in the dataset's folder or by path.
        train_npz: training clips of the PredRNN project; its last `val` clips are validation's,
            and the file does not tell whether they share images with the others.
        test_npz: test clips of the PredRNN project, of which the first `test` are tested.
        seed: of the generator.
    """
    return MovingImages(
        PUBLISHED,
        Clip(1, size, size, context, horizon),
        digits,
        train,
        val,
        test,
        test_from,
        source,
        train_npz,
        test_npz,
        seed,
    )
