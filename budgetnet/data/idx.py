"""The IDX format of MNIST and its family: a big-endian header, then the array."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["IdxError", "parse_idx"]

UNSIGNED_BYTE = 0x08


class IdxError(ValueError):
    """The content is not an IDX array of unsigned bytes; the message says what is wrong, without the file's name."""


def parse_idx(content: bytes) -> npt.NDArray[np.uint8]:
    """The array in an IDX file's content: uint8, in the shape that its header gives; read-only, without a copy.

    Raises IdxError if the magic number, the element type or the length is not that of an IDX file of unsigned bytes.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise IdxError(f"it does not start with the magic number of an IDX file (two zero bytes) but with {content[:4]!r}")
    kind, dimensions = content[2], content[3]
    if kind != UNSIGNED_BYTE:
        raise IdxError(f"its elements are of IDX type 0x{kind:02x}; expected 0x{UNSIGNED_BYTE:02x}, unsigned bytes")
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise IdxError(f"its header announces {dimensions} dimensions and ends after {len(content)} bytes")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise IdxError(f"its header announces {' × '.join(map(str, shape))} bytes, {expected} with the header; it has {len(content)}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
