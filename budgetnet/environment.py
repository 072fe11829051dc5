"""The stamp of where a result was made."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from budgetnet import __version__

INSTRUCTION_SETS = ("amx", "asimd", "avx", "bmi", "f16c", "fma", "sse", "ssse", "sve")
PACKAGES = ("torch", "torchvision", "numpy", "scipy")


def version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def instruction_sets() -> frozenset[str]:
    """The processor's extensions that compiled code may rely on, as Linux names them; empty where that is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    words = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return frozenset(word for word in words if word.startswith(INSTRUCTION_SETS))


def usable_cores() -> int:
    """The cores that this process may run on, which ``taskset`` or a cpuset can make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stamp(device: str) -> dict[str, Any]:
    """Versions and hardware, JSON-ready; ``device`` is 'cpu' or 'cuda'."""
    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "budgetnet": __version__}
    found |= {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    found |= {package: version_of(package) for package in PACKAGES}
    found |= {"cpu": cpu_name(), "cores": usable_cores()}
    if device == "cuda":
        import torch

        found |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return found
