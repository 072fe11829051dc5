"""``budgetnet serve`` in a process of its own, with committed weights."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.serving.process import Server, free_port


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, port: int | None = None) -> Iterator[Server]:
    """A server of step 13, ready; its log is kept in ``folder``. It is not compiled, and no run of somebody's own is looked at."""
    port = port or free_port()
    command = [sys.executable, "-m", "budgetnet", "serve", "step-13", "--no-compile", "--port", str(port)]
    command += ["--runs", str(folder / "runs"), "--out", str(folder / "compiled"), *arguments]
    with Server(command, port, "/readyz", folder / "server.log") as server:
        server.ready()
        yield server
