"""The real server in a process of its own, as ``budgetnet serve`` starts it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds for the start on a machine that has other things to do


@contextlib.contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """The address of a server with the committed weights of step 13 and step 9; it ends with the block. Its log is kept in ``folder``."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "budgetnet", "serve", "step-13", "--models", "step-09", "--port", str(port)]
    # no run of somebody's own, and nothing compiled into the user's cache: the page is what is tested
    command += ["--no-compile", "--runs", str(folder / "runs"), "--out", str(folder / "compiled"), *arguments]
    with open(folder / "server.log", "w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"{address}readyz", process, folder / "server.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:  # urllib's HTTPError, a 503, is one of them
            time.sleep(0.2)
    raise AssertionError(f"the server did not become ready (exit status {process.poll()}):\n{log.read_text()[-2000:]}")
