"""Peak memory of a process, of its loader workers, and of what it has on a CUDA device; all in MiB."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

INTERVAL = 0.2  # seconds between two looks at the loader workers
MIB = 1024**2


def peak_mib() -> float:
    """The most memory that this process has had resident.

    On Linux not by ``getrusage``: a process inherits there what its parent had before it started a program of its own.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / MIB if sys.platform == "darwin" else peak / 1024
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def device_peak_mib() -> float | None:
    """The most memory that tensors of this process have had on a CUDA device; None where it uses none."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_allocated() / MIB)
    if jax is not None and jax.default_backend() == "gpu":
        return float(jax.local_devices()[0].memory_stats()["peak_bytes_in_use"] / MIB)
    return None


class LoaderWorkers:
    """The worker processes of this one: ``peak_mib`` is the most that they have had together and did not share with it."""

    def __init__(self) -> None:
        self.peak_mib = 0.0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look every now and then; the looking costs time, so this is for a lap off the clock."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(INTERVAL):
            self.peak_mib = max(self.peak_mib, sum(map(_private_mib, _children())))


def _children() -> list[int]:
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that just ended
            found += map(int, path.read_text(encoding="utf-8").split())
    return found


def _private_mib(process: int) -> float:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:  # it just ended
        return 0.0
    return sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))) / 1024
