"""The user's cache folder: what takes time to make and can be made again."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["folder", "read", "write"]


def folder() -> Path:
    """``BUDGETNET_CACHE``, else the XDG cache folder's ``budgetnet``. Raises RuntimeError where there is no home folder."""
    explicit = os.environ.get("BUDGETNET_CACHE")
    if explicit:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "budgetnet"


def read(name: str) -> bytes | None:
    """Return the content stored under ``name``; None if there is none or it cannot be read. The caller verifies it."""
    try:
        return (folder() / name).read_bytes()
    except (OSError, RuntimeError):
        return None


def write(name: str, content: bytes) -> None:
    """Keep ``content`` under ``name``, atomically. Where that fails, as on a full disk, nothing is kept and nothing is said."""
    with contextlib.suppress(OSError, RuntimeError):
        target = folder() / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            partial = Path(scratch, name)
            partial.write_bytes(content)
            partial.replace(target)
