"""Worker processes: on Linux they are forked from a server process that has imported torch.

A worker is then there in milliseconds instead of the seconds that importing torch takes, and all share the pages of what was
imported. Forking is safe because the server computes nothing: it starts no thread of torch's, and CUDA is not initialized in it.
"""

from __future__ import annotations

import contextlib
import glob
import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from budgetnet.environment import usable_cores

FORKED = sys.platform == "linux"  # elsewhere every worker imports for itself: Windows cannot fork, and Apple's libraries do not bear it
# Nothing of this package: before Python 3.13 the server looks for modules where the interpreter does, not where its parent does.
PRELOADED = ["torch", "torch.utils.tensorboard", "tqdm"]


def context() -> Any:
    """Return the context that creates worker processes; start them within ``interrupts_ignored``."""
    if not FORKED:
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOADED)
    return found


def prepare(jobs: int, device: str, asked: int | None) -> None:
    """Have the fork server import torch on another core while this process imports it too.

    ``device`` and ``asked`` are the user's words; a guess that is wrong costs time and nothing else. The server ends with this process.
    """
    likely = asked > 1 if asked is not None else device != "cuda" and usable_cores() > 1 and not glob.glob("/dev/nvidia[0-9]*")
    if FORKED and jobs > 1 and likely:
        from multiprocessing import forkserver

        context()
        with interrupts_ignored():
            forkserver.ensure_running()


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Processes started in here ignore SIGINT from their first moment on: a terminal sends Ctrl-C to everyone, the parent decides."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
