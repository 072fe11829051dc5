"""Keeping freed memory in the process, so that a training step does not fetch the same pages from the kernel again and again.

glibc hands large blocks back to the kernel as soon as they are freed. A training step frees and allocates the same
hundreds of megabytes every time, and then pays for a page fault every 4 kB: a tenth to a third of the time of the
networks of the Keras documents (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import functools
import sys

# from glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 64 * 1024 * 1024


@functools.cache
def keep_freed_memory() -> bool:
    """Tell this process's allocator to keep what is freed; False where there is no glibc, and nothing changes."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, TOP_PAD)])
