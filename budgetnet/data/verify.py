"""A file's content, decompressed and held against its SHA-256."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path


class DataError(Exception):
    """Data is missing, unreadable or not what its specification says; the message names the file and how to mend it."""


def read_verified(path: Path, sha256: str) -> bytes:
    """The content of ``path``, decompressed if its name ends in ``.gz``, once its SHA-256 is found to be ``sha256``.

    Raises DataError if it cannot be read or decompressed, or has another sum.
    """
    mend = "replace it by the right file, or delete it to have it found elsewhere or downloaded"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; mend that, or name another data directory with --data DIR") from error
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path} cannot be decompressed ({error}), so it is truncated or damaged; expected a gzip file whose decompressed "
                f"content has the SHA-256 {sha256}; {mend}"
            ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"{path} has the wrong content: its SHA-256, decompressed, is {found}; expected {sha256}; {mend}")
    return content
