"""The data sets that budgetnet knows by name. Definitions only: nothing is read, and torch is not imported."""

from __future__ import annotations

from dataclasses import replace

from budgetnet.definition import DataFile, DataSet

__all__ = ["DATA_SETS", "DIGITS", "MNIST", "MNIST_UNIT"]

# The sums are of the decompressed files: the same content is in circulation in archives that differ byte by byte.
MNIST = DataSet(
    name="mnist",
    image_shape=(1, 28, 28),
    classes=10,
    mean=0.1307,
    std=0.3081,
    format="idx",
    folder="MNIST/raw",
    files=(
        DataFile("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        DataFile("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        DataFile("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        DataFile("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
)

# The same files with pixels divided by 255 and not standardized, as the Keras documents have them.
MNIST_UNIT = replace(MNIST, name="mnist-unit", mean=0.0, std=1.0)

# scikit-learn's 1,797 digits of 8×8 pixels and 17 grey levels, scaled to MNIST's shape so that the same networks fit.
# Mean and standard deviation were measured over the 1,442 training images that arrays.load gives; a test holds them.
DIGITS = DataSet(name="digits", image_shape=(1, 28, 28), classes=10, mean=0.3051, std=0.3248, format="digits")

DATA_SETS: dict[str, DataSet] = {data_set.name: data_set for data_set in (MNIST, MNIST_UNIT, DIGITS)}
