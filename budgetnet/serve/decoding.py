"""The few threads that decode pictures and read long bodies, and how many requests may wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from budgetnet.serve.refusal import busy

THREADS = 2
WAITING = 64

T = TypeVar("T")


class Decoders:
    def __init__(self, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decoding")
        self._most, self._now = threads + waiting, 0

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, on one of the threads. Raises Refusal where too many wait already."""
        if self._now >= self._most:
            raise busy(f"{self._now} requests wait for their pictures to be decoded; try again in a second")
        self._now += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._now -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
