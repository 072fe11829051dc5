"""A server with all its processes: started, put on cores, held while another one is measured, ended."""

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

from benchmarks.serving_apart import Fallen

PATIENCE = 300.0  # seconds for a start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A command that serves at ``port``, in a session of its own; as a context manager it is ended with whatever it has started.

    ``probe`` is the path that answers 200 when it is ready. ``log`` gets its standard error; without one nobody does.
    """

    def __init__(self, command: Sequence[str], port: int, probe: str, log: Path | None = None) -> None:
        self.port, self.log, self._probe, self._command = port, log, probe, command
        with open(log or os.devnull, "ab") as stderr:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> None:
        """Wait until it can be asked. Raises Fallen."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                self.ask(self._probe)
            except OSError:  # urllib's errors are
                time.sleep(0.1)
            else:
                return
        state = self.process.poll()
        told = f"is not ready after {PATIENCE:.0f} s" if state is None else f"ended with exit status {state}"
        raise Fallen(f"a server {told}; see for yourself: {' '.join(self._command)}")

    def put_on(self, cores: set[int]) -> None:
        """All its threads, and so the later ones, run on these cores."""
        for pid in _group(self.pid):
            place(pid, cores)

    def hold(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def ask(self, path: str, octets: bytes | None = None) -> bytes:
        """The answer to a GET, or to a POST of ``octets``. Raises OSError, also for another status than 200."""
        headers = {} if octets is None else {"Content-Type": "application/octet-stream"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", octets, headers)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def processor_seconds(self) -> float:
        """Return the processor seconds of all its processes since their start."""
        return sum(map(_processor, _group(self.pid)))

    def resident(self) -> int:
        """Bytes of memory of all its processes together; what they share counts for each."""
        return sum(map(_resident, _group(self.pid)))


def place(pid: int, cores: set[int]) -> None:
    """A process's threads on cores; where the system cannot do that, they stay where they are."""
    if hasattr(os, "sched_setaffinity"):
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def usable() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _group(leader: int) -> Iterator[int]:
    """The processes of a group, by its leader."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(state[2]) == leader:
                yield int(path.parent.name)


def _processor(pid: int) -> float:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(state[11]) + int(state[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
