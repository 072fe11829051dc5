"""Load the images and labels of a data set as tensors, from any supported file format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from budgetnet.data.files import DataError, find_data, load_files
from budgetnet.definition import DataSet

__all__ = ["Arrays", "load"]


@dataclass(frozen=True, eq=False)
class Arrays:
    """All images, (N, C, H, W) uint8, and labels, (N,) int64, of a data set, on the CPU; ``class_names`` is empty for numbers."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...] = ()


def load(data_set: DataSet, data_dir: Path | None = None, download: bool = True) -> Arrays:
    """Find, verify and read ``data_set``; see files.find_data for where it is looked for.

    The tensors are the caller's own. Raises DataError if the data is missing or not what the specification says.
    """
    if data_set.format == "digits":
        return _digits(data_set)
    root = find_data(data_set, data_dir, download)
    if data_set.format == "folder":
        return _folder(data_set, root / data_set.folder)
    images, labels, test_images, test_labels = load_files(data_set, root)
    return Arrays(_images(images), _labels(labels), _images(test_images), _labels(test_labels), data_set.class_names)


def _images(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images.copy())  # what load_files gives is shared and read-only


def _labels(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))


# --- a folder of pictures ---------------------------------------------------------------------------------------------


def _folder(data_set: DataSet, folder: Path) -> Arrays:
    """``<folder>/train/<class>/<picture>`` and ``<folder>/test/…``; the classes are numbered in natural order."""
    train_images, train_labels, train_classes = _pictures(data_set, folder / "train")
    test_images, test_labels, test_classes = _pictures(data_set, folder / "test")
    if train_classes != test_classes:
        raise DataError(f"{folder} has the classes {', '.join(train_classes)} in train and {', '.join(test_classes)} in test")
    return Arrays(train_images, train_labels, test_images, test_labels, data_set.class_names or tuple(train_classes))


def _natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts 2 before 10, and numbers before words."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]


def _pictures(data_set: DataSet, folder: Path) -> tuple[Tensor, Tensor, list[str]]:
    from PIL import Image
    from torchvision.datasets import ImageFolder

    from budgetnet.data.pixels import PixelError, prepare, to_rgb

    channels, height, width = data_set.image_shape
    if channels not in (1, 3):
        raise DataError(f"{data_set.name} has {channels} channels; pictures in a folder can be read as grey (1) or RGB (3)")

    def read(path: str) -> Image.Image:
        try:
            with Image.open(path) as opened:
                picture = Image.fromarray(to_rgb(prepare(opened, stretch=False)))
        except PixelError as error:
            raise DataError(f"{path} cannot be used: {error}") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises for a damaged file
            raise DataError(f"{path} cannot be read as a picture ({error}); replace or remove it") from error
        picture = picture.convert("L") if channels == 1 else picture
        return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.BILINEAR)

    class Numbered(ImageFolder):
        def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
            names = sorted(super().find_classes(str(directory))[0], key=_natural)
            return names, {name: number for number, name in enumerate(names)}

    try:
        found = Numbered(str(folder), loader=read)
    except (OSError, RuntimeError) as error:  # no classes, or a class without pictures
        raise DataError(f"{folder} is not a folder of pictures in a folder for each class: {error}") from error
    if len(found.classes) != data_set.classes:
        raise DataError(
            f"{folder} has {len(found.classes)} classes ({', '.join(found.classes)}); {data_set.name} is specified with {data_set.classes}"
        )
    images = torch.empty((len(found), channels, height, width), dtype=torch.uint8)
    for i, (path, _) in enumerate(found.samples):
        pixels = torch.from_numpy(np.array(found.loader(path), dtype=np.uint8))
        images[i] = pixels.view(height, width, channels).permute(2, 0, 1)
    return images, torch.tensor(found.targets, dtype=torch.int64), found.classes


# --- scikit-learn's digits --------------------------------------------------------------------------------------------


def _digits(data_set: DataSet) -> Arrays:
    """The 1,797 digits that come with scikit-learn, scaled bilinearly; every fifth of each class is a test image."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(f"the data set {data_set.name} comes with scikit-learn, which is missing: pip install scikit-learn") from error
    pixels, targets = load_digits(return_X_y=True)
    channels, height, width = data_set.image_shape
    if channels != 1 or data_set.classes != 10:
        raise DataError(f"{data_set.name} is specified with {channels} channels and {data_set.classes} classes; the digits have 1 and 10")
    small = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) * (255 / 16)  # 17 grey levels, 0 to 16
    scaled = torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    images = scaled.round().clamp(0, 255).to(torch.uint8)
    labels = torch.from_numpy(np.asarray(targets, dtype=np.int64))
    # The file repeats 0, 1, 2, … for long stretches, so every fifth image would be of two classes; hence within each class.
    within_class = torch.nn.functional.one_hot(labels).cumsum(0).gather(1, labels.unsqueeze(1)).squeeze(1)
    test = within_class % 5 == 0
    return Arrays(images[~test], labels[~test], images[test], labels[test], data_set.class_names)
