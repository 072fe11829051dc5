"""The data set that an experiment refers to: a named specification."""

from __future__ import annotations

import re
from dataclasses import dataclass

from budgetnet.definition.checks import is_count, is_number, require


@dataclass(frozen=True)
class DataFile:
    """A file of a data set: its name without compression suffix, and the SHA-256 of its decompressed content."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        require(self, "sha256", lambda v: re.fullmatch(r"[0-9a-f]{64}", v) is not None, "64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class DataSet:
    """A named specification of images and labels.

    ``image_shape`` is (channels, height, width); ``mean`` and ``std`` refer to pixels scaled to 0..1. ``format`` is
    ``idx`` (four files in the order train images, train labels, test images, test labels, found as
    ``<data dir>/<folder>/<file>``), ``folder`` (``<data dir>/<folder>/train/<class>/*.png`` and ``…/test/…``), or
    ``digits`` (scikit-learn's embedded 8×8 digits scaled up). ``class_names`` are those of the classes in order; without them
    the classes of a folder have its folders' names, in natural order (2 before 10), and all others are numbers.
    Of ``idx`` files, ``first_label`` is the label of the first class, and ``transposed`` says that images are stored column by
    column, both as in EMNIST.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    mean: float
    std: float
    format: str = "idx"
    folder: str = ""
    files: tuple[DataFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    first_label: int = 0
    transposed: bool = False

    def __post_init__(self) -> None:
        require(self, "name", lambda v: re.fullmatch(r"[a-z0-9][a-z0-9_-]*", v) is not None, "lower-case letters, digits, - and _")
        require(self, "image_shape", lambda v: isinstance(v, tuple) and len(v) == 3 and all(map(is_count, v)), "(channels, height, width)")
        require(self, "classes", is_count, "a whole number of at least 1")
        require(self, "mean", is_number, "a number (of pixels scaled to 0..1)")
        require(self, "std", lambda v: is_number(v) and v > 0, "a number above 0 (of pixels scaled to 0..1)")
        require(self, "format", lambda v: v in ("idx", "folder", "digits"), "'idx', 'folder' or 'digits'")
        require(
            self, "class_names", lambda v: isinstance(v, tuple) and len(set(v)) == len(v) in (0, self.classes) and all(map(_is_name, v)),
            f"() or {self.classes} different names",
        )  # fmt: skip
        require(self, "mirrors", lambda v: isinstance(v, tuple), "a tuple of addresses")
        require(self, "files", lambda v: isinstance(v, tuple) and all(isinstance(f, DataFile) for f in v), "a tuple of DataFile(...)")
        require(self, "first_label", lambda v: v == 0 or is_count(v), "the label of the first class, a whole number of at least 0")
        require(self, "transposed", lambda v: isinstance(v, bool), "True or False")
        if self.format != "idx":
            require(self, "first_label", lambda v: v == 0, f"0: the format {self.format!r} has no labels of its own")
            require(self, "transposed", lambda v: not v, f"False: the format {self.format!r} has upright images")
        if self.format == "idx":
            require(self, "files", lambda v: len(v) == 4, "four files: train images, train labels, test images, test labels")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def class_name(names: tuple[str, ...], number: int) -> str:
    """The name of a class: of ``names``, or its number where there are none."""
    return names[number] if number < len(names) else str(number)
