"""Find the files of a data set and verify them.

A file is accepted plain or compressed (``.gz``; plain is preferred, since it costs no decompression) and verified by
the SHA-256 of its decompressed content. A file that is there is never replaced: whoever put it there decides.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from budgetnet.data.idx import IdxError, parse_idx
from budgetnet.data.verify import DataError, read_verified
from budgetnet.definition import DataFile, DataSet

__all__ = ["DataError", "DataNotFound", "as_specified", "find_data", "load_files", "read_verified"]

ENVIRONMENT = "BUDGETNET_DATA"
SEARCHED = (Path("data"), Path("../shared/data"))

Array = npt.NDArray[np.uint8]


class DataNotFound(DataError):
    """The data is nowhere and cannot be downloaded, as opposed to being there and wrong."""


# --- finding ----------------------------------------------------------------------------------------------------------


def find_data(data_set: DataSet, data_dir: Path | None = None, download: bool = True) -> Path:
    """The data directory under which ``data_set.folder`` holds the files of ``data_set`` (formats idx and folder).

    ``data_dir``, else the directory named by the environment variable BUDGETNET_DATA, is the only one looked into where
    given; otherwise ``./data`` and ``../shared/data`` are, and what is then missing is downloaded into ``./data``.
    Raises DataError if the files are in none of them and cannot be downloaded (or ``download`` is false).
    """
    named = data_dir or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    if named is not None:
        origin = "--data" if data_dir else ENVIRONMENT
        try:
            named = named.expanduser()
        except RuntimeError as error:  # of ~name, where there is no such user
            raise DataNotFound(f"{named} (given by {origin}) names no folder ({error}); write it without ~") from error
        lacking = _lacking(data_set, named)
        if lacking:
            raise DataNotFound(
                f"{named} (given by {origin}) does not hold the data set {data_set.name}: {_listed(lacking)} is missing; put it "
                f"there{_either(data_set)}, or name the directory that has {data_set.folder or 'train and test'} in it"
            )
        return named
    for directory in SEARCHED:
        if not _lacking(data_set, directory):
            return directory
    looked = " nor in ".join(f"{d} ({d.resolve()})" for d in SEARCHED)
    mend = f"put the files into {SEARCHED[0] / data_set.folder}{_either(data_set)}, or name their place with --data DIR or {ENVIRONMENT}"
    if not (download and data_set.mirrors and data_set.format == "idx"):
        why = "this data set cannot be downloaded" if download else "downloading is switched off"
        raise DataNotFound(f"the data set {data_set.name} is neither in {looked}, and {why}; {mend}")
    from budgetnet.data.download import DownloadError, fetch

    try:
        fetch(data_set, [file for file in data_set.files if _place(file, SEARCHED[0] / data_set.folder) is None], SEARCHED[0])
    except DownloadError as error:
        raise DataNotFound(f"the data set {data_set.name} is neither in {looked}, and downloading it failed: {error}; {mend}") from error
    return SEARCHED[0]


def _lacking(data_set: DataSet, directory: Path) -> list[Path]:
    """The paths of ``data_set`` that ``directory`` does not have."""
    folder = directory / data_set.folder
    if data_set.format == "folder":
        return [folder / part for part in ("train", "test") if not _exists(folder / part)]
    return [folder / file.name for file in data_set.files if _place(file, folder) is None]


def _place(file: DataFile, folder: Path) -> Path | None:
    """Return the path of ``file`` in ``folder``, plain or compressed; None if it is not there."""
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if _exists(path):
            return path
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a directory on the way that may not be entered
        raise DataError(f"{path} cannot be looked at: {error.strerror}; mend the permissions, or name another place") from error


def _listed(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} (and {len(paths) - 1} more)"


def _either(data_set: DataSet) -> str:
    return " (plain or .gz)" if data_set.format == "idx" else ""


# --- reading and verifying --------------------------------------------------------------------------------------------


def load_files(data_set: DataSet, root: Path) -> tuple[Array, Array, Array, Array]:
    """Training images, training labels, test images, test labels of an idx data set under the data directory ``root``.

    Images are (N, C, H, W) and labels (N,), uint8, read-only and shared by all callers in the process: reading and
    verifying happens once, unless a file changes. Raises DataError for a file that is missing, unreadable, truncated,
    of another content than the specification's SHA-256, or of another shape than the specification says.
    """
    folder = root.resolve() / data_set.folder
    stamps = []
    for file in data_set.files:
        path = _place(file, folder)
        if path is None:
            raise DataError(f"{folder / file.name} is missing, plain and as .gz, for the data set {data_set.name}")
        status = path.stat()
        stamps.append((path, status.st_mtime_ns, status.st_size))
    return _load_files(data_set, tuple(stamps))


@functools.lru_cache(maxsize=2)
def _load_files(data_set: DataSet, stamps: tuple[tuple[Path, int, int], ...]) -> tuple[Array, Array, Array, Array]:
    paths = [path for path, _, _ in stamps]
    parsed = []
    for path, file in zip(paths, data_set.files, strict=True):
        try:
            parsed.append(parse_idx(read_verified(path, file.sha256)))
        except IdxError as error:
            raise DataError(f"{path} is not a usable IDX file: {error}") from error
    train = as_specified(data_set, parsed[0], parsed[1], paths[0], paths[1])
    test = as_specified(data_set, parsed[2], parsed[3], paths[2], paths[3])
    return *train, *test


def as_specified(data_set: DataSet, images: Array, labels: Array, images_path: Path, labels_path: Path) -> tuple[Array, Array]:
    """Return images as (N, C, H, W) and labels from 0, once they agree with the specification and with each other.

    Raises DataError where they do not.
    """
    channels, height, width = data_set.image_shape
    stored = (width, height) if data_set.transposed else (height, width)
    one = stored if channels == 1 else (channels, *stored)  # grey images have no channel dimension in IDX
    if images.shape[1:] != one or len(images) == 0:
        raise DataError(f"{images_path} holds an array of shape {images.shape}; expected (number of images, {', '.join(map(str, one))})")
    if labels.shape != images.shape[:1]:
        raise DataError(f"{labels_path} holds an array of shape {labels.shape}; expected one label for each of {len(images)} images")
    first, last = data_set.first_label, data_set.first_label + data_set.classes - 1
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < first or highest > last:
        raise DataError(
            f"{labels_path} holds the labels {lowest} to {highest}; {data_set.name} has the classes {first} to {last}: set the DataSet's "
            f"first_label (now {first}) to the first class's label, or classes (now {data_set.classes}) to the number of classes"
        )
    images = images.reshape(-1, channels, *stored)
    if data_set.transposed:
        images = np.ascontiguousarray(images.swapaxes(2, 3))
        images.flags.writeable = False
    if first:
        labels = (labels - labels.dtype.type(first)).astype(labels.dtype)
        labels.flags.writeable = False
    return images, labels
