"""Numbers too small for a normal float become zero, because a processor takes a hundred times as long over each of them.

An optimizer's first moment of a weight that gets no gradient any more shrinks by a tenth a step until it is subnormal, and stays
so: a tenth of the smallest number rounds to nothing. After an epoch a quarter of the moments of explore-separable were such
numbers, and a step took 1.4 times as long (docs/performance.md). What is flushed is below 1.2e-38.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def flushed_subnormals() -> Iterator[None]:
    """In this thread, and in those that it starts meanwhile; a processor that cannot goes on as before."""
    before = bool(torch.full((1,), 1e-39).mul(0.5).count_nonzero() == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
