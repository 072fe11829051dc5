"""budgetnet.data.specs: what the named data sets say of themselves."""

import subprocess
import sys

import pytest

from budgetnet.data.arrays import load
from budgetnet.data.specs import DATA_SETS, DIGITS, MNIST, MNIST_UNIT


def test_names_are_their_keys():
    assert DATA_SETS == {"mnist": MNIST, "mnist-unit": MNIST_UNIT, "digits": DIGITS}


def test_specifications_hash_and_compare():
    assert len({MNIST, MNIST_UNIT, DIGITS}) == 3


def test_importing_specifications_does_not_import_torch():
    code = "import sys, budgetnet.data.specs; sys.exit(any(m.split('.')[0] in ('torch', 'torchvision', 'sklearn') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mnist_normalization_is_that_of_its_training_images(mnist):
    pixels = mnist.train_images.float() / 255
    assert pixels.mean().item() == pytest.approx(MNIST.mean, abs=5e-5)
    assert pixels.std().item() == pytest.approx(MNIST.std, abs=5e-5)


def test_digits_normalization_is_that_of_its_training_images():
    pytest.importorskip("sklearn")
    pixels = load(DIGITS).train_images.float() / 255
    assert pixels.mean().item() == pytest.approx(DIGITS.mean, abs=5e-5)
    assert pixels.std().item() == pytest.approx(DIGITS.std, abs=5e-5)


def test_mirrors_are_those_of_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    assert list(MNIST.mirrors) == datasets.MNIST.mirrors
    names = [name.removesuffix(".gz") for name, _ in datasets.MNIST.resources]
    assert [file.name for file in MNIST.files] == names
