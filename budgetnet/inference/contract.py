"""Input of a predictor: images as 8-bit pixels, or as floats from 0 to 1, checked before any backend sees them.

Compiled code trusts its input: an AOT-Inductor package that gets another shape corrupts the heap and kills the process.
So nothing but what this module lets through reaches one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from budgetnet.definition import DataSet, class_name
from budgetnet.inference.errors import InputError

Pixels = npt.NDArray[np.float32]  # (N, C, H, W), 0 to 1
FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
ROUNDING = 1e-5  # by which floats may leave 0 to 1
CONTRAST, FEWEST = 12, 6  # an image on which fewer pixels differ from the others by so many of 255 levels is blank
BLANK = (
    f"blank: fewer than {FEWEST} pixels differ from the others by {CONTRAST} of 255 levels; "
    "expected an image with something on it, such as a white digit on black"
)


@dataclass(frozen=True)
class Contract:
    """``image_shape`` is (channels, height, width); ``mean`` and ``std`` are of pixels from 0 to 1, and applied inside the network.

    ``class_names`` is empty where the classes are numbers.
    """

    image_shape: tuple[int, int, int]
    classes: int
    mean: float
    std: float
    class_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, data_set: DataSet, class_names: tuple[str, ...] = ()) -> Contract:
        return cls(data_set.image_shape, data_set.classes, data_set.mean, data_set.std, class_names or data_set.class_names)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Contract:
        """Return the contract from the output of ``as_json``. Raises KeyError, TypeError or ValueError for anything else."""
        channels, height, width = map(int, data["image_shape"])
        names = tuple(map(str, data.get("class_names", ())))
        return cls((channels, height, width), int(data["classes"]), float(data["mean"]), float(data["std"]), names)

    @property
    def labels(self) -> list[str]:
        """A text for every class: its name, or its number."""
        return [class_name(self.class_names, number) for number in range(self.classes)]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def checked(self, images: Any) -> npt.NDArray[Any]:
        """``images`` as an array (N, C, H, W), uint8, float32 or float16.

        (N, H, W) is taken where there is one channel. Those types are not copied, and their values are not looked at yet; other
        whole numbers from 0 to 255 become uint8, other floats float32. Raises InputError for another shape or type, or for no image.
        """
        try:
            array = np.asarray(images)
        except ValueError as error:  # lists of different lengths
            raise InputError(f"the images are no array ({error}); expected {self._shapes()}") from error
        given = array.shape
        if array.ndim == 3 and self.image_shape[0] == 1:
            array = array[:, None]
        if array.ndim != 4 or array.shape[1:] != self.image_shape:
            raise InputError(f"the images have the shape {given}; expected {self._shapes()}")
        if len(array) == 0:
            raise InputError(f"there are no images: the shape is {given}; expected at least one")
        return array if array.dtype == np.uint8 or array.dtype in FLOATS else _of_usual_type(array)

    def pixels(self, images: npt.NDArray[Any]) -> Pixels:
        """Return the output of ``checked`` as float32 from 0 to 1, in one piece of memory. Raises InputError for a value outside, or NaN.

        A value that is outside by rounding, such as 1.0000001, is taken for the nearest one inside.
        """
        if images.dtype == np.uint8:
            return np.multiply(images, np.float32(1 / 255), dtype=np.float32)
        pixels = np.ascontiguousarray(images, dtype=np.float32)
        lowest, highest = float(pixels.min()), float(pixels.max())  # NaN, if there is one
        if not (lowest >= 0.0 and highest <= 1.0):
            if lowest >= -ROUNDING and highest <= 1 + ROUNDING:
                return pixels.clip(0, 1)
            if np.isnan(lowest):
                place = int(np.isnan(pixels).any(axis=(1, 2, 3)).argmax())
                raise InputError(f"image {place} holds NaN; expected finite pixels from 0 to 1")
            raise InputError(
                f"the pixels run from {lowest:g} to {highest:g}; expected floats from 0 to 1 (not normalized), or uint8 from 0 to 255 "
                "(images.astype('uint8') if they are)"
            )
        return pixels

    def _shapes(self) -> str:
        channels, height, width = self.image_shape
        flat = f"(N, {height}, {width}) or " if channels == 1 else ""
        return f"{flat}(N, {channels}, {height}, {width})"


def _of_usual_type(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return whole numbers from 0 to 255 as uint8, floats as float32. Raises InputError for other numbers and types."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind not in "iu":
        raise InputError(f"the images are {array.dtype}; expected uint8 from 0 to 255, or float32 from 0 to 1")
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > 255:
        raise InputError(f"the pixels are whole numbers from {lowest} to {highest}; expected 0 to 255, or floats from 0 to 1")
    return array.astype(np.uint8)


def blank_images(images: npt.NDArray[Any]) -> list[int]:
    """The places of the images, (N, …) uint8 from 0 to 255 or floats from 0 to 1, on which there is nothing, or next to nothing."""
    flat = images.reshape(len(images), -1)
    step = CONTRAST if flat.dtype == np.uint8 else CONTRAST / 255
    lightest, darkest = flat.max(1, keepdims=True), flat.min(1, keepdims=True)
    # few pixels above the darkest are specks on black, few below the lightest specks on white
    raised = np.count_nonzero(flat - darkest >= step, axis=1)
    lowered = np.count_nonzero(lightest - flat >= step, axis=1)
    return [int(place) for place in np.flatnonzero(np.minimum(raised, lowered) < FEWEST)]
