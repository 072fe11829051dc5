"""Compiles the C kernels for this processor, once, and keeps the library in the user's cache folder."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from budgetnet import cache

SOURCES = ("convolution.h", "convnet.c")
# Contraction to fused multiply-add is GCC's default; clang needs to be told. 512-bit registers are not GCC's default choice.
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC")
WIDE = "-mprefer-vector-width=512"


class KernelsUnavailable(Exception):
    """The kernels cannot be had on this machine; the message says why. Training then takes the plain torch path."""


def processor() -> str:
    """What ``-march=native`` depends on: a library of another processor must not be loaded from a shared cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}))


def compile_library(sources: dict[str, bytes], compiler: str, flags: tuple[str, ...], target: Path) -> None:
    """Compile into ``target``, atomically; raises KernelsUnavailable with the compiler's last words."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name, content in sources.items():
            Path(folder, name).write_bytes(content)
        output = Path(folder, "kernels.so")
        command = [*shlex.split(compiler), *flags, str(Path(folder, SOURCES[-1])), "-o", str(output), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KernelsUnavailable(f"{compiler} could not be run ({error})") from error
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise KernelsUnavailable(f"{compiler} could not compile the kernels ({last[0]})")
        os.replace(output, target)


@functools.cache
def load(extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The compiled library. Raises KernelsUnavailable where there is no compiler, or nowhere to keep the result.

    ``extra_flags`` are for tests that compile for a smaller processor than this one. ``BUDGETNET_KERNELS=0`` turns
    the kernels off.
    """
    if os.environ.get("BUDGETNET_KERNELS") == "0":
        raise KernelsUnavailable("they are turned off by BUDGETNET_KERNELS=0")
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise KernelsUnavailable("there is no C compiler; install one (on Debian: apt install gcc)")
    flags = FLAGS + ((WIDE,) if platform.machine() in ("x86_64", "AMD64") else ()) + extra_flags
    here = Path(__file__).parent
    sources = {name: (here / name).read_bytes() for name in SOURCES}
    key = hashlib.sha256(repr((sorted(sources.items()), compiler, flags, processor())).encode()).hexdigest()[:16]
    try:
        target = cache.folder() / f"kernels-{key}.so"
        if not target.exists():
            compile_library(sources, compiler, flags, target)
        return ctypes.CDLL(str(target))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise KernelsUnavailable(f"the compiled library cannot be kept or loaded ({error})") from error
