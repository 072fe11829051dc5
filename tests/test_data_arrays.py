"""budgetnet.data.arrays: every format becomes the same four tensors."""

import dataclasses
import gzip
import sys

import numpy as np
import pytest
import torch

from budgetnet.data.arrays import load
from budgetnet.data.files import DataError, find_data
from budgetnet.data.specs import DIGITS, MNIST
from budgetnet.definition import DataSet

SHAPES = DataSet("shapes", (1, 6, 8), 2, 0.5, 0.5, format="folder", folder="Shapes")


def save(path, pixels: np.ndarray) -> None:
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(pixels).save(path)


@pytest.fixture
def shapes(tmp_path):
    """Three grey pictures of each of two classes in train, one in test; the value tells class and number."""
    pytest.importorskip("torchvision")
    for part, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(("circle", "square")):
            for i in range(count):
                save(tmp_path / f"Shapes/{part}/{name}/{i}.png", np.full((6, 8), 100 * label + i, dtype=np.uint8))
    return tmp_path


def test_mnist_is_complete(mnist):
    assert mnist.train_images.shape == (60000, 1, 28, 28)
    assert mnist.test_images.shape == (10000, 1, 28, 28)
    assert mnist.train_images.dtype == mnist.test_images.dtype == torch.uint8
    assert mnist.train_labels.dtype == mnist.test_labels.dtype == torch.int64
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_is_what_torchvision_reads(mnist, tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")
    folder = tmp_path / MNIST.folder
    folder.mkdir(parents=True)
    for file in MNIST.files:  # torchvision reads decompressed files only, and wants all four to be there
        (folder / file.name).touch()
    for file in MNIST.files[2:]:
        found = find_data(MNIST, download=False) / MNIST.folder / file.name
        content = found.read_bytes() if found.exists() else gzip.decompress(found.with_name(f"{file.name}.gz").read_bytes())
        (folder / file.name).write_bytes(content)
    theirs = datasets.MNIST(str(tmp_path), train=False)
    assert torch.equal(theirs.data, mnist.test_images[:, 0])
    assert torch.equal(theirs.targets, mnist.test_labels)


def test_what_is_loaded_belongs_to_the_caller(mnist):
    mine = load(MNIST, download=False)
    mine.test_images.zero_()
    assert torch.equal(load(MNIST, download=False).test_images, mnist.test_images)


def test_digits_are_stable_and_stratified():
    pytest.importorskip("sklearn")
    digits = load(DIGITS)
    assert digits.train_images.shape == (1442, 1, 28, 28)
    assert digits.test_images.shape == (355, 1, 28, 28)
    assert digits.train_images.dtype == torch.uint8
    assert digits.train_labels.dtype == torch.int64
    assert digits.train_images.max() > 240
    assert digits.train_images.min() == 0
    assert set(digits.test_labels.bincount().tolist()) <= {34, 35, 36}
    assert torch.equal(load(DIGITS).train_images, digits.train_images)


def test_digits_without_scikit_learn_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        load(DIGITS)


def test_digits_of_another_kind_are_refused():
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match="3 channels"):
        load(dataclasses.replace(DIGITS, image_shape=(3, 28, 28)))


def test_a_folder_of_pictures(shapes):
    arrays = load(SHAPES, shapes)
    assert arrays.train_images.shape == (6, 1, 6, 8)
    assert arrays.train_images.dtype == torch.uint8
    assert arrays.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert arrays.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert arrays.train_labels.dtype == torch.int64
    assert arrays.test_images[:, 0, 5, 7].tolist() == [0, 100]
    assert arrays.test_labels.tolist() == [0, 1]


def test_pictures_are_converted_and_resized(shapes):
    colours = np.zeros((12, 16, 3), dtype=np.uint8)
    colours[:, :, 0] = 200
    save(shapes / "Shapes/test/square/0.png", colours)
    arrays = load(dataclasses.replace(SHAPES, image_shape=(3, 6, 8)), shapes)
    assert arrays.test_images.shape == (2, 3, 6, 8)
    assert arrays.test_images[1].amax(dim=(1, 2)).tolist() == [200, 0, 0]
    assert arrays.test_images[1].amin(dim=(1, 2)).tolist() == [200, 0, 0]


def test_pictures_are_resized_bilinearly(shapes):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (11, 13), dtype=np.uint8)
    save(shapes / "Shapes/test/square/0.png", pixels)
    expected = np.array(image.fromarray(pixels).resize((8, 6), image.Resampling.BILINEAR))
    assert np.array_equal(load(SHAPES, shapes).test_images[1, 0].numpy(), expected)


def test_a_folder_without_test_pictures_is_named(shapes):
    (shapes / "Shapes/test").rename(shapes / "Shapes/validation")
    with pytest.raises(DataError, match="Shapes/test is missing"):
        load(SHAPES, shapes)


def test_a_folder_with_other_classes_than_specified_is_named(shapes):
    with pytest.raises(DataError, match=r"train has 2 classes \(circle, square\); shapes is specified with 3"):
        load(dataclasses.replace(SHAPES, classes=3), shapes)


def test_a_folder_whose_parts_disagree_is_named(shapes):
    (shapes / "Shapes/test/square").rename(shapes / "Shapes/test/cube")
    with pytest.raises(DataError, match="circle, square in train and circle, cube in test"):
        load(SHAPES, shapes)


def test_an_empty_class_is_named(shapes):
    (shapes / "Shapes/test/square/0.png").unlink()
    with pytest.raises(DataError, match="square"):
        load(SHAPES, shapes)


def test_a_damaged_picture_is_named(shapes):
    path = shapes / "Shapes/train/circle/1.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"circle/1\.png cannot be read as a picture"):
        load(SHAPES, shapes)


def test_pictures_in_an_unusual_number_of_channels_are_refused(shapes):
    with pytest.raises(DataError, match="2 channels"):
        load(dataclasses.replace(SHAPES, image_shape=(2, 6, 8)), shapes)


def test_pictures_of_sixteen_bits_are_scaled_not_clipped(shapes):
    save(shapes / "Shapes/test/square/0.png", np.full((6, 8), 100 * 257, dtype=np.uint16))
    assert load(SHAPES, shapes).test_images[1].unique().tolist() == [100]


def test_pictures_lie_upright_and_on_white(shapes):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((6, 8, 2), dtype=np.uint8)
    pixels[:, 4:] = 50, 255
    exif = image.Exif()
    exif[0x0112] = 3  # upside down
    image.fromarray(pixels).save(shapes / "Shapes/test/square/0.png", exif=exif)
    assert load(SHAPES, shapes).test_images[1, 0, 0].tolist() == [50] * 4 + [255] * 4


def test_a_picture_of_unknown_range_is_named(shapes):
    image = pytest.importorskip("PIL.Image")
    (shapes / "Shapes/test/square/0.png").unlink()
    image.fromarray(np.full((6, 8), 300, dtype=np.float32)).save(shapes / "Shapes/test/square/0.tiff")
    with pytest.raises(DataError, match=r"0\.tiff cannot be used: its levels run from 300 to 300; expected 0 to 1"):
        load(SHAPES, shapes)
