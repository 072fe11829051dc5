"""Files with digits: pictures of any kind in MNIST's form, and arrays (IDX, NPY) of images that have the network's form already.

What is read may come from strangers. A picture's size is looked at before it is decoded, only formats whose decoders start nothing
else are tried (EPS would run Ghostscript), no pickled object is loaded, and whatever a decoder raises is told as an InputError.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import io
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from budgetnet.data.idx import IdxError, parse_idx
from budgetnet.data.pixels import PixelError, prepare, to_rgb
from budgetnet.definition import class_name
from budgetnet.inference.digit_form import SIDE, mnist_form
from budgetnet.inference.errors import InputError
from budgetnet.inference.file_kinds import named_kind, several_pictures

__all__ = ["Images", "decode_picture", "doubt", "read_images"]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
MEGAPIXELS = 50  # of a picture; decoding takes 4 bytes for each
ENOUGH = 1024  # pixels of the longer side; a larger picture is reduced, to less than twice of it
LARGE = 4 * 10**6  # pixels of a picture whose memory is worth returning
LARGEST = 2**30  # bytes of a file, and of what is in a .gz
SURE = 0.99  # below it, a digit on a picture is said to be uncertain: four fifths of the wrong ones, a fifteenth of the right ones
KINDS = "a picture (PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000), or images as IDX or NPY"

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, eq=False)
class Images:
    """``images`` for ``Predictor.predict`` and a name for each.

    A picture gives uint8 (1, 1, 28, 28), and ``formed`` is true; an array comes as its file holds it, one image as one of many.
    ``remark`` is a sentence about a file with more pictures than the one that was read, ``warning`` one about what else is on a picture.
    """

    images: npt.NDArray[Any]
    names: tuple[str, ...]
    formed: bool
    remark: str | None = None
    warning: str | None = None


def read_images(path: Path, image_shape: tuple[int, int, int]) -> Images:
    """The images in the file ``path`` for a network that takes ``image_shape``: channels, height, width.

    An array's shape, type and values are left to ``Contract.checked``. Raises InputError for a file that cannot be read or is of no
    known kind, for a picture without a digit, and for a picture where the network does not take MNIST's form.
    """
    content = _content(path)
    array = _array(content, path)
    if array is None:
        if image_shape != (1, SIDE, SIDE):
            wanted = " × ".join(map(str, image_shape))
            raise InputError(f"{path} is a picture; this network takes {wanted}, not MNIST's form (1 × 28 × 28): give images as IDX or NPY")
        picture = decode_picture(content, str(path))
        try:
            form = mnist_form(picture)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        several = several_pictures(content)
        remark = several and f"{path} {several}; the first picture in it was read"
        return Images(form.image[None, None], (str(path),), True, remark, form.warning)
    if array.ndim < 2:
        raise InputError(f"{path} holds an array of shape {array.shape}, labels perhaps; expected images, (N, H, W) or (N, C, H, W)")
    if array.ndim == 2 or array.shape == image_shape:
        return Images(array[None], (str(path),), False)
    return Images(array, tuple(f"{path}[{place}]" for place in range(len(array))), False)


def decode_picture(content: bytes, name: str) -> npt.NDArray[np.uint8]:
    """The picture in a file's ``content`` as RGB, uint8 (H, W, 3): upright, on white where it is transparent, large ones reduced.

    ``name`` is what a message calls it. Raises InputError for what is no picture, damaged, or of more than 50 megapixels.
    """
    if not content:
        raise InputError(f"{name} is empty; expected {KINDS}")
    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MEGAPIXELS * 10**6:
                raise _too_large(name, f"{width:,} × {height:,} pixels")
            image.draft("RGB", (ENOUGH, ENOUGH))  # JPEG can be decoded at a half, a quarter, an eighth
            pixels = to_rgb(prepare(image, stretch=True), max(1, max(image.size) // ENOUGH))
        del image  # and with it the decoded pixels
        if width * height > LARGE:
            _return_freed_memory()
        return pixels
    except InputError:
        raise
    except PixelError as error:
        raise InputError(f"{name}: {error}") from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, "more pixels than can be decoded safely") from error
    except UnidentifiedImageError as error:
        kind = named_kind(content)
        if kind is not None:
            raise InputError(f"{name} is {kind[0]}, which is not read; expected {KINDS}: {kind[1]}") from error
        raise InputError(
            f"{name} is no picture that can be read (it starts with {content[:8]!r}); expected {KINDS}, undamaged: save it as PNG or JPEG"
        ) from error
    except Exception as error:  # every decoder has kinds of its own
        told = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{name} is a damaged or truncated picture ({type(error).__name__}: {told}); expected a whole one: save or send it again"
        ) from error


def doubt(warning: str | None, probabilities: Sequence[float], class_names: tuple[str, ...] = ()) -> str | None:
    """Return why the digit read from a picture may be wrong, in a sentence: its form's ``warning``, a low probability, or both."""
    first, second = sorted(range(len(probabilities)), key=lambda one: -probabilities[one])[:2]
    reasons = [warning] if warning is not None else []
    if probabilities[first] < SURE:
        told = (f"{class_name(class_names, one)} with {100 * probabilities[one]:.1f} %" for one in (first, second))
        reasons.append(f"the digit is uncertain: {', '.join(told)}")
    return "; ".join(reasons) or None


# --- pictures ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warning of Pillow's or NumPy's: what matters is raised. Filters are the process's, hence one thread at a time."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _too_large(name: str, size: str) -> InputError:
    return InputError(f"{name} has {size}; expected {MEGAPIXELS} megapixels at most: reduce it, or cut the digit out")


def _return_freed_memory() -> None:
    """Have glibc return to the system what a large picture took; by itself it keeps hundreds of megabytes for the next one."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


# --- arrays -----------------------------------------------------------------------------------------------------------


def _content(path: Path) -> bytes:
    """The file's bytes, decompressed if they are gzip's."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; expected {KINDS}: name the files in it")
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if content.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; expected {KINDS}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged or truncated .gz ({error}); expected a whole one: get it again") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read ({getattr(error, 'strerror', None) or error}); expected {KINDS}") from error
    if len(content) > LARGEST:
        raise InputError(f"{path} holds more than {LARGEST:,} bytes; expected fewer: split it")
    return content


def _array(content: bytes, path: Path) -> npt.NDArray[Any] | None:
    """Return the array in an IDX or NPY file; None for any other content."""
    try:
        if content.startswith(b"\x93NUMPY"):
            with _quiet():
                return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
        if content[:2] == b"\0\0" and content[2:3] in (b"\x08", b"\x09", b"\x0b", b"\x0c", b"\x0d", b"\x0e"):
            return parse_idx(content)
    except IdxError as error:
        raise InputError(f"{path} is not a usable IDX file: {error}") from error
    except Exception as error:  # NumPy's parser of headers raises many kinds
        told = str(error).strip().partition("\n")[0]
        raise InputError(f"{path} is not a usable NPY file ({told}); expected an array of numbers: write it with numpy.save") from error
    return None
