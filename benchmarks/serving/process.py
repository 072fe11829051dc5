"""A server with all its processes: started, placed on cores, stopped while another is measured, ended. Linux."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.turns import Unavailable

PATIENCE = 300.0  # seconds for a start, or an answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def split_cores() -> tuple[set[int], set[int]]:
    """Return a core for the server and one for its clients; the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


class Server:
    """A command that serves at ``port``, in a session of its own; as a context manager it ends all its processes.

    ``probe`` is the path that answers 200 when it is ready. ``log`` gets its standard error.
    """

    def __init__(self, command: Sequence[str], port: int, probe: str, log: Path | None = None) -> None:
        self.port, self._probe, self._command = port, probe, command
        with open(log or os.devnull, "ab") as stderr:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ready(self) -> None:
        """Wait until it answers. Raises Unavailable."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.ask(self._probe)
            except OSError:  # as are urllib's errors
                time.sleep(0.1)
            else:
                return
        raise Unavailable(
            f"no answer from the server, exit status {self.process.poll()}; try: {' '.join(self._command)}"
        )

    def ask(self, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        """Return the answer to a GET, or to a POST of ``body``. Raises OSError, also for another status than 200."""
        headers = {} if body is None else {"Content-Type": content_type}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            content: bytes = answer.read()
            return content

    def wait_until_idle(self) -> None:
        """Wait until it uses less than a tenth of a core: a server may prepare things after it is ready."""
        used = -1.0
        while self.processor_seconds() - used > 0.05:
            used = self.processor_seconds()
            time.sleep(0.5)

    def place(self, cores: set[int]) -> None:
        """Move all its threads to these cores."""
        for pid, _ in self._processes():
            for task in Path(f"/proc/{pid}/task").glob("*"):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(task.name), cores)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def processor_seconds(self) -> float:
        """Return the processor time of all its processes since their start."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._processes()) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Return the memory of all its processes; pages that they share count for each."""
        return sum(int(fields[21]) for _, fields in self._processes()) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _processes(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the processes of its group with the fields of /proc/PID/stat after the name."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    yield int(path.parent.name), fields
