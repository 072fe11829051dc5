"""Owners of trials: processes with unique identities, so that trials of dead ones can be taken over."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Owner:
    """A process: its host, the boot of that host, its number, and when it started (in clock ticks since the boot)."""

    host: str
    boot: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def as_attribute(self) -> dict[str, Any]:
        return asdict(self)


def this_process() -> Owner:
    return Owner(platform.node(), _boot(), os.getpid(), _started(os.getpid()))


def owner_of(attribute: Any) -> Owner | None:
    """The owner that a trial's attribute names; None where it names none."""
    try:
        return Owner(**attribute)
    except TypeError:
        return None


def may_be_alive(owner: Owner) -> bool:
    """False only if the process is certainly gone; of another host nothing is certain."""
    if owner.host != platform.node():
        return True
    if owner.boot != _boot():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user's
    return _started(owner.pid) == owner.started


def _boot() -> str:
    """The number of this boot, where the system tells one: process numbers start again after it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, where the system tells: the same number is given again to other processes."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]  # a zombie works on nothing; field 22 of proc(5)
