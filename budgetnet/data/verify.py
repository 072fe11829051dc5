"""A file's content, decompressed and held against its SHA-256."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from budgetnet import cache

WORTH_KEEPING = 1 << 20  # bytes; less is decompressed in a moment


class DataError(Exception):
    """Data is missing, unreadable or not what its specification says; the message names the file and how to mend it."""


def read_verified(path: Path, sha256: str) -> bytes:
    """The content of ``path``, decompressed if its name ends in ``.gz``, once its SHA-256 is found to be ``sha256``.

    What was decompressed is kept in the user's cache folder for the next start. Raises DataError if the file cannot be read or
    decompressed, or has another sum.
    """
    mend = "replace it by the right file, or delete it to have it found elsewhere or downloaded"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; mend that, or name another data directory with --data DIR") from error
    kept_as = None
    if path.suffix == ".gz":
        # Under the archive's own sum: one that differs in a single bit finds nothing kept. What is kept is verified like any file.
        kept_as = f"data-{_sum(content)[:32]}"
        kept = cache.read(kept_as)
        if kept is not None and _sum(kept) == sha256:
            return kept
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path} cannot be decompressed ({error}), so it is truncated or damaged; expected a gzip file whose decompressed "
                f"content has the SHA-256 {sha256}; {mend}"
            ) from error
    found = _sum(content)
    if found != sha256:
        raise DataError(f"{path} has the wrong content: its SHA-256, decompressed, is {found}; expected {sha256}; {mend}")
    if kept_as is not None and len(content) >= WORTH_KEEPING:
        cache.write(kept_as, content)
    return content


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
