"""N. Srivastava et al., "Unsupervised Learning of Video Representations using LSTMs", ICML 2015.

Two handwritten digits of MNIST move and bounce. Training clips are generated from the training
images, as every reference does; the test clips are those of `mnist_test_seq.npy`.

Validation: the references validate on the test file. Here a tenth of the training images, drawn
once and for all, is kept from training, and validation clips are generated from it. MNIST's own
test images are not used for it, since the official test clips may show them.
"""

from __future__ import annotations

from benchbench.clip import Clip
from benchbench.dataset import Dataset
from benchbench.options import Count
from benchbench.registry import register_dataset

from ._moving import Idx, MovingImages, Published, Sequences, TestFrom

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

PUBLISHED = Published(
    name="moving_mnist",
    version=1,
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


@register_dataset("moving_mnist", version=PUBLISHED.version)
def moving_mnist(
    *,
    digits: Count = 2,
    size: Count = 64,
    context: Count = 10,
    horizon: Count = 10,
    train: Count | None = None,
    val: Count = 1000,
    test: Count = 10_000,
    test_from: TestFrom = "official",
    source: str | None = None,
    train_npz: str | None = None,
    test_npz: str | None = None,
    seed: int = 0,
) -> Dataset:
    """MNIST digits that move straight and bounce off the borders.

    Args:
        digits: how many move in a clip.
        size: side of the square frames, pixels.
        context: frames read.
        horizon: frames to predict.
        train: clips of a fixed training set, 10,000 in PredRNN's; null never repeats a clip.
        val: clips of the validation set, of a tenth of the images that training never sees.
        test: clips of the test set.
        test_from: the `official` file, or `generated` from a further tenth of the images.
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
